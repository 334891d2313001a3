//! In which order nodes are asked where they have data of their own.
//!
//! A course has legs: sets of nodes, tried one after the other. Within a leg the operator's algorithm chooses, and a node
//! that fails is followed by another of the same leg. Where the answer of one node that it has no such thing is not the
//! last word, the course goes on to nodes with other data, a bounded number of them.

use std::time::Instant;

use super::layout::Layout;
use crate::config::Topology;
use crate::harbor::class::Class;
use crate::upstream::cluster::{Cluster, Lack, Want};
use crate::upstream::lease::Lease;
use crate::upstream::nodes::Nodes;
use std::sync::Arc;

/// The most storages that are asked for something that others do not have.
const MOST_ASKED: usize = 4;

/// In which order nodes are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    leg: Nodes,
    further: Vec<Nodes>,
    /// Whether another storage may have what one has not.
    climbs: bool,
    /// Nodes whose word is final all the same.
    last_word: Nodes,
    /// Storages that may still be asked.
    left: usize,
}

impl Course {
    /// Any node; the first word is the last.
    pub const ANYWHERE: Course = Course {
        leg: Nodes::ALL,
        further: Vec::new(),
        climbs: false,
        last_word: Nodes::NONE,
        left: 0,
    };

    /// These legs in this order, those first on which some node `serves`; a node is asked on the first of its legs only.
    pub fn new(legs: &[Nodes], climbs: bool, serves: impl Fn(Nodes) -> bool) -> Self {
        let mut seen = Nodes::NONE;
        let mut legs: Vec<Nodes> = legs
            .iter()
            .map(|leg| {
                let new = leg.without(seen);
                seen = seen.with(new);
                new
            })
            .filter(|leg| !leg.is_empty())
            .collect();
        legs.sort_by_key(|leg| !serves(*leg));
        let mut legs = legs.into_iter();
        Course {
            leg: legs.next().unwrap_or(Nodes::NONE),
            further: legs.collect(),
            climbs,
            last_word: Nodes::NONE,
            left: MOST_ASKED,
        }
    }

    /// The same, with `nodes` before all others.
    pub fn first(mut self, nodes: Nodes) -> Self {
        let before = std::mem::replace(&mut self.leg, nodes);
        self.further.insert(0, before);
        self
    }

    /// The same without nodes that would refuse its token, as long as there are others.
    pub fn known_to(self, nodes: Nodes) -> Self {
        let legs: Vec<Nodes> = std::iter::once(self.leg)
            .chain(self.further.iter().copied())
            .map(|leg| leg.among(nodes))
            .filter(|leg| !leg.is_empty())
            .collect();
        match legs.split_first() {
            Some((leg, further)) => Course {
                leg: *leg,
                further: further.to_vec(),
                ..self
            },
            None => self,
        }
    }

    /// Leases the next node that was not `tried`.
    ///
    /// # Errors
    /// [`Lack`]; where nodes of this leg have no room, it does not go on to the next.
    pub fn lease(
        &mut self,
        cluster: &Arc<Cluster>,
        class: Class,
        want: Want,
        tried: Nodes,
        now: Instant,
    ) -> Result<Lease, Lack> {
        loop {
            let want = Want {
                among: self.leg,
                ..want
            };
            let leased = cluster.lease(class, want, tried, now);
            if !matches!(leased, Err(Lack::NoNode)) || self.further.is_empty() {
                return leased;
            }
            self.leg = self.further.remove(0);
        }
    }

    /// The same, on which `nodes` have the last word.
    pub fn ending_with(self, nodes: Nodes) -> Self {
        Course {
            last_word: nodes,
            ..self
        }
    }

    /// Whether the word of the node at `index` that something is not there may not be the last.
    pub fn climbs(&self, index: usize) -> bool {
        self.climbs && !self.last_word.has(index)
    }

    /// Whether nodes of other storages shall be asked, now that one has not what is asked for.
    pub fn goes_on(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }
}

/// The order in which reads take the storages of a layout, without regard to what is in them.
pub fn reads(layout: &Layout) -> Vec<Nodes> {
    match layout.topology {
        Topology::Shared | Topology::Replicated => vec![layout.all()],
        Topology::PrimaryReplica => {
            let part = |writes| {
                let stores = layout.stores.iter().filter(|store| store.writes == writes);
                stores.fold(Nodes::NONE, |nodes, store| nodes.with(store.nodes))
            };
            vec![part(false), part(true)]
        }
        Topology::Tiered => {
            let mut tiers: Vec<u8> = layout.stores.iter().map(|store| store.tier).collect();
            tiers.sort_unstable();
            tiers.dedup();
            let of = |tier| {
                let stores = layout.stores.iter().filter(|store| store.tier == tier);
                stores.fold(Nodes::NONE, |nodes, store| nodes.with(store.nodes))
            };
            tiers.into_iter().map(of).collect()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    fn nodes<const N: usize>(places: [usize; N]) -> Nodes {
        places.into_iter().collect()
    }

    fn legs(course: &Course) -> Vec<Nodes> {
        std::iter::once(course.leg)
            .chain(course.further.iter().copied())
            .collect()
    }

    #[test]
    fn tiers_are_read_from_the_nearest_to_the_farthest() {
        let layout = layout("tiered", &["tier = 2", "tier = 0", "tier = 1", "tier = 0"]);
        assert_eq!(reads(&layout), [nodes([1, 3]), nodes([2]), nodes([0])]);
    }

    #[test]
    fn replicas_are_read_before_their_primary() {
        let layout = layout("primary-replica", &["role = \"primary\"", "", ""]);
        assert_eq!(reads(&layout), [nodes([1, 2]), nodes([0])]);
    }

    #[test]
    fn a_leg_on_which_nobody_serves_comes_last() {
        let course = Course::new(&[nodes([0]), nodes([1]), nodes([2])], true, |leg| {
            leg != nodes([0])
        });
        assert_eq!(legs(&course), [nodes([1]), nodes([2]), nodes([0])]);
    }

    #[test]
    fn a_node_is_asked_once() {
        let course = Course::new(&[nodes([1]), nodes([0, 1])], true, |_| true);
        assert_eq!(legs(&course), [nodes([1]), nodes([0])]);
    }

    #[test]
    fn a_token_goes_to_those_that_know_its_key_and_anywhere_if_nobody_does() {
        let course = || Course::new(&[nodes([0]), nodes([1])], true, |_| true);
        assert_eq!(legs(&course().known_to(nodes([1]))), [nodes([1])]);
        assert_eq!(legs(&course().known_to(nodes([7]))), legs(&course()));
    }

    #[test]
    fn the_number_of_storages_that_are_asked_is_bounded() {
        let mut course = Course::new(&[Nodes::ALL], true, |_| true);
        assert_eq!(
            std::iter::from_fn(|| course.goes_on().then_some(())).count(),
            3
        );
    }
}
