//! What the answers to a round of checks prove about the parts of a node.
//!
//! No single answer is enough. The ping is 200 with everything else dead; the health document is 200 always, lags
//! by ten seconds and calls a hanging database healthy for ever; a dead database looks like wrong credentials. So
//! each check proves what it can, what was seen directly outranks what was only reported, and whatever nobody
//! answered for stays as it was.

mod detect;
mod document;
mod findings;
mod passive;
#[cfg(test)]
mod recorded;

pub use super::dialect::Check;
pub use detect::{DETECTION, detect};
pub use document::{Document, read_document};
pub use passive::{FailureKind, counts_as_failure};

use super::component::{Component, Components};
use super::dialect::Dialect;
use bytes::Bytes;
use findings::Findings;

/// The answer to one check.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, cut by the caller to what it is willing to keep.
    pub body: Bytes,
    /// The value of `WWW-Authenticate`.
    pub challenge: Option<String>,
}

/// What became of one check.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An answer with head and body in time.
    Answered(Answer),
    /// None within the probe's deadline.
    TimedOut,
    /// The connection was made and then broke.
    Failed,
    /// No connection was made.
    Refused,
    /// The question was not put.
    Skipped,
}

impl Reply {
    fn answer(&self) -> Option<&Answer> {
        match self {
            Reply::Answered(answer) => Some(answer),
            _ => None,
        }
    }

    /// How it went wrong: `None` when it did not, or when it says nothing (a connection that failed after
    /// another one to the same node succeeded is a coincidence, not evidence).
    fn trouble(&self) -> Option<String> {
        match self {
            Reply::Answered(answer) if answer.status >= 500 => {
                Some(format!("answers {}", answer.status))
            }
            Reply::TimedOut => Some("no answer in time".to_owned()),
            Reply::Failed => Some("connection broke".to_owned()),
            _ => None,
        }
    }
}

/// How the account of deep checks fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountWord {
    /// It was not used.
    NotTried,
    /// The node accepted it.
    Worked,
    /// The node refused it, and not for a database that could not be asked: stop using it. Every further attempt
    /// would lock the user out for another 1.5 s.
    Refused,
    /// The answer says nothing about it.
    Unknown,
}

/// What a round of checks proved. A component in neither set keeps the state it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Proven well, or not a part of such a node and therefore no obstacle.
    pub good: Components,
    /// Proven ill.
    pub bad: Components,
    /// Whether any connection was made.
    pub reachable: bool,
    /// Why each of `bad` is bad.
    pub reasons: Vec<(Component, String)>,
    /// How the account fared.
    pub account: AccountWord,
    /// Harbor's version where an answer named it.
    pub version: Option<String>,
}

/// Judges one round of checks of one node. `account_worked_before`: this account was accepted earlier, so a 401
/// now means something.
pub fn judge(dialect: Dialect, replies: &[(Check, Reply)], account_worked_before: bool) -> Verdict {
    let reply = |check: Check| {
        let found = replies.iter().find(|(asked, _)| *asked == check);
        found.map_or(&Reply::Skipped, |(_, reply)| reply)
    };
    let asked = || {
        let all = replies.iter().map(|(_, reply)| reply);
        all.filter(|reply| !matches!(reply, Reply::Skipped))
    };
    let reachable = asked().any(|reply| !matches!(reply, Reply::Refused));
    let mut findings = Findings::default();
    let mut account = AccountWord::NotTried;
    let mut version = None;

    if !reachable {
        if asked().next().is_some() {
            for component in Component::ALL {
                findings.bad(component, "no connection");
            }
        }
    } else if dialect == Dialect::Registry {
        plain_registry(reply(Check::Registry), &mut findings);
    } else {
        let document = reply(Check::Document).answer().and_then(document::of);
        if let Some(document) = &document {
            findings.report(document);
        }
        portal(dialect, reply(Check::Portal), &mut findings);
        if ping(dialect, reply(Check::Ping), &mut findings) {
            assume_absent(dialect, document.as_ref(), &mut findings);
            let database = database(reply(Check::Database), &mut findings);
            registry(dialect, reply(Check::Registry), &mut findings);
            if dialect == Dialect::Harbor15 {
                version = config(reply(Check::Config), &mut findings);
            }
            let evidence = Database {
                seen: database,
                reported_bad: document.is_some_and(|d| d.bad.contains(Component::Database)),
            };
            let deep_reply = reply(Check::Deep);
            account = deep(deep_reply, evidence, account_worked_before, &mut findings);
        } else if !matches!(reply(Check::Deep), Reply::Skipped) {
            account = AccountWord::Unknown;
        }
    }
    let Findings { good, bad, reasons } = findings;
    Verdict {
        good,
        bad,
        reachable,
        reasons,
        account,
        version,
    }
}

/// One answer stands for all: a registry without Harbor has neither database nor pages to lose.
fn plain_registry(reply: &Reply, findings: &mut Findings) {
    match reply {
        Reply::Answered(Answer {
            status: 200 | 401, ..
        }) => {
            let assumed = [
                Component::Core,
                Component::Registry,
                Component::Database,
                Component::Redis,
                Component::Portal,
                Component::Chartmuseum,
                Component::Adminserver,
            ];
            assumed.into_iter().for_each(|c| findings.good(c));
        }
        Reply::Answered(Answer { status: 429, .. }) | Reply::Skipped => {}
        Reply::Answered(answer) => both(findings, &format!("answers {} at /v2/", answer.status)),
        Reply::Refused => both(findings, "no connection"),
        other => both(findings, &other.trouble().unwrap_or_default()),
    }
}

