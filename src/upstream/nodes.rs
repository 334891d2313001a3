//! A set of a cluster's nodes, by their place in it.

/// Some of the nodes of a cluster, by their place in the order of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nodes(u128);

impl Nodes {
    /// Every node that a cluster can have.
    pub const ALL: Nodes = Nodes(u128::MAX);
    /// None.
    pub const NONE: Nodes = Nodes(0);

    /// The one at `index`.
    pub const fn only(index: usize) -> Self {
        Nodes(1 << (index as u32 & 127))
    }

    /// Adds the one at `index`.
    pub fn add(&mut self, index: usize) {
        *self = self.with(Nodes::only(index));
    }

    /// Whether the one at `index` is among them.
    pub const fn has(self, index: usize) -> bool {
        self.0 & Nodes::only(index).0 != 0
    }

    /// These and those.
    pub const fn with(self, others: Nodes) -> Self {
        Nodes(self.0 | others.0)
    }

    /// These but not those.
    pub const fn without(self, others: Nodes) -> Self {
        Nodes(self.0 & !others.0)
    }

    /// Those of these that are in `others`, too.
    pub const fn among(self, others: Nodes) -> Self {
        Nodes(self.0 & others.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their places, in order.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..128).filter(move |index| self.has(*index))
    }
}

impl FromIterator<usize> for Nodes {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let mut nodes = Nodes::NONE;
        places.into_iter().for_each(|index| nodes.add(index));
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_added_and_nothing_else() {
        let nodes: Nodes = [0, 5, 127].into_iter().collect();
        assert_eq!(nodes.places().collect::<Vec<_>>(), [0, 5, 127]);
        assert_eq!(
            nodes.without(Nodes::only(5)).places().collect::<Vec<_>>(),
            [0, 127]
        );
        assert_eq!(nodes.among(Nodes::only(5)), Nodes::only(5));
        assert!(nodes.among(Nodes::only(6)).is_empty());
        assert!(Nodes::ALL.has(127));
    }
}
