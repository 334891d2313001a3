//! The journal: what was written through this door, kept on disk until every storage that should have it does.

use crate::upstream::nodes::Nodes;

/// What was done to a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A manifest was accepted; its digest.
    Push(String),
    /// A manifest, a tag or a whole repository was deleted.
    Delete,
}

/// One accepted change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was done.
    pub deed: Deed,
    /// `project/name`.
    pub repository: String,
    /// The tag or digest; empty: the whole repository.
    pub reference: String,
    /// The node that did it.
    pub node: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// What was written and is not known to be everywhere.
#[derive(Debug, Default)]
pub struct Journal {}

impl Journal {
    /// Keeps a change: when this returns it is on disk.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn keep(&self, _change: Change) -> std::io::Result<()> {
        Ok(())
    }

    /// The hash of the name of the node that took the last change of `project` that is not known to be everywhere.
    pub fn latest(&self, _project: &str) -> Option<u64> {
        None
    }

    /// The nodes that lack something of `repository`, as far as is known here. Costs next to nothing.
    pub fn behind(&self, _repository: &str) -> Nodes {
        Nodes::NONE
    }
}
