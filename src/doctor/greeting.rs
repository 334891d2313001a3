//! The first questions: is anybody there, which Harbor is it, how are its parts, what does it take for its public URL.

use http::header::WWW_AUTHENTICATE;
use serde_json::Value;

use super::finding::{Code, Finding, Severity, clean};
use super::group::{compare, split};
use super::node::Node;
use super::remedy;
use crate::config::Probe;
use crate::harbor::auth::Challenge;
use crate::harbor::component::Component;
use crate::harbor::dialect::{Check, Dialect};
use crate::harbor::health::{self, Answer, Reply};
use crate::upstream::exchange::{Received, Unanswered};

/// What a node said at first.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// Which Harbor it is; nothing more was asked without that.
    pub dialect: Option<Dialect>,
    /// Why nobody could be spoken to.
    pub unreachable: Option<String>,
    /// Its version, where it tells.
    pub version: Option<String>,
    /// Its parts that do not work, and what is known of that.
    pub sick: Vec<(Component, String)>,
    /// Where it sends clients for tokens.
    pub realm: Option<String>,
    /// Its `external_url`, where it tells.
    pub external_url: Option<String>,
    /// How users log in (`db_auth`, `ldap_auth`, `oidc_auth` …), where it tells.
    pub auth_mode: Option<String>,
}

impl Greeting {
    /// Whether that part is known to be down.
    pub fn lacks(&self, component: Component) -> bool {
        self.sick.iter().any(|(sick, _)| *sick == component)
    }
}

/// Finds out what a node is, and asks it what it tells everybody.
pub async fn greet(node: &mut Node, probe: Probe) -> Greeting {
    let mut replies = Vec::new();
    let mut last = None;
    for path in health::DETECTION {
        match node.get(path, None).await {
            Ok(received) => replies.push((path, Reply::Answered(answer(&received)))),
            Err(error @ Unanswered::Connect(_)) => {
                return Greeting {
                    unreachable: Some(error.to_string()),
                    ..Greeting::default()
                };
            }
            Err(error) => last = Some(error.to_string()),
        }
    }
    let told = match probe {
        Probe::Auto => health::detect(&replies),
        Probe::Harbor2 => Some(Dialect::Harbor2),
        Probe::Harbor1 => Some(Dialect::Harbor1),
        Probe::Harbor15 => Some(Dialect::Harbor15),
        Probe::Registry => Some(Dialect::Registry),
    };
    let Some(dialect) = told.filter(|_| !replies.is_empty()) else {
        return unknown(&replies, last);
    };
    node.dialect = Some(dialect);
    let mut greeting = Greeting {
        dialect: Some(dialect),
        ..Greeting::default()
    };
    let mut replies = Vec::new();
    for check in dialect.checks(node.has_nginx(), false) {
        let reply = match node.get(dialect.path(*check), None).await {
            Ok(received) => {
                if *check == Check::Registry {
                    greeting.realm = realm(&received);
                }
                Reply::Answered(answer(&received))
            }
            Err(Unanswered::Connect(_)) => Reply::Refused,
            Err(Unanswered::TimedOut(_)) => Reply::TimedOut,
            Err(Unanswered::Broke(_)) => Reply::Failed,
        };
        replies.push((*check, reply));
    }
    let verdict = health::judge(dialect, &replies, false);
    greeting.sick = verdict.reasons;
    if dialect != Dialect::Registry {
        learn(node, &mut greeting, None).await;
    }
    greeting
}

/// Reads what the system information says; to a user Harbor 2 says more.
pub async fn learn(
    node: &Node,
    greeting: &mut Greeting,
    authorization: Option<&http::HeaderValue>,
) {
    let Some(dialect) = greeting.dialect else {
        return;
    };
    let asked = node.get(dialect.path(Check::Config), authorization).await;
    let told = asked
        .ok()
        .and_then(|received| serde_json::from_slice::<Value>(&received.body).ok());
    let field = |name: &str| {
        let text = told.as_ref()?.get(name)?.as_str()?;
        (!text.is_empty()).then(|| clean(text))
    };
    greeting.version = field("harbor_version").or(greeting.version.take());
    greeting.external_url = field("external_url").or(greeting.external_url.take());
    greeting.auth_mode = field("auth_mode").or(greeting.auth_mode.take());
}

fn answer(received: &Received) -> Answer {
    let challenge = received.headers.get(WWW_AUTHENTICATE);
    Answer {
        status: received.status.as_u16(),
        body: received.body.clone(),
        challenge: challenge.and_then(|value| value.to_str().ok().map(str::to_owned)),
    }
}

fn realm(received: &Received) -> Option<String> {
    let value = received.headers.get(WWW_AUTHENTICATE)?.to_str().ok()?;
    Some(clean(Challenge::parse(value)?.realm))
}

