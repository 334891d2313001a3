//! Topologies: which nodes may take a request, and what ties it to one of them.
//!
//! With `shared` storage every node may take everything; a repository's requests hash alike, so that the rendezvous
//! algorithm keeps them together and all doors agree. Where nodes have data of their own, a request has a [`demand`] on
//! them, from which follows a [`course`] over the storages of the [`layout`]: [`writers`] knows who writes a project,
//! [`journal`] who lacks what was written, [`gone`] what was deleted, [`scout`] whose tokens a node accepts. [`affinity`]
//! learns from answers what sticks to a node and finds it again; [`reconcile`] brings to peers what they lack; [`obey`] makes the nodes do what operators said, at
//! whichever door.

pub mod affinity;
pub mod course;
pub mod demand;
pub mod gone;
pub mod journal;
pub mod layout;
pub mod obey;
pub mod plot;
pub mod promotion;
pub mod reconcile;
pub mod scout;
pub mod writers;
pub mod written;

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::balance;
use crate::config::Config;
use crate::harbor::path::Target;
use crate::upstream::nodes::Nodes;
use journal::Journal;
use layout::Layout;
use promotion::Promotion;
use scout::Sighted;
use writers::Writers;

/// Where the data of a cluster are, as requests see it.
pub struct Placement {
    /// As the operator wrote it.
    configured: Layout,
    state_dir: PathBuf,
    /// As it is since the last promotion.
    layout: ArcSwap<Layout>,
    apart: bool,
    /// Who writes what.
    pub writers: Arc<Writers>,
    /// What was written and is not known to be everywhere.
    pub journal: Arc<Journal>,
    sighted: ArcSwap<Sighted>,
    /// Projects that the operator says are proxy caches.
    proxies: HashSet<String>,
}

impl Placement {
    /// As a configuration says, with what `before` knew.
    pub fn new(config: &Config, journal: Arc<Journal>, before: Option<&Self>) -> Self {
        let cluster = &config.cluster;
        let layout = Layout::new(cluster);
        let placement = Placement {
            state_dir: config.state_dir.clone(),
            sighted: ArcSwap::from_pointee(Sighted::by_address(cluster)),
            apart: !layout.topology.shares_data(),
            layout: ArcSwap::from_pointee(layout.clone()),
            configured: layout,
            writers: before.map_or_else(Arc::default, |before| before.writers.clone()),
            journal,
            proxies: cluster.proxy_cache.iter().cloned().collect(),
        };
        if let Some(promotion) = Promotion::kept(&config.state_dir) {
            placement.promote(&promotion);
        }
        placement
    }

    /// Where each node's data are.
    pub fn layout(&self) -> arc_swap::Guard<Arc<Layout>> {
        self.layout.load()
    }

    /// Promotes a node, so that it is the primary after a restart, too. `None` where there is no primary, or no such node.
    pub fn crown(&self, node: &str) -> Option<Promotion> {
        let promotion = Promotion::new(&self.configured, node);
        promotion.applied(&self.configured)?;
        if let Err(error) = promotion.keep(&self.state_dir) {
            tracing::error!(%error, "the promotion is not kept: it ends with this process; free the disk under state_dir");
        }
        self.promote(&promotion);
        Some(promotion)
    }

    /// Lets a promotion hold, if it does in this configuration.
    pub fn promote(&self, promotion: &Promotion) {
        let Some(changed) = promotion.applied(&self.configured) else {
            return;
        };
        if **self.layout.load() != changed {
            tracing::warn!(
                node = promotion.node,
                over = promotion.over,
                "it is the primary now: what is written goes there"
            );
            self.layout.store(Arc::new(changed));
        }
    }

    /// Whether nodes have data of their own.
    pub fn is_apart(&self) -> bool {
        self.apart
    }

    /// The nodes that have the same data as the one at `index`, which is among them.
    pub fn sharing(&self, index: usize) -> Nodes {
        let layout = self.layout();
        let store = layout.store_of(index);
        store.map_or(Nodes::only(index), |store| layout.nodes_of(store))
    }

    /// Whether a project is a proxy cache: its repositories are kept at one node each, so that several do not fetch the
    /// same layer from afar.
    pub fn is_proxy(&self, project: &str) -> bool {
        self.proxies.contains(project) || self.sighted.load().proxies.contains(project)
    }

    /// The nodes at an address.
    pub fn nodes_at(&self, address: IpAddr) -> Nodes {
        let sighted = self.sighted.load();
        let found = sighted.addresses.iter().filter(|(at, _)| *at == address);
        found.map(|(_, index)| *index).collect()
    }

    /// The nodes that may accept tokens signed by the key whose id has this hash: all but those known to have another key.
    pub fn accepting(&self, key: u64) -> Nodes {
        let sighted = self.sighted.load();
        let others = sighted.keys.iter().filter(|(known, _)| *known != key);
        Nodes::ALL.without(others.map(|(_, index)| *index).collect())
    }
}

/// What rendezvous hashes for this request: its repository, so that one node's caches see all of it.
pub fn key(target: &Target<'_>) -> Option<u64> {
    target
        .repository
        .as_deref()
        .map(|repository| balance::hash(repository.as_bytes()))
}
