//! Where each node's data are: which nodes share a storage, which of these take what is written, how far each is.

use std::sync::Arc;

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
    /// The name of each node and the hash of it, by place.
    nodes: Vec<(Arc<str>, u64)>,
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
        let nodes = cluster.node.iter().map(|node| {
            let seed = balance::hash(node.name.as_bytes());
            (node.name.as_str().into(), seed)
        });
        Self {
            topology,
            stores,
            nodes: nodes.collect(),
        }
    }

    /// All its nodes.
    pub fn all(&self) -> Nodes {
        (0..self.nodes.len()).collect()
    }

    /// The place of the node whose name has this hash.
    pub fn node(&self, seed: u64) -> Option<usize> {
        self.nodes.iter().position(|(_, known)| *known == seed)
    }

    /// The name of a storage's first node: what stands for it where nodes are named.
    pub fn head(&self, store: usize) -> Option<&Arc<str>> {
        let first = self.stores.get(store)?.nodes.places().next()?;
        self.nodes.get(first).map(|(name, _)| name)
    }

    /// The nodes of the storage at a place.
    pub fn nodes_of(&self, store: usize) -> Nodes {
        self.stores
            .get(store)
            .map_or(Nodes::NONE, |store| store.nodes)
    }

    /// The storages that may write `project`, the one first that all doors would choose.
    pub fn writers(&self, project: &str) -> Vec<usize> {
        let hash = balance::hash(project.as_bytes()).to_le_bytes();
        let rank = |store: &Store| {
            let mut bytes = [0; 16];
            let (front, back) = bytes.split_at_mut(8);
            front.copy_from_slice(&hash);
            back.copy_from_slice(&store.seed.to_le_bytes());
            balance::hash(&bytes)
        };
        let mut writers: Vec<(u64, usize)> = self
            .stores
            .iter()
            .enumerate()
            .filter(|(_, store)| store.writes)
            .map(|(place, store)| (rank(store), place))
            .collect();
        writers.sort_unstable_by(|a, b| b.cmp(a));
        writers.into_iter().map(|(_, place)| place).collect()
    }

    /// The place of the storage that the node at `index` has.
    pub fn store_of(&self, index: usize) -> Option<usize> {
        self.stores.iter().position(|store| store.nodes.has(index))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub(super) mod tests {
    use super::*;
    use crate::config::{Config, parse};

    /// The layout of nodes `a`, `b`, … with the keys that are given of each.
    pub fn layout(topology: &str, nodes: &[&str]) -> Layout {
        let mut text = format!(
            "[[listen]]\naddress = \"127.0.0.1:1\"\n[cluster]\ntopology = \"{topology}\"\n"
        );
        for (name, keys) in ('a'..='z').zip(nodes) {
            text += &format!(
                "[[cluster.node]]\nname = \"{name}\"\nurl = \"http://10.0.0.1\"\n{keys}\n"
            );
        }
        let config: Config = parse(&text, std::path::Path::new("f")).unwrap();
        Layout::new(&config.cluster)
    }

    #[test]
    fn nodes_that_name_the_same_storage_share_it() {
        let layout = layout("replicated", &["storage = \"x\"", "", "storage = \"x\""]);
        assert_eq!(layout.stores.len(), 2);
        assert_eq!(layout.nodes_of(0), [0, 2].into_iter().collect());
        assert_eq!(layout.store_of(1), Some(1));
    }

    #[test]
    fn only_a_primary_or_the_highest_tier_writes() {
        let writes = |layout: Layout| -> Vec<bool> {
            layout.stores.iter().map(|store| store.writes).collect()
        };
        let primary = layout("primary-replica", &["role = \"primary\"", "", ""]);
        assert_eq!(writes(primary), [true, false, false]);
        let tiers = layout("tiered", &["tier = 0", "tier = 2", "tier = 1"]);
        assert_eq!(writes(tiers), [false, true, false]);
    }

    #[test]
    fn projects_are_spread_over_those_that_write_and_stay_when_another_leaves() {
        let (two, three) = (
            layout("replicated", &["", ""]),
            layout("replicated", &["", "", ""]),
        );
        let mut counts = [0; 3];
        for number in 0..300 {
            let project = format!("team-{number}");
            let writers = three.writers(&project);
            counts[writers[0]] += 1;
            let rest: Vec<usize> = writers.into_iter().filter(|store| *store != 2).collect();
            assert_eq!(two.writers(&project), rest);
        }
        assert!(counts.iter().all(|count| *count > 60), "{counts:?}");
    }
}
