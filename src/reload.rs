//! From a configuration to a world that could serve it, or why not.
//!
//! Everything that can fail is done here, before anything is swapped: certificates are read and matched with their
//! keys, nodes get their connections ready. What is live and unchanged is taken over from the world before: a node keeps
//! its connections and health, a listener its certificates and session tickets.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls::ServerConfig;

use crate::balance::{self, RetryBudget};
use crate::config::{Certificate, Config, Listen, Node, Probe, Problem};
use crate::harbor::dialect::Dialect;
use crate::health::{Measure, Outlier};
use crate::placement::Placement;
use crate::session::Sessions;
use crate::state::snapshot::{Admission, Patience, Public, Snapshot};
use crate::telemetry::metrics::Metrics;
use crate::tls::certs::LiveCertificates;
use crate::tls::{CertError, Pair, client, self_signed, server};
use crate::upstream::backend::{Backend, NodeTls};
use crate::upstream::capacity;
use crate::upstream::cluster::{Cluster, Manner};
use crate::upstream::outgoing::Pace;
use crate::upstream::probe::{Account, Plan};

/// A configuration made ready to serve.
pub struct World {
    /// What the operator wrote.
    pub config: Config,
    /// What requests read of it.
    pub snapshot: Arc<Snapshot>,
    /// What sticks to its nodes.
    pub sessions: Arc<Sessions>,
    /// How its nodes are probed.
    pub plan: Plan,
    /// TLS of each listener, in the order of the configuration.
    pub doors: Vec<Option<DoorTls>>,
}

/// TLS of one listener.
#[derive(Clone)]
pub struct DoorTls {
    /// The certificates, swapped when their files change.
    pub certificates: Arc<LiveCertificates>,
    /// What rustls needs.
    pub server: Arc<ServerConfig>,
}

/// Builds a world for `config`, taking over from `before` what is unchanged.
///
/// # Errors
/// Every problem that was found; nothing was changed then.
pub fn build(
    config: Config,
    before: Option<&World>,
    metrics: &Metrics,
) -> Result<World, Vec<Problem>> {
    let mut problems = Vec::new();
    let doors: Vec<_> = config
        .listen
        .iter()
        .map(|listen| door(&config, listen, before, &mut problems))
        .collect();
    let outlier = Outlier::new(
        config.outlier.consecutive,
        config.outlier.base,
        config.outlier.max,
    );
    let same_outlier = before.is_some_and(|before| before.config.outlier == config.outlier);
    let mut members = Vec::new();
    for node in &config.cluster.node {
        if let Some(backend) = backend(&config, node, before, metrics, &outlier, &mut problems) {
            if !same_outlier {
                backend.standing.ejection.adopt(&outlier);
            }
            members.push(backend);
        }
    }
    let public = public(&config);
    let sessions = sessions(&config, before, metrics, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let Some(sessions) = sessions else {
        return Err(problems);
    };
    let plan = plan(&config, public.as_ref(), before);
    let snapshot = Arc::new(snapshot(&config, members, sessions.clone(), public, before));
    Ok(World {
        config,
        snapshot,
        sessions,
        plan,
        doors,
    })
}

fn door(
    config: &Config,
    listen: &Listen,
    before: Option<&World>,
    problems: &mut Vec<Problem>,
) -> Option<DoorTls> {
    let pairs: Vec<Pair> = if listen.self_signed {
        match self_signed::keep(&config.state_dir, &own_names(config)) {
            Ok(pair) => vec![pair],
            Err(error) => {
                let what = format!("{}: {error}", config.state_dir.display());
                problems.push(config.problem(
                    listen.at,
                    "state_dir",
                    what,
                    "name a directory that this user may write, with --state-dir",
                ));
                return None;
            }
        }
    } else {
        listen.certificate.iter().map(pair).collect()
    };
    if pairs.is_empty() {
        return None;
    }
    let known = before
        .into_iter()
        .flat_map(|world| world.doors.iter().flatten());
    let found = match known
        .into_iter()
        .find(|door| door.certificates.pairs() == pairs)
    {
        Some(door) => door.certificates.reload().map(|()| door.clone()),
        None => LiveCertificates::load(pairs).map(|certificates| {
            let certificates = Arc::new(certificates);
            DoorTls {
                server: server::config(certificates.clone()),
                certificates,
            }
        }),
    };
    found
        .map_err(|errors| {
            problems.extend(
                errors
                    .iter()
                    .map(|error| certificate_problem(config, listen, error)),
            )
        })
        .ok()
}

fn pair(certificate: &Certificate) -> Pair {
    Pair {
        chain: certificate.chain.clone(),
        key: certificate.key.clone(),
    }
}

fn certificate_problem(config: &Config, listen: &Listen, error: &CertError) -> Problem {
    let at = listen
        .certificate
        .iter()
        .find(|pair| pair.chain == error.file || pair.key == error.file);
    let part = if at.is_some_and(|pair| pair.key == error.file) {
        "key"
    } else {
        "chain"
    };
    config.problem(
        at.map_or(listen.at, |pair| pair.at),
        format!("listen.certificate.{part}"),
        error.to_string(),
        "put a matching, valid pair in PEM form there",
    )
}

/// The names a self-signed certificate should carry: what clients are likely to type.
fn own_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = config
        .cluster
        .public_url
        .iter()
        .map(|url| url.host.clone())
        .collect();
    names.extend(
        config
            .listen
            .iter()
            .map(|listen| listen.address.ip())
            .filter(|ip| !ip.is_unspecified())
            .map(|ip| ip.to_string()),
    );
    names
}