fn unknown(replies: &[(&str, Reply)], last: Option<String>) -> Greeting {
    let mut greeting = Greeting::default();
    let status = replies.iter().find_map(|(_, reply)| match reply {
        Reply::Answered(answer) if answer.status >= 500 => Some(answer.status),
        _ => None,
    });
    match (status, last) {
        // 1.x cannot begin a session without its Redis, and answers nobody then.
        (Some(503), _) => {
            let why = "it answers 503 to every question, as Harbor 1.x does without Redis";
            greeting.sick = vec![(Component::Redis, why.to_owned())];
        }
        (Some(status), _) => {
            let why = format!("it answers {status} to every question");
            greeting.sick = vec![(Component::Core, why)];
        }
        (None, Some(error)) => greeting.unreachable = Some(error),
        (None, None) => {
            greeting.unreachable = Some("what answers there is no Harbor".to_owned());
        }
    }
    greeting
}

/// Who is not there, what does not work, and whose version is another.
pub fn judge(names: &[String], greetings: &[Greeting], shares_data: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, greeting) in names.iter().zip(greetings) {
        if let Some(why) = &greeting.unreachable {
            findings.push(Finding {
                code: Code::Unreachable,
                severity: Severity::Error,
                nodes: vec![name.clone()],
                what: format!("{name} cannot be spoken to: {why}"),
                symptom: "none while another node is up; there is nothing left to fail over to"
                    .to_owned(),
                fix: format!("start Harbor on {name}, or mend its url and the network between"),
            });
        }
    }
    for component in Component::ALL {
        let sick = names.iter().zip(greetings).filter_map(|(name, greeting)| {
            let found = greeting.sick.iter().find(|(sick, _)| *sick == component);
            found.map(|(_, why)| (name, why))
        });
        let (nodes, reasons): (Vec<String>, Vec<String>) = sick
            .map(|(name, why)| (name.clone(), format!("{name}: {why}")))
            .unzip();
        if !nodes.is_empty() {
            findings.push(down(component, nodes, &reasons));
        }
    }
    let versions: Vec<Option<&str>> = greetings.iter().map(|one| one.version.as_deref()).collect();
    let kinds: Vec<Option<Dialect>> = greetings.iter().map(|one| one.dialect).collect();
    // A version that is not told may still be of another kind; the same kind is no evidence.
    let unlike = compare(&kinds).into_iter().filter(|(_, same)| !same);
    if let Some(split) = split(compare(&versions).into_iter().chain(unlike)) {
        let told: Vec<String> = names
            .iter()
            .zip(greetings)
            .filter_map(|(name, greeting)| Some(format!("{name} runs {}", word(greeting)?)))
            .collect();
        findings.push(Finding {
            code: Code::VersionDiffers,
            severity: if shares_data { Severity::Error } else { Severity::Warning },
            nodes: remedy::names(names, &split.odd),
            what: told.join(", "),
            symptom: "pages break when their files come from the other version; a newer Harbor changes the database \
                      under an older one"
                .to_owned(),
            fix: format!(
                "look at {}: bring every node to the newest of these versions, one after the other, each drained before; \
                 a database that a newer Harbor changed does not go back",
                super::finding::list(&remedy::names(names, &split.odd))
            ),
        });
    }
    findings
}

/// The version, or at least the kind.
fn word(greeting: &Greeting) -> Option<String> {
    let kind = || greeting.dialect.map(|dialect| dialect.name().to_owned());
    greeting.version.clone().or_else(kind)
}

fn down(component: Component, nodes: Vec<String>, reasons: &[String]) -> Finding {
    let name = component.name();
    let symptom = match component {
        Component::Core => "everything on that node fails",
        Component::Registry => "pushes and pulls fail there with 502",
        Component::Database => {
            "logins, tokens and the API fail there; right passwords are called wrong"
        }
        Component::Redis => "1.x answers 503 to everything; 2.x logs users out and fails pushes",
        Component::Portal => "the pages do not load from there",
        Component::Adminserver => "tokens and manifests fail with 500",
        Component::Jobservice => "replication, scans and garbage collection wait",
        _ => "what that part does waits; pushes and pulls go on",
    };
    let bad = matches!(
        component,
        Component::Core
            | Component::Registry
            | Component::Database
            | Component::Redis
            | Component::Adminserver
    );
    Finding {
        code: Code::ComponentDown,
        severity: if bad {
            Severity::Error
        } else {
            Severity::Warning
        },
        what: format!("{name} does not work: {}", reasons.join("; ")),
        symptom: symptom.to_owned(),
        fix: format!(
            "look at the log of {name} on {}, and start it again",
            super::finding::list(&nodes)
        ),
        nodes,
    }
}