fn both(findings: &mut Findings, why: &str) {
    findings.bad(Component::Core, why);
    findings.bad(Component::Registry, why);
}

/// Core answers at all. When it does not, no other answer that passes through it means anything.
fn ping(dialect: Dialect, reply: &Reply, findings: &mut Findings) -> bool {
    let why = match reply {
        Reply::Skipped => return false,
        Reply::Answered(answer) if answer.status == 200 && is_pong(&answer.body) => {
            findings.good(Component::Core);
            if dialect == Dialect::Harbor15 {
                // Pages come from core, and nothing is answered without the session store; `/` itself is no
                // witness, as it may fail on a node that is otherwise well.
                findings.good(Component::Portal);
                findings.good(Component::Redis);
            }
            return true;
        }
        Reply::Answered(answer) if answer.status == 200 => {
            "something else answers its ping".to_owned()
        }
        Reply::Answered(answer) => format!("answers {}", answer.status),
        Reply::Refused => "no connection".to_owned(),
        other => other.trouble().unwrap_or_default(),
    };
    findings.bad(Component::Core, &why);
    if dialect == Dialect::Harbor15 {
        findings.bad(Component::Portal, &why);
    }
    false
}

fn is_pong(body: &[u8]) -> bool {
    // 2.x says it as text, 1.x as JSON.
    matches!(body.trim_ascii(), b"Pong" | b"\"Pong\"")
}

/// Components that some class needs but this node does not have must not hold it up.
fn assume_absent(dialect: Dialect, document: Option<&Document>, findings: &mut Findings) {
    if dialect != Dialect::Harbor15 {
        findings.good(Component::Adminserver);
    }
    let charts_reported =
        document.is_some_and(|d| (d.good.union(d.bad)).contains(Component::Chartmuseum));
    if !charts_reported {
        findings.good(Component::Chartmuseum);
    }
}

/// Some(whether the database answers), if the question was answered.
fn database(reply: &Reply, findings: &mut Findings) -> Option<bool> {
    if reply.answer().is_some_and(|answer| answer.status == 200) {
        findings.good(Component::Database);
        return Some(true);
    }
    let why = reply.trouble()?;
    findings.bad(Component::Database, &format!("list of projects: {why}"));
    Some(false)
}

/// The anonymous `/v2/`. In 1.x its 401 comes from the registry; in 2.x from core, before the registry is asked.
fn registry(dialect: Dialect, reply: &Reply, findings: &mut Findings) {
    match reply.answer().map(|answer| answer.status) {
        Some(200 | 401) if dialect != Dialect::Harbor2 => findings.good(Component::Registry),
        _ => {
            if let Some(why) = reply.trouble() {
                findings.bad(Component::Registry, &format!("/v2/: {why}"));
            }
        }
    }
}

/// The pages. Independent of core: nginx may be up with core dead.
fn portal(dialect: Dialect, reply: &Reply, findings: &mut Findings) {
    if dialect == Dialect::Harbor15 {
        return;
    }
    if reply.answer().is_some_and(|answer| answer.status == 200) {
        findings.good(Component::Portal);
    } else if let Some(why) = reply.trouble() {
        findings.bad(Component::Portal, &why);
    } else if matches!(reply, Reply::Refused) {
        findings.bad(Component::Portal, "no connection");
    }
}

/// The adminserver of 1.5; returns the version when the answer tells it.
fn config(reply: &Reply, findings: &mut Findings) -> Option<String> {
    if let Some(why) = reply.trouble() {
        findings.bad(Component::Adminserver, &why);
    }
    let answer = reply.answer().filter(|answer| answer.status == 200)?;
    let info: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    if info.get("registry_url").is_some() {
        findings.good(Component::Adminserver);
    }
    let version = info.get("harbor_version")?.as_str()?;
    let told = !matches!(version, "" | "-");
    told.then(|| {
        version
            .chars()
            .filter(|c| !c.is_control())
            .take(64)
            .collect()
    })
}

/// What else the round said about the database.
#[derive(Clone, Copy)]
struct Database {
    seen: Option<bool>,
    reported_bad: bool,
}

impl Database {
    fn is_bad(self) -> bool {
        // What was seen outranks what was reported.
        !self.seen.unwrap_or(!self.reported_bad)
    }
}

/// `/v2/` with an account. Core looks the account up in the database, then asks the registry.
fn deep(
    reply: &Reply,
    database: Database,
    worked_before: bool,
    findings: &mut Findings,
) -> AccountWord {
    let status = match reply {
        Reply::Skipped => return AccountWord::NotTried,
        Reply::Answered(answer) => Some(answer.status),
        _ => None,
    };
    match status {
        Some(200) => {
            findings.good(Component::Registry);
            return AccountWord::Worked;
        }
        Some(401) if database.is_bad() => {
            if worked_before {
                findings.bad(Component::Database, "a known account is refused");
            }
        }
        Some(401) if !worked_before || database.seen == Some(true) => {
            return AccountWord::Refused;
        }
        Some(502 | 503) => {
            findings.bad(
                Component::Registry,
                &format!("/v2/: {}", reply.trouble().unwrap_or_default()),
            );
        }
        _ => {
            // It hangs or breaks on the way: a database known to be bad explains it, else it is the registry.
            if let Some(why) = reply.trouble() {
                let (part, why) = if database.is_bad() {
                    (Component::Database, format!("looking up an account: {why}"))
                } else {
                    (Component::Registry, format!("/v2/: {why}"))
                };
                findings.bad(part, &why);
            }
        }
    }
    AccountWord::Unknown
}

#[cfg(test)]
mod tests;
