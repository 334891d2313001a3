//! Who belongs together, by what was tried between pairs of nodes, and who is the odd one out.

use std::collections::BTreeMap;

/// What was tried between one node and another, by their places: the first made something, the second was shown it.
pub type Pair = (usize, usize);

/// Of more nodes than this, each is tried with the next few only: every pair of a hundred would be ten thousand.
const FEW: usize = 5;

/// With whom what `from` made is tried, of `count` nodes. However many are left out for a fault of their own, those next to
/// them still meet.
pub fn partners(count: usize, from: usize) -> impl Iterator<Item = usize> {
    let reach = if count <= FEW { count } else { FEW };
    (1..reach).map(move |step| (from + step) % count)
}

/// Nodes that do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Those to mend: the ones outside the majority, or all where there is none.
    pub odd: Vec<usize>,
    /// One of the majority.
    pub model: Option<usize>,
}

/// Splits nodes by evidence: `true` where a pair agrees. `None` as long as no two disagree. One agreement puts two into one
/// group, whatever else was seen of them.
pub fn split(evidence: impl IntoIterator<Item = (Pair, bool)>) -> Option<Split> {
    let mut group: BTreeMap<usize, usize> = BTreeMap::new();
    let mut apart = Vec::new();
    for ((a, b), agree) in evidence {
        let (one, other) = (*group.entry(a).or_insert(a), *group.entry(b).or_insert(b));
        if agree {
            for of in group.values_mut().filter(|of| **of == other) {
                *of = one;
            }
        } else {
            apart.push((a, b));
        }
    }
    let of = |node: &usize| group.get(node).copied();
    apart.retain(|(a, b)| of(a) != of(b));
    if apart.is_empty() {
        return None;
    }
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for of in group.values() {
        *sizes.entry(*of).or_default() += 1;
    }
    let most = sizes.values().copied().max().unwrap_or_default();
    let mut largest = sizes.iter().filter(|(_, size)| **size == most);
    let winner = match (largest.next(), largest.next()) {
        (Some((of, _)), None) => Some(*of),
        _ => None,
    };
    let mut odd: Vec<usize> = apart
        .iter()
        .flat_map(|(a, b)| [*a, *b])
        .filter(|node| winner.is_none() || of(node) != winner)
        .collect();
    odd.sort_unstable();
    odd.dedup();
    let model = group
        .iter()
        .find(|(_, of)| Some(**of) == winner)
        .map(|(node, _)| *node);
    Some(Split { odd, model })
}

/// Evidence by comparing what each node says of itself; who says nothing is left out.
pub fn compare<T: PartialEq>(words: &[Option<T>]) -> Vec<(Pair, bool)> {
    let mut evidence = Vec::new();
    for (a, one) in words.iter().enumerate() {
        for (b, other) in words.iter().enumerate().skip(a + 1) {
            if let (Some(one), Some(other)) = (one, other) {
                evidence.push(((a, b), one == other));
            }
        }
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_many_nodes_the_odd_one_is_found_without_trying_all_pairs() {
        for count in [2, 5, 6, 100] {
            let tried = (0..count).flat_map(|from| partners(count, from).map(move |to| (from, to)));
            let evidence: Vec<_> = tried.map(|(a, b)| ((a, b), a != 1 && b != 1)).collect();
            assert!(
                evidence.len() <= count * (FEW - 1) && evidence.iter().all(|((a, b), _)| a != b)
            );
            let odd = split(evidence).map(|split| split.odd);
            let expected = if count == 2 { vec![0, 1] } else { vec![1] };
            assert_eq!(odd, Some(expected), "{count}");
        }
    }

    #[test]
    fn nodes_that_agree_are_not_split() {
        assert_eq!(split([((0, 1), true), ((1, 2), true)]), None);
        assert_eq!(split([]), None);
    }

    #[test]
    fn the_majority_is_the_model_and_the_rest_is_odd() {
        let words = compare(&[Some("x"), Some("y"), Some("x"), None]);
        let expected = Split {
            odd: vec![1],
            model: Some(0),
        };
        assert_eq!(split(words), Some(expected));
    }

    #[test]
    fn two_nodes_that_disagree_are_both_named() {
        let split = split([((0, 1), false), ((1, 0), false)]);
        let expected = Split {
            odd: vec![0, 1],
            model: None,
        };
        assert_eq!(split, Some(expected));
    }

    #[test]
    fn a_way_that_works_in_one_direction_is_agreement() {
        assert_eq!(split([((0, 1), false), ((1, 0), true)]), None);
    }

    #[test]
    fn who_was_not_tried_is_not_blamed() {
        let split = split([((0, 1), true), ((0, 2), false), ((3, 3), true)]);
        assert_eq!(split.map(|split| split.odd), Some(vec![2]));
    }

    proptest! {
        #[test]
        fn whoever_is_odd_disagreed_with_someone(evidence in proptest::collection::vec(((0..5_usize, 0..5_usize), any::<bool>()), 0..20)) {
            if let Some(split) = split(evidence.clone()) {
                prop_assert!(!split.odd.is_empty());
                for node in split.odd {
                    prop_assert!(evidence.iter().any(|((a, b), agree)| !agree && (*a == node || *b == node)));
                }
            }
        }
    }
}
