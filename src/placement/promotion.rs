//! The promotion of a replica: an operator's word that outlives the process and holds at every door.
//!
//! It holds against the configuration for as long as that names the same primary as when it was given: who changes the
//! configuration has the last word.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::config::Topology;
use crate::session::entry;

/// That a node takes what is written, in place of the primary of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The node.
    pub node: String,
    /// The storage of the primary that it was given against.
    pub over: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

impl Promotion {
    /// Promotes `node` in a layout as it is configured.
    pub fn new(layout: &Layout, node: &str) -> Self {
        Promotion {
            node: node.to_owned(),
            over: primary(layout).unwrap_or_default().to_owned(),
            at: entry::now(),
        }
    }

    /// The layout in which it holds, if it does.
    pub fn applied(&self, layout: &Layout) -> Option<Layout> {
        let holds = layout.topology == Topology::PrimaryReplica
            && primary(layout) == Some(self.over.as_str());
        let node = layout.node(crate::balance::hash(self.node.as_bytes()));
        let place = layout.store_of(node.filter(|_| holds)?)?;
        let mut changed = layout.clone();
        for (other, store) in changed.stores.iter_mut().enumerate() {
            store.writes = other == place;
        }
        Some(changed)
    }

    /// The one that was kept in a state directory, if any.
    pub fn kept(state_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file(state_dir)).ok()?).ok()
    }

    /// Keeps it there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&self, state_dir: &Path) -> io::Result<()> {
        fs::create_dir_all(state_dir)?;
        let (path, new) = (file(state_dir), state_dir.join("promotion.new"));
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }
}

fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("promotion.json")
}

fn primary(layout: &Layout) -> Option<&str> {
    let writes = layout.stores.iter().find(|store| store.writes);
    writes.map(|store| store.name.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    const FIRST: [&str; 3] = ["role = \"primary\"", "", ""];

    #[test]
    fn a_promoted_replica_takes_what_is_written() {
        let layout = layout("primary-replica", &FIRST);
        let changed = Promotion::new(&layout, "c").applied(&layout).unwrap();
        assert_eq!(changed.writers("team"), [2]);
    }

    #[test]
    fn a_configuration_that_names_another_primary_has_the_last_word() {
        let promotion = Promotion::new(&layout("primary-replica", &FIRST), "c");
        let other = layout("primary-replica", &["", "role = \"primary\"", ""]);
        assert_eq!(promotion.applied(&other), None);
        assert_eq!(
            promotion.applied(&layout("replicated", &["", "", ""])),
            None
        );
    }

    #[test]
    fn a_node_that_is_gone_is_no_primary() {
        let layout = layout("primary-replica", &FIRST);
        assert_eq!(Promotion::new(&layout, "z").applied(&layout), None);
    }

    #[test]
    fn what_is_kept_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Promotion::kept(directory.path()), None);
        let promotion = Promotion::new(&layout("primary-replica", &FIRST), "b");
        promotion.keep(directory.path()).unwrap();
        assert_eq!(Promotion::kept(directory.path()), Some(promotion));
    }
}
