//! The nodes of one registry, and the one function that chooses among them.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::capacity::Permit;
use super::ejection::Test;
use super::lease::Lease;
use super::nodes::Nodes;
use super::standing::Lacking;
use crate::balance::{self, Algorithm, Candidate, Turn};
use crate::harbor::class::{Class, Repeat};
use crate::harbor::component::Components;
use crate::harbor::share::Share;
use crate::health::Measure;

/// What a request would like of the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// What rendezvous hashes: all doors choose alike for it.
    pub key: Option<u64>,
    /// Whether the choice goes by `key` whatever the operator's algorithm is.
    pub by_key: bool,
    /// The node that it is tied to, by its seed.
    pub tied: Option<Tied>,
    /// The nodes that may take it.
    pub among: Nodes,
}

impl Want {
    /// Any node; `key` is what rendezvous hashes.
    pub const fn any(key: Option<u64>) -> Self {
        Want {
            key,
            by_key: false,
            tied: None,
            among: Nodes::ALL,
        }
    }
}

/// A node that a request is tied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tied {
    /// What began there shall be finished there, even while the node drains.
    ToFinish(u64),
    /// It is as good as any while it takes new work.
    WhileFit(u64),
}

impl Tied {
    /// The seed of that node.
    pub const fn seed(self) -> u64 {
        let (Tied::ToFinish(seed) | Tied::WhileFit(seed)) = self;
        seed
    }
}

/// Why no node was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// No node is left that the request could be sent to at all.
    NoNode,
    /// These would serve it, and have no room for it now.
    NoRoom(Nodes),
}

/// How far the choice had to stoop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// Well by every evidence.
    Fit,
    /// Well by probes, though traffic had it ejected.
    Ejected,
    /// A component that the class needs is down everywhere: better to ask a node that accepts connections than to
    /// refuse everybody, since the component may be shared and the evidence wrong.
    Panic,
}

/// How the cluster chooses.
#[derive(Clone, Debug, PartialEq)]
pub struct Manner {
    /// The algorithm.
    pub balance: Algorithm,
    /// Percent of the nodes that may be ejected at once.
    pub max_percent: u8,
    /// How long a node warms up after it came back.
    pub slow_start: Duration,
    /// When a node is out of line with its siblings.
    pub measure: Measure,
    /// Which nodes are siblings, in the order of the nodes: those with the same number.
    pub kin: Vec<u8>,
}

/// The nodes of one registry.
pub struct Cluster {
    members: Vec<Arc<Backend>>,
    manner: Manner,
    turn: Turn,
}

impl Cluster {
    /// The most nodes a cluster can have.
    pub const MOST: usize = 128;

    /// A cluster of `members`, at most [`Cluster::MOST`] of them.
    pub fn new(members: Vec<Arc<Backend>>, manner: Manner) -> Self {
        Cluster {
            members,
            manner,
            turn: Turn::new(),
        }
    }

    /// Its nodes in the order of the configuration.
    pub fn members(&self) -> &[Arc<Backend>] {
        &self.members
    }

    /// Chooses a node for a request of `class` that was not `tried` yet, as it would `want`.
    ///
    /// # Errors
    /// [`Lack`]; nothing waits here.
    pub fn lease(
        self: &Arc<Self>,
        class: Class,
        want: Want,
        tried: Nodes,
        now: Instant,
    ) -> Result<Lease, Lack> {
        let mut full = Nodes::NONE;
        if let Some(tied) = want.tied
            && let Some(index) = self.tied(class, tied)
            && !tried.has(index)
            && want.among.has(index)
        {
            full.add(index);
            match self.take(index, class, None) {
                Some(lease) => return Ok(lease),
                // What is read is elsewhere as well, in all likelihood; sessions and what is written may not be.
                None if matches!(tied, Tied::WhileFit(_)) && class.share() == Share::Pull => {}
                None => return Err(Lack::NoRoom(full)),
            }
        }
        if let Some(lease) = self.on_trial(class, want.among, tried, now) {
            return Ok(lease);
        }
        let tier = self.tier(class, want.among).ok_or(Lack::NoNode)?;
        let algorithm = match want.by_key {
            true => Algorithm::Rendezvous,
            false => self.manner.balance,
        };
        let by_latency = algorithm == Algorithm::Ewma;
        let by_key = algorithm == Algorithm::Rendezvous;
        let candidates = self
            .members
            .iter()
            .enumerate()
            .filter(|(index, backend)| {
                want.among.has(*index) && !tried.has(*index) && fits(backend, class, tier)
            })
            .map(|(index, backend)| Candidate {
                index,
                // Doors that saw a node come back at different moments must still agree.
                weight: backend.weight() as f32
                    * match by_key {
                        true => 1.0,
                        false => {
                            backend
                                .standing
                                .share(class.circuit(), self.manner.slow_start, now)
                        }
                    },
                in_flight: backend.capacity.in_flight(),
                latency: if by_latency {
                    backend.standing.latency.value(now)
                } else {
                    0.0
                },
                seed: backend.seed,
            });
        // The choice looks at its candidates several times: what each of them is like is found out once.
        CHOICE.with_borrow_mut(|(rng, known)| {
            known.clear();
            known.extend(candidates);
            loop {
                let candidates = known.iter().copied();
                let candidates = candidates.filter(|candidate| !full.has(candidate.index));
                let Some(index) = balance::choose(algorithm, candidates, want.key, &self.turn, rng)
                else {
                    return Err(match full.is_empty() {
                        true => Lack::NoNode,
                        false => Lack::NoRoom(full),
                    });
                };
                match self.take(index, class, None) {
                    Some(lease) => return Ok(lease),
                    None => full.add(index),
                }
            }
        })
    }

