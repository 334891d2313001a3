//! A chosen node plus one unit of its capacity. Dropping it gives the unit back to whoever waits for it; what it learnt is
//! said before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::capacity::{self, Permit};
use super::cluster::Cluster;
use crate::harbor::class::Class;
use crate::harbor::share::Share;

/// How a node failed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// No connection came about.
    Connect,
    /// The connection broke before or in the middle of the answer.
    Broke,
    /// No answer, or no more of it, in time.
    Silent,
    /// An answer that stands for a broken part: 502, 503, 504.
    Answer,
}

impl Failing {
    /// The word for it in metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Failing::Connect => "connect",
            Failing::Broke => "broke",
            Failing::Silent => "silent",
            Failing::Answer => "answer",
        }
    }
}

/// A chosen node plus one unit of its capacity.
pub struct Lease {
    permit: Permit,
    cluster: Arc<Cluster>,
    index: usize,
    class: Class,
}

impl Lease {
    pub(super) fn new(permit: Permit, cluster: Arc<Cluster>, index: usize, class: Class) -> Self {
        Lease {
            permit,
            cluster,
            index,
            class,
        }
    }

    /// The node.
    pub fn backend(&self) -> &Arc<Backend> {
        self.permit.backend()
    }

    /// Its place in the cluster, to leave it out the next time.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The node began its answer `now`, after `waited`.
    pub fn began(&self, waited: Duration, now: Instant) {
        let backend = self.backend();
        backend.standing.latency.observe(waited, now);
        if self.class.share() == Share::Pull {
            capacity::observe(backend, waited, now);
        }
    }

    /// The node answered, and the answer says nothing bad about it.
    pub fn went_well(&self) {
        let standing = &self.backend().standing;
        standing.ejection.went_well(self.class.lane());
    }

    /// The node failed this request.
    pub fn failed(&self, how: Failing) {
        self.cluster.blame(self.backend(), self.class.lane(), how);
    }

    /// Gives the unit back, for an answer that is kept while another node is asked: whoever holds a unit must not wait for
    /// another, or two could wait for each other.
    pub fn rest(&mut self) {
        self.permit.rest();
    }
}
