//! Topologies: which nodes may take a request, and what ties it to one of them.
//!
//! With `shared` storage every node may take everything; a repository's requests hash alike, so that the rendezvous
//! algorithm keeps them together and all doors agree. [`affinity`] learns from answers what sticks to a node and finds
//! it again; [`obey`] makes the nodes do what operators said, at whichever door.

pub mod affinity;
pub mod journal;
pub mod layout;
pub mod obey;

use crate::balance;
use crate::harbor::path::Target;

/// What rendezvous hashes for this request: its repository, so that one node's caches see all of it.
pub fn key(target: &Target<'_>) -> Option<u64> {
    target
        .repository
        .as_deref()
        .map(|repository| balance::hash(repository.as_bytes()))
}