    fn take(self: &Arc<Self>, index: usize, class: Class, test: Option<Test>) -> Option<Lease> {
        let permit = Permit::take(self.members.get(index)?, class.share())?;
        Some(Lease::new(permit, self.clone(), index, class, test))
    }

    /// A node that is on trial and shall be tried with this request, which another one would serve if it fails.
    fn on_trial(
        self: &Arc<Self>,
        class: Class,
        among: Nodes,
        tried: Nodes,
        now: Instant,
    ) -> Option<Lease> {
        if !tried.is_empty() || class.repeat() == Repeat::Never {
            return None;
        }
        let members = self.members.iter().enumerate();
        let mut out = members.filter(|(index, backend)| {
            backend.standing.ejection.is_out(class.circuit())
                && among.has(*index)
                && backend.weight() > 0
                && backend.standing.serves(class)
        });
        out.find_map(|(index, backend)| {
            let ejection = &backend.standing.ejection;
            let test = ejection.tests(class.circuit(), now)?;
            let lease = self.take(index, class, Some(test));
            if lease.is_none() {
                ejection.void(class.circuit(), test);
            }
            lease
        })
    }

    /// How it chooses.
    pub fn manner(&self) -> &Manner {
        &self.manner
    }

    /// What became of waiting for one of the nodes that had no room: `None` if the node is no longer fit.
    pub fn granted(self: &Arc<Self>, permit: Permit, class: Class, want: Want) -> Option<Lease> {
        let same = |backend: &Arc<Backend>| Arc::ptr_eq(backend, permit.backend());
        let index = self.members.iter().position(same)?;
        let tied = want.tied.and_then(|tied| self.tied(class, tied));
        let fit = || fits(permit.backend(), class, self.tier(class, want.among)?).then_some(());
        if tied != Some(index) {
            fit()?;
        }
        Some(Lease::new(permit, self.clone(), index, class, None))
    }

    /// The place of the node that a request is tied to, as long as it can be sent there.
    fn tied(&self, class: Class, tied: Tied) -> Option<usize> {
        let seed = tied.seed();
        let index = self
            .members
            .iter()
            .position(|backend| backend.seed == seed)?;
        let backend = self.members.get(index)?;
        let can = match tied {
            Tied::ToFinish(_) => backend.standing.finishes(class),
            Tied::WhileFit(_) => fits(backend, class, Tier::Fit),
        };
        can.then_some(index)
    }

    /// Whether a request of `class` would be sent to a node now.
    pub fn could_serve(&self, class: Class) -> bool {
        self.tier(class, Nodes::ALL).is_some()
    }

    /// Whether some node serves `class` by all evidence; otherwise it is panic or nothing.
    pub fn serves_well(&self, class: Class) -> bool {
        matches!(
            self.tier(class, Nodes::ALL),
            Some(Tier::Fit | Tier::Ejected)
        )
    }

    /// Whether one of `among` serves `class` by all evidence.
    pub fn serves_among(&self, class: Class, among: Nodes) -> bool {
        matches!(self.tier(class, among), Some(Tier::Fit | Tier::Ejected))
    }

    /// Whether all of `nodes` said a moment ago that they only read.
    pub fn only_reads(&self, nodes: Nodes) -> bool {
        let mut members = self.members.iter().enumerate();
        members.all(|(index, backend)| !nodes.has(index) || backend.standing.only_reads())
    }

    /// What no node has at the moment.
    pub fn lacking(&self) -> Lacking {
        let mut down = Components::ALL;
        for backend in &self.members {
            down = down.intersection(backend.standing.down());
        }
        Lacking {
            components: down,
            connection: self
                .members
                .iter()
                .all(|backend| !backend.standing.reachable()),
        }
    }

    /// The best tier that any node of `among` reaches, tried or not: a retry must not stoop below it.
    fn tier(&self, class: Class, among: Nodes) -> Option<Tier> {
        let reached = |tier| {
            let mut members = self.members.iter().enumerate();
            members.any(|(index, backend)| among.has(index) && fits(backend, class, tier))
        };
        [Tier::Fit, Tier::Ejected, Tier::Panic]
            .into_iter()
            .find(|tier| reached(*tier))
    }
}

fn fits(backend: &Backend, class: Class, tier: Tier) -> bool {
    let standing = &backend.standing;
    match tier {
        Tier::Fit => standing.serves(class) && !standing.ejection.is_out(class.circuit()),
        Tier::Ejected => standing.serves(class),
        Tier::Panic => standing.accepts(),
    }
}

thread_local! {
    static CHOICE: RefCell<(fastrand::Rng, Vec<Candidate>)> =
        RefCell::new((fastrand::Rng::new(), Vec::new()));
}
