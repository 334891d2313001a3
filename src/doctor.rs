//! Proves by experiment that the nodes form one cluster.
//!
//! Each node is spoken to directly, as Seawall itself speaks to it; what one node made is shown to the others; what was made
//! is taken back. A file per experiment: it observes, and then judges by what was observed alone, so that every verdict can
//! be tried without a Harbor. A fault must not look like another one: what cannot be known beside it is left out, never
//! guessed.
//!
//! Without an account only the harmless part runs: questions that anybody may ask. `seawall run` does that by itself.

mod address;
mod arrival;
mod clock;
mod database;
mod equal;
pub mod finding;
mod greeting;
mod group;
mod node;
mod push;
mod remedy;
mod session;
mod storage;
#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;
mod token;

use std::time::Duration;

use tokio::task::JoinSet;

use crate::config::{Config, Part, Problem, Role, Secret, Topology};
use crate::harbor::auth;
use crate::harbor::component::Component;
use crate::harbor::dialect::Dialect;
use finding::{Code, Finding, Met, Report};
use node::{Node, Public};

/// Who the doctor is to the nodes.
#[derive(Clone, Debug)]
pub struct Account {
    /// A user or a robot.
    pub user: String,
    /// The secret.
    pub password: Secret,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Without one, only what is harmless.
    pub account: Option<Account>,
    /// The project that is pushed to.
    pub project: String,
    /// How long replication is waited for.
    pub wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            account: None,
            project: "library".to_owned(),
            wait: Duration::from_secs(30),
        }
    }
}

/// Everything that was observed.
#[derive(Clone, Debug)]
struct Observations {
    shares_data: bool,
    public: Public,
    names: Vec<String>,
    greetings: Vec<greeting::Greeting>,
    told: Vec<address::Told>,
    tokens: token::Seen,
    sessions: session::Seen,
    databases: database::Seen,
    storage: storage::Seen,
    known: Vec<equal::Known>,
    clocks: Vec<Option<clock::Ahead>>,
    notes: Vec<String>,
    left_out: Vec<String>,
}

/// Examines the nodes of a configuration. `None` when `stop` ended first; what was made until then is taken back all the
/// same.
///
/// # Errors
/// What is wrong with the configuration; nothing was asked then.
pub async fn examine(
    config: &Config,
    settings: &Settings,
    stop: impl Future<Output = ()>,
) -> Result<Option<Report>, Vec<Problem>> {
    let mut nodes = Node::all(config)?;
    let seen = tokio::select! {
        seen = observe(config, settings, &mut nodes) => Some(seen),
        () = stop => None,
    };
    let mut left = Vec::new();
    for node in &nodes {
        left.append(&mut node.part().await);
    }
    Ok(seen.map(|mut seen| {
        seen.notes.append(&mut left);
        report(seen)
    }))
}

fn report(seen: Observations) -> Report {
    let mut notes = address::notes(&seen.names, &seen.public, &seen.told);
    notes.extend(seen.notes.iter().cloned());
    let findings = judge(&seen);
    Report {
        ok: findings.is_empty(),
        findings,
        notes,
        nodes: seen
            .names
            .iter()
            .zip(&seen.greetings)
            .map(|(name, greeting)| Met {
                name: name.clone(),
                dialect: greeting.dialect.map(Dialect::name),
                version: greeting.version.clone(),
            })
            .collect(),
        left_out: seen.left_out,
    }
}

async fn observe(config: &Config, settings: &Settings, nodes: &mut [Node]) -> Observations {
    let shares_data = config.cluster.topology.shares_data();
    let mut greetings = Vec::new();
    for node in nodes.iter_mut() {
        greetings.push(greeting::greet(node, config.health.probe).await);
    }
    let nodes = &*nodes;
    let repository = push::repository(&settings.project);
    let credentials = settings
        .account
        .as_ref()
        .map(|account| auth::basic(&account.user, account.password.expose()));
    let own = token::ask(nodes, &repository, credentials.as_ref()).await;
    let tokens = token::exchange(nodes, own).await;
    // Whoever does not take the account is not asked with it again.
    let speaking = |at: usize| {
        nodes
            .get(at)
            .is_some_and(|node| node.dialect.is_some_and(|it| it != Dialect::Registry))
    };
    let taken = (0..nodes.len())
        .filter(|at| speaking(*at))
        .all(|at| tokens.of(at).is_some());
    let account = credentials.as_ref().filter(|_| taken);
    let mut left_out = left_out(settings, nodes, &greetings, &tokens);
    if let Some(account) = account {
        for (node, greeting) in nodes.iter().zip(&mut greetings) {
            if greeting.dialect == Some(Dialect::Harbor2) {
                greeting::learn(node, greeting, Some(account)).await;
            }
        }
    }
    let mut sessions = session::Seen::default();
    let mut databases = database::Seen::default();
    let mut stored = storage::Seen::default();
    let mut known = Vec::new();
    let mut notes = Vec::new();
    if shares_data {
        let login = settings.account.as_ref().filter(|_| account.is_some());
        let login = login.filter(|account| may_log_in(account, &greetings, &mut left_out));
        let login = login.map(|account| session::Login {
            user: &account.user,
            password: &account.password,
        });
        sessions = session::observe(nodes, login).await;
        left_out.extend(sessions.trouble.iter().cloned());
        databases.projects = database::observe(nodes, account).await;
        if credentials.is_some() {
            stored = storage::observe(nodes, &repository, &tokens).await;
            databases.unknown = std::mem::take(&mut stored.unknown);
            left_out.append(&mut stored.trouble);
        }
    } else if credentials.is_some() {
        known = equal::observe(nodes, account).await;
        for from in origins(config) {
            let mut seen =
                arrival::observe(nodes, from, &repository, &tokens, account, settings.wait).await;
            notes.append(&mut seen.notes);
            left_out.append(&mut seen.trouble);
        }
    }
    Observations {
        shares_data,
        public: Public::of(config),
        names: nodes.iter().map(|node| node.name.clone()).collect(),
        told: nodes
            .iter()
            .enumerate()
            .map(|(at, node)| address::Told {
                host: node.host().to_owned(),
                locations: stored.locations.remove(&at).unwrap_or_default(),
            })
            .collect(),
        greetings,
        tokens,
        sessions,
        databases,
        storage: stored,
        known,
        clocks: nodes
            .iter()
            .map(|node| clock::read(&node.samples()))
            .collect(),
        notes,
        left_out,
    }
}

