//! How a node's room is divided, so that a crowd of one kind cannot lock out the others.

/// The most requests that a node can have, and how many of them are kept for each of three shares.
///
/// A share takes freely up to what is kept for it. Beyond that it takes what nobody else was promised: what the others
/// have not used of theirs stays free for them. Nothing that runs is ever thrown out, so that this is what makes a promise
/// good at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    limit: u32,
    kept: [u32; 3],
}

impl Shares {
    /// The largest limit.
    pub const MOST: u32 = 1_000_000;

    /// `limit` requests, of which each share keeps so many percent, and one at the least.
    pub fn new(limit: u32, percent: [u8; 3]) -> Self {
        let limit = limit.min(Self::MOST);
        let part = |percent: u8| (u64::from(limit) * u64::from(percent) / 100).max(1) as u32;
        Shares {
            limit,
            kept: percent.map(part),
        }
    }

    /// From its parts.
    pub const fn of(limit: u32, kept: [u32; 3]) -> Self {
        Shares { limit, kept }
    }

    /// The most requests.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// What is kept for each share.
    pub const fn kept(&self) -> [u32; 3] {
        self.kept
    }

    /// Whether another request of `share` may come while so many of each are `taken`.
    pub fn admits(&self, taken: [u32; 3], share: usize) -> bool {
        let own = taken.get(share).zip(self.kept.get(share));
        own.is_some_and(|(taken, kept)| taken < kept) || self.promised(taken) < self.limit
    }

    /// What is taken or kept.
    fn promised(&self, taken: [u32; 3]) -> u32 {
        let each = taken.into_iter().zip(self.kept);
        each.map(|(taken, kept)| taken.max(kept))
            .fold(0, u32::saturating_add)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many of `share` get in one after the other.
    fn crowd(shares: Shares, mut taken: [u32; 3], share: usize) -> [u32; 3] {
        while shares.admits(taken, share) {
            taken[share] += 1;
        }
        taken
    }

    #[test]
    fn a_crowd_takes_what_is_free_and_leaves_what_is_kept_for_others() {
        let shares = Shares::new(100, [10, 20, 30]);
        assert_eq!(crowd(shares, [0; 3], 2), [0, 0, 70]);
        assert_eq!(crowd(shares, [10, 15, 0], 2), [10, 15, 70]);
        assert_eq!(crowd(shares, [40, 0, 0], 2), [40, 0, 40]);
    }

    #[test]
    fn what_is_kept_is_there_even_after_the_limit_fell_below_what_runs() {
        let shares = Shares::new(50, [10, 10, 10]);
        assert_eq!(crowd(shares, [0, 0, 500], 0), [5, 0, 500]);
        assert!(!shares.admits([0, 0, 500], 2));
    }

    #[test]
    fn every_share_keeps_one_place_at_the_least() {
        assert_eq!(Shares::new(8, [1, 1, 98]).kept(), [1, 1, 7]);
    }

    proptest! {
        #[test]
        fn no_order_of_coming_and_going_exceeds_the_limit_or_breaks_a_promise(
            limit in 8u32..200,
            percent in [1u8..33, 1u8..33, 1u8..33],
            moves in proptest::collection::vec((0usize..3, any::<bool>()), 0..1000),
        ) {
            let shares = Shares::new(limit, percent);
            let mut taken = [0u32; 3];
            for (share, comes) in moves {
                match comes {
                    true if shares.admits(taken, share) => taken[share] += 1,
                    true => prop_assert!(taken[share] >= shares.kept()[share]),
                    false => taken[share] = taken[share].saturating_sub(1),
                }
                prop_assert!(taken.iter().sum::<u32>() <= limit);
                for other in 0..3 {
                    prop_assert!(crowd(shares, taken, other)[other] >= shares.kept()[other]);
                }
            }
        }
    }
}
