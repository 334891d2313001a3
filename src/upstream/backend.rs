//! One Harbor node: where it is, how to reach its parts, and what is known of it. Outlives configurations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::capacity::Capacity;
use super::endpoint::Endpoint;
use super::standing::Standing;
use crate::balance;
use crate::config::{Endpoints, Node, Room};
use crate::harbor::circuit::Circuit;
use crate::harbor::class::Class;
use crate::harbor::dialect::Dialect;
use crate::health::outlier::Outlier;
use crate::session::word::Wish;
use crate::telemetry::metrics::NodeMetrics;
use crate::tls::Pair;
use crate::tls::client::LiveClient;

/// One Harbor node.
pub struct Backend {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// A stable hash of the name, by which all doors agree.
    pub seed: u64,
    /// What is known of it.
    pub standing: Standing,
    /// How many requests it gets at once.
    pub capacity: Capacity,
    /// Its own counters.
    pub metrics: Arc<NodeMetrics>,
    /// TLS to it, which follows its files.
    pub tls: Arc<LiveClient>,
    weight: AtomicU32,
    configured: AtomicU32,
    endpoints: Endpoints,
    core: Endpoint,
    portal: Option<Endpoint>,
}

impl Backend {
    /// A node as the configuration describes it.
    ///
    /// # Errors
    /// An address that cannot be used, in words.
    pub fn new(
        node: &Node,
        tls: Arc<LiveClient>,
        outlier: &Outlier,
        metrics: Arc<NodeMetrics>,
    ) -> Result<Self, String> {
        let (core, portal) = match &node.endpoints {
            Endpoints::Whole(url) => (Endpoint::new(url.clone(), tls.clone())?, None),
            Endpoints::Parts { core, portal } => {
                let portal = portal
                    .as_ref()
                    .map(|url| Endpoint::new(url.clone(), tls.clone()))
                    .transpose()?;
                (Endpoint::new(core.clone(), tls.clone())?, portal)
            }
        };
        Ok(Backend {
            name: node.name.as_str().into(),
            seed: balance::hash(node.name.as_bytes()),
            standing: Standing::new(outlier),
            capacity: Capacity::new(Room::default()),
            metrics,
            tls,
            weight: AtomicU32::new(node.weight),
            configured: AtomicU32::new(node.weight),
            endpoints: node.endpoints.clone(),
            core,
            portal,
        })
    }

    /// Whether a configuration's node is this one, so that its live state carries over.
    pub fn is(&self, node: &Node, identity: Option<&Pair>) -> bool {
        *self.name == *node.name
            && self.endpoints == node.endpoints
            && self.tls.is_of(node.ca.as_deref(), identity)
    }

    /// The operator's weight.
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Sets the weight; counts from the next request on.
    pub fn set_weight(&self, weight: u32) {
        self.weight.store(weight, Ordering::Relaxed);
    }

    /// The weight that its configuration gives it.
    pub fn configured_weight(&self) -> u32 {
        self.configured.load(Ordering::Relaxed)
    }

    /// Takes over the weight of a new configuration. One that differs from the last is the operator's latest word;
    /// true then.
    pub fn configure_weight(&self, weight: u32) -> bool {
        let changed = self.configured.swap(weight, Ordering::Relaxed) != weight;
        if changed {
            self.set_weight(weight);
        }
        changed
    }

    /// Whether Seawall speaks to the parts of this node itself and so does what Harbor's nginx would do.
    pub fn is_direct(&self) -> bool {
        matches!(self.endpoints, Endpoints::Parts { .. })
    }

    /// The address for a request; `to_core` is what Harbor's nginx would decide by the path.
    pub fn endpoint(&self, to_core: bool) -> &Endpoint {
        match &self.portal {
            Some(portal) if !to_core => portal,
            _ => &self.core,
        }
    }

    /// Whether the node has a portal of its own address.
    pub fn portal(&self) -> Option<&Endpoint> {
        self.portal.as_ref()
    }

    /// What must stand before the path of a `/v2/` request: Harbor 1.5's `ui` has its registry elsewhere.
    pub fn registry_prefix(&self) -> &'static str {
        if self.is_direct() && self.standing.dialect() == Some(Dialect::Harbor15) {
            "/registryproxy"
        } else {
            ""
        }
    }

    /// The address as people know it.
    pub fn url(&self) -> String {
        self.core.url().to_string()
    }

    /// Closes connections that have been idle for longer than `keep`.
    pub fn sweep(&self, keep: Duration) {
        self.core.pool.sweep(keep);
        if let Some(portal) = &self.portal {
            portal.pool.sweep(keep);
        }
    }

    /// Ends every connection to the node, busy or idle, at once, as if the node had broken off: what runs there fails, or
    /// goes to another node where it may be repeated. Says how many connections it ended; new ones may be opened.
    pub fn sever(&self) -> usize {
        let portal = self.portal.as_ref().map_or(0, Endpoint::sever);
        self.core.sever() + portal
    }

    /// Its state in one word of the status.
    pub fn state(&self) -> &'static str {
        let standing = &self.standing;
        match standing.wish() {
            Wish::Drain => return "draining",
            Wish::Maintenance => return "maintenance",
            Wish::Ready => {}
        }
        if !standing.probed() {
            return "unknown";
        }
        if !standing.reachable() {
            return "down";
        }
        // It was recognised, and nobody has asked yet how its parts are.
        if standing.components().is_empty() {
            return "unknown";
        }
        let serves = [Class::ManifestRead, Class::ApiRead, Class::UiAsset]
            .map(|class| standing.serves(class));
        match serves {
            [false, false, _] => "down",
            _ if Circuit::ALL
                .into_iter()
                .any(|circuit| standing.ejection.is_out(circuit)) =>
            {
                "ejected"
            }
            [true, true, true] => "up",
            _ => "degraded",
        }
    }
}