/// The nodes that pushes go to where each has data of its own.
fn origins(config: &Config) -> Vec<usize> {
    let cluster = &config.cluster;
    let write_tier = cluster.write_tier.unwrap_or_default();
    let takes = |part: &Part| match cluster.topology {
        Topology::Shared | Topology::Replicated => true,
        Topology::PrimaryReplica => part.role == Some(Role::Primary),
        Topology::Tiered => part.tier.unwrap_or_default() == write_tier,
    };
    let nodes = cluster.node.iter().enumerate();
    nodes
        .filter(|(_, node)| takes(&node.part))
        .map(|(at, _)| at)
        .collect()
}

/// Whether a login to the pages with this account is no wrong password.
fn may_log_in(
    account: &Account,
    greetings: &[greeting::Greeting],
    left_out: &mut Vec<String>,
) -> bool {
    let by_oidc = greetings
        .iter()
        .any(|greeting| greeting.auth_mode.as_deref() == Some("oidc_auth"));
    let why = if account.user.contains('$') {
        "a robot cannot"
    } else if by_oidc {
        "users log in by OIDC"
    } else {
        return true;
    };
    left_out.push(format!(
        "logging in to the pages: {why}; sessions of nobody were tried instead"
    ));
    false
}

fn left_out(
    settings: &Settings,
    nodes: &[Node],
    greetings: &[greeting::Greeting],
    tokens: &token::Seen,
) -> Vec<String> {
    let mut left_out = Vec::new();
    if settings.account.is_none() {
        left_out.push(
            "without an account: tokens of a user, logging in to the pages, uploads and blobs, and the version where \
             Harbor 2 tells it users only; write --user and --password-file, or [cluster.account]"
                .to_owned(),
        );
    }
    for (at, (node, greeting)) in nodes.iter().zip(greetings).enumerate() {
        match greeting.dialect {
            None => left_out.push(format!("{}: it took no part in what follows", node.name)),
            Some(Dialect::Registry) => {
                left_out.push(format!(
                    "{}: a plain registry has nothing of Harbor to try",
                    node.name
                ));
            }
            Some(_) => {}
        }
        if let Some(Some(token::Asked::Unclear(why))) = tokens.own.get(at) {
            left_out.push(format!("{}: {why}", node.name));
        }
    }
    left_out
}

/// What is wrong, by what was observed alone.
fn judge(seen: &Observations) -> Vec<Finding> {
    let names = &seen.names;
    let dialect = seen.greetings.iter().find_map(|greeting| greeting.dialect);
    let mut findings = greeting::judge(names, &seen.greetings, seen.shares_data);
    findings.extend(clock::judge(names, &seen.clocks));
    findings.extend(address::judge(
        names,
        &seen.public,
        &seen.greetings,
        &seen.told,
    ));
    findings.extend(token::judge(
        names,
        &seen.tokens,
        &seen.greetings,
        &seen.clocks,
        seen.shares_data,
    ));
    if !seen.shares_data {
        findings.extend(equal::judge(names, &seen.known));
        return findings;
    }
    let database = database::judge(names, &seen.databases, dialect);
    if database.is_some() {
        // Another database has other accounts: one fault, not two.
        findings.retain(|finding| finding.code != Code::AccountDiffers);
    }
    let mut sessions = seen.sessions.clone();
    // A node whose own Redis is down knows no session, wherever the others keep theirs.
    let lacks_redis = |at: usize| {
        seen.greetings
            .get(at)
            .is_some_and(|greeting| greeting.lacks(Component::Redis))
    };
    sessions
        .known
        .retain(|(a, b), _| !lacks_redis(*a) && !lacks_redis(*b));
    findings.extend(session::judge(
        names,
        &sessions,
        dialect,
        database.is_none(),
    ));
    findings.extend(database);
    findings.extend(storage::judge(names, &seen.storage, dialect));
    findings
}

/// Has the harmless part run once among `tasks`, after a while, and warn of what it finds. What probes say anyhow is not
/// repeated. A single node has nobody to differ from.
pub fn start(tasks: &mut JoinSet<()>, config: &Config) {
    if !config.health.doctor || config.cluster.node.len() < 2 {
        return;
    }
    let config = config.clone();
    // The probes come first: nodes that start with this door may not be there yet.
    let after = config.health.interval * (config.health.rise + 1);
    tasks.spawn(async move {
        tokio::time::sleep(after).await;
        let examined = examine(&config, &Settings::default(), std::future::pending()).await;
        let Ok(Some(report)) = examined else {
            return;
        };
        let told = report.findings.iter();
        for finding in
            told.filter(|one| !matches!(one.code, Code::Unreachable | Code::ComponentDown))
        {
            tracing::warn!(
                code = finding.code.name(),
                nodes = finding.nodes.join(","),
                what = finding.what,
                fix = finding.fix,
                "the nodes are not one cluster"
            );
        }
    });
}
