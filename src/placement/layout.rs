//! Where each node's data are: which nodes share a storage, which of these take what is written, how far each is.

use crate::balance;
use crate::config::{self, Role, Topology};
use crate::upstream::nodes::Nodes;

/// The nodes that share one storage and one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// What the operator calls it: the storage's name, or that of its only node.
    pub name: String,
    /// A stable hash of the name, by which all doors agree.
    pub seed: u64,
    /// Its nodes.
    pub nodes: Nodes,
    /// How far it is; 0 is nearest.
    pub tier: u8,
    /// Whether it takes what is written, where only some do.
    pub writes: bool,
}

/// Where each node's data are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How the nodes hold data.
    pub topology: Topology,
    /// The storages, in the order of their first nodes. One with all nodes where they share everything.
    pub stores: Vec<Store>,
}

impl Layout {
    /// As the operator wrote it.
    pub fn new(cluster: &config::Cluster) -> Self {
        let topology = cluster.topology;
        let highest = cluster.node.iter().filter_map(|node| node.part.tier).max();
        let top = cluster.write_tier.or(highest).unwrap_or_default();
        let mut stores: Vec<Store> = Vec::new();
        for (index, node) in cluster.node.iter().enumerate() {
            let part = &node.part;
            let name = match &part.storage {
                _ if topology.shares_data() => "",
                Some(storage) => storage,
                None => &node.name,
            };
            let tier = part.tier.unwrap_or_default();
            let writes = match topology {
                Topology::Shared | Topology::Replicated => true,
                Topology::PrimaryReplica => part.role == Some(Role::Primary),
                Topology::Tiered => tier == top,
            };
            match stores.iter_mut().find(|store| store.name == name) {
                Some(store) => {
                    store.nodes.add(index);
                    store.tier = store.tier.min(tier);
                    store.writes |= writes;
                }
                None => stores.push(Store {
                    name: name.to_owned(),
                    seed: balance::hash(name.as_bytes()),
                    nodes: Nodes::only(index),
                    tier,
                    writes,
                }),
            }
        }
        Self { topology, stores }
    }

    /// The place of the storage that the node at `index` has.
    pub fn store_of(&self, index: usize) -> Option<usize> {
        self.stores.iter().position(|store| store.nodes.has(index))
    }
}
