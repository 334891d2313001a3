//! A chosen node plus one unit of its capacity. Dropping it gives the unit back to whoever waits for it; what it learnt is
//! said before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::capacity::{self, Permit};
use super::cluster::Cluster;
use super::ejection::Test;
use super::siblings;
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
    /// Whether it is part of the node's trial.
    test: Option<Test>,
    /// Since when an answer is waited for that other nodes give, too.
    waits: Option<Instant>,
}

impl Lease {
    pub(super) fn new(
        permit: Permit,
        cluster: Arc<Cluster>,
        index: usize,
        class: Class,
        test: Option<Test>,
    ) -> Self {
        Lease {
            permit,
            cluster,
            index,
            class,
            test,
            waits: None,
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

    /// The node is asked `now` for what it can answer by itself, without more of the client.
    pub fn waits(&mut self, now: Instant) {
        if self.class.is_comparable() {
            self.backend().standing.gauge.waits(self.class.index());
            self.waits = Some(now);
        }
    }

    /// The node began its answer `now`, after `waited`.
    pub fn began(&mut self, waited: Duration, now: Instant) {
        let waiting = self.waits.take().is_some();
        let backend = self.backend();
        let gauge = &backend.standing.gauge;
        backend.standing.latency.observe(waited, now);
        if self.class.share() == Share::Pull {
            capacity::observe(backend, waited, now);
        }
        if waiting {
            let kind = self.class.index();
            gauge.answered(kind, waited);
            if let Some(test) = self.test
                && gauge.is_late(kind, waited)
            {
                siblings::fell(backend, self.class.circuit(), test, siblings::SLOW, now);
            }
        }
    }

    /// The attempt is over, by an answer or without one; `error`: by a 500, which says something only beside siblings.
    pub fn ended(&self, error: bool) {
        let (backend, circuit) = (self.backend(), self.class.circuit());
        let (gauge, group) = (&backend.standing.gauge, circuit.index());
        gauge.came_to_an_end(group);
        // A server of charts is no part of what is judged.
        let judged = !matches!(self.class, Class::Chart | Class::Internal);
        if error && judged {
            gauge.failed(group);
            if let Some(test) = self.test {
                let reason = Failing::Answer.slug();
                siblings::fell(backend, circuit, test, reason, Instant::now());
            }
        }
    }

    /// The node answered, and the answer says nothing bad about it.
    pub fn went_well(&self) {
        let (backend, circuit) = (self.backend(), self.class.circuit());
        backend.standing.ejection.went_well(circuit);
        if let Some(test) = self.test {
            siblings::stood(backend, circuit, test);
        }
    }

    /// The node failed this request.
    pub fn failed(&self, how: Failing) {
        let (backend, circuit) = (self.backend(), self.class.circuit());
        if let Some(test) = self.test {
            siblings::fell(backend, circuit, test, how.slug(), Instant::now());
        }
        siblings::blame(&self.cluster, backend, circuit, how);
    }

    /// Gives the unit back, for an answer that is kept while another node is asked: whoever holds a unit must not wait for
    /// another, or two could wait for each other.
    pub fn rest(&mut self) {
        self.permit.rest();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let standing = &self.permit.backend().standing;
        if let Some(since) = self.waits {
            standing.gauge.left(self.class.index(), since.elapsed());
        }
        if let Some(test) = self.test {
            standing.ejection.void(self.class.circuit(), test);
        }
    }
}