fn backend(
    config: &Config,
    node: &Node,
    before: Option<&World>,
    metrics: &Metrics,
    outlier: &Outlier,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Backend>> {
    let key = format!("cluster.node.{}", node.name);
    let tls = match node_tls(node) {
        Ok(tls) => tls,
        Err(error) => {
            let fix = "put a readable PEM file there";
            problems.push(config.problem(node.at, key, error.to_string(), fix));
            return None;
        }
    };
    let known = before
        .map(|world| world.snapshot.cluster.members())
        .unwrap_or_default();
    if let Some(backend) = known.iter().find(|backend| backend.is(node, &tls)) {
        return Some(backend.clone());
    }
    match Backend::new(node, tls, outlier, metrics.node(&node.name)) {
        Ok(backend) => {
            let backend = Arc::new(backend);
            capacity::adopt(&backend, config.room(node));
            Some(backend)
        }
        Err(what) => {
            problems.push(config.problem(node.at, key, what, "use a host name or an address"));
            None
        }
    }
}

fn node_tls(node: &Node) -> Result<NodeTls, CertError> {
    let identity = node.client_certificate.as_ref().map(pair);
    let config = client::config(node.ca.as_deref(), identity.as_ref())?;
    let files = [
        node.ca.as_deref(),
        identity.as_ref().map(|pair| pair.chain.as_path()),
        identity.as_ref().map(|pair| pair.key.as_path()),
    ];
    let print = files
        .into_iter()
        .map(|file| file.and_then(contents).unwrap_or_default())
        .fold(0, |sum: u64, bytes| {
            sum.rotate_left(21) ^ balance::hash(&bytes)
        });
    Ok(NodeTls { config, print })
}

fn contents(file: &Path) -> Option<Vec<u8>> {
    std::fs::read(file).ok()
}

fn public(config: &Config) -> Option<Public> {
    let url = config.cluster.public_url.as_ref()?;
    let authority = HeaderValue::from_str(&url.authority()).ok()?;
    Some(Public {
        https: url.https,
        authority,
    })
}

/// The same sessions where nothing about them changed; else new ones that remember what the old ones did.
fn sessions(
    config: &Config,
    before: Option<&World>,
    metrics: &Metrics,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Sessions>> {
    let known = before.filter(|world| {
        world.config.sessions == config.sessions && world.config.affinity == config.affinity
    });
    if let Some(world) = known {
        return Some(world.sessions.clone());
    }
    let old = before.map(|world| &*world.sessions);
    match Sessions::new(&config.sessions, &config.affinity, old, metrics.sessions()) {
        Ok(sessions) => Some(Arc::new(sessions)),
        Err(what) => {
            let fix = "put readable PEM files there, or remove the key";
            problems.push(config.problem(config.sessions.at, "sessions", what, fix));
            None
        }
    }
}

fn plan(config: &Config, public: Option<&Public>, before: Option<&World>) -> Plan {
    let account = config.cluster.account.as_ref().map(|account| {
        // The same account keeps its standing: one that was refused is not tried again because something else changed.
        let unchanged =
            before.filter(|world| world.config.cluster.account.as_ref() == Some(account));
        let known = unchanged.and_then(|world| world.plan.account.clone());
        known.unwrap_or_else(|| Arc::new(Account::new(&account.user, account.password.expose())))
    });
    Plan {
        dialect: match config.health.probe {
            Probe::Auto => None,
            Probe::Harbor2 => Some(Dialect::Harbor2),
            Probe::Harbor1 => Some(Dialect::Harbor1),
            Probe::Harbor15 => Some(Dialect::Harbor15),
            Probe::Registry => Some(Dialect::Registry),
        },
        interval: config.health.interval,
        timeout: config.health.timeout,
        rise: config.health.rise,
        fall: config.health.fall,
        node_idle: config.timeouts.node_idle,
        public: public.map(|public| (public.authority.clone(), public.https)),
        account,
    }
}

/// Where the data are; what was learnt of that outlives the configuration.
fn placement(config: &Config, before: Option<&World>) -> Placement {
    let before = before.map(|world| &*world.snapshot.placement);
    let journal = before.map_or_else(Arc::default, |before| before.journal.clone());
    Placement::new(config, journal, before)
}

fn snapshot(
    config: &Config,
    members: Vec<Arc<Backend>>,
    sessions: Arc<Sessions>,
    public: Option<Public>,
    before: Option<&World>,
) -> Snapshot {
    let timeouts = &config.timeouts;
    let manner = Manner {
        balance: config.cluster.balance,
        max_percent: config.outlier.max_percent,
        slow_start: config.health.slow_start,
        measure: Measure {
            failure_percent: config.outlier.failure_percent,
            slow_factor: config.outlier.slow_factor,
            volume: config.outlier.volume,
        },
        kin: (config.cluster.node.iter())
            .map(|node| node.part.tier.unwrap_or_default())
            .collect(),
    };
    let same_retry = before.filter(|world| world.config.retry == config.retry);
    Snapshot {
        cluster: Arc::new(Cluster::new(members, manner)),
        sessions,
        placement: Arc::new(placement(config, before)),
        public,
        patience: Patience {
            connect: timeouts.connect,
            first_byte: timeouts.first_byte,
            first_byte_other: timeouts.first_byte_other,
            stall: timeouts.stall,
            queue: config.limits.queue_wait,
            maintenance: timeouts.maintenance,
            release: config
                .vip
                .as_ref()
                .map_or(Duration::ZERO, |vip| vip.release_within),
            node_idle: timeouts.node_idle.min(Duration::from_secs(74)),
            pace: Pace {
                idle: timeouts.body_idle,
                min_rate: timeouts.min_rate,
            },
        },
        attempts: config.retry.attempts,
        queue: config.limits.queue,
        admission: Admission {
            client: config.limits.client.clone(),
            user: config.limits.user,
            access: config.access.clone(),
        },
        resume: config.resume,
        budget: match same_retry {
            Some(world) => world.snapshot.budget.clone(),
            None => Arc::new(RetryBudget::new(
                config.retry.budget,
                config.retry.budget_min,
            )),
        },
    }
}
