//! From a configuration to a world that could serve it, or why not.
//!
//! Everything that can fail is done here, before anything is swapped: certificates are read and matched with their
//! keys, nodes get their connections ready. What is live and unchanged is taken over from the world before: a node keeps
//! its connections and health, a listener its certificates and session tickets.

mod door;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::balance::RetryBudget;
use crate::config::{Certificate, Config, Node, Probe, Problem};
use crate::harbor::dialect::Dialect;
use crate::health::{Measure, Outlier};
use crate::placement::Placement;
use crate::session::Sessions;
use crate::state::snapshot::{Admission, Patience, Public, Snapshot};
use crate::telemetry::metrics::Metrics;
use crate::tls::Pair;
use crate::tls::client::LiveClient;
use crate::tls::server::LiveServer;
use crate::upstream::backend::Backend;
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
    pub doors: Vec<Option<Arc<LiveServer>>>,
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
        .map(|listen| door::build(&config, listen, before, &mut problems))
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

fn backend(
    config: &Config,
    node: &Node,
    before: Option<&World>,
    metrics: &Metrics,
    outlier: &Outlier,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Backend>> {
    let key = format!("cluster.node.{}", node.name);
    let identity = node.client_certificate.as_ref().map(pair);
    let known = before
        .map(|world| world.snapshot.cluster.members())
        .unwrap_or_default();
    let known = known
        .iter()
        .find(|backend| backend.is(node, identity.as_ref()));
    let tls = match known {
        Some(backend) => backend.tls.reload().map(|()| backend.tls.clone()),
        None => LiveClient::load(node.ca.clone(), identity).map(Arc::new),
    };
    let tls = match (tls, known) {
        (Ok(_), Some(backend)) => return Some(backend.clone()),
        (Ok(tls), None) => tls,
        (Err(error), _) => {
            let fix = "put a readable PEM file there";
            problems.push(config.problem(node.at, key, error.to_string(), fix));
            return None;
        }
    };
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

fn pair(certificate: &Certificate) -> Pair {
    Pair {
        chain: certificate.chain.clone(),
        key: certificate.key.clone(),
    }
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
