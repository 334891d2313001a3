#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::balance::hash;

fn node(index: usize, weight: f32, in_flight: u32) -> Candidate {
    Candidate {
        index,
        weight,
        in_flight,
        latency: 0.0,
        seed: hash(format!("harbor-{index}").as_bytes()),
    }
}

/// How often each of `nodes` is chosen in `rounds`.
fn shares(algorithm: Algorithm, nodes: &[Candidate], rounds: usize) -> Vec<usize> {
    let turn = Turn::new();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut counts = vec![0; nodes.len()];
    for round in 0..rounds {
        let key = Some(hash(&round.to_be_bytes()));
        let chosen = choose(algorithm, nodes.iter().copied(), key, &turn, &mut rng).unwrap();
        counts[chosen] += 1;
    }
    counts
}

#[test]
fn nobody_is_chosen_from_nothing() {
    let mut rng = fastrand::Rng::with_seed(1);
    for algorithm in Algorithm::ALL {
        let none = std::iter::empty();
        assert_eq!(
            choose(algorithm, none, Some(1), &Turn::new(), &mut rng),
            None
        );
    }
}

#[test]
fn idle_nodes_get_work_in_proportion_to_their_weights() {
    let nodes = [node(0, 30.0, 0), node(1, 10.0, 0)];
    for algorithm in [
        Algorithm::TwoChoices,
        Algorithm::RoundRobin,
        Algorithm::Least,
        Algorithm::Rendezvous,
    ] {
        let counts = shares(algorithm, &nodes, 4000);
        assert!(
            (2850..=3150).contains(&counts[0]),
            "{algorithm}: {counts:?}"
        );
    }
}

#[test]
fn two_choices_avoid_the_loaded_node() {
    let nodes = [node(0, 10.0, 9), node(1, 10.0, 2)];
    assert_eq!(shares(Algorithm::TwoChoices, &nodes, 100), [0, 100]);
}

#[test]
fn a_light_node_is_not_loaded_like_a_heavy_one() {
    let nodes = [node(0, 100.0, 5), node(1, 1.0, 0)];
    for algorithm in [Algorithm::TwoChoices, Algorithm::Least] {
        assert_eq!(shares(algorithm, &nodes, 100), [100, 0], "{algorithm}");
    }
}

#[test]
fn least_takes_the_one_with_most_room() {
    let nodes = [node(0, 10.0, 9), node(1, 20.0, 9), node(2, 10.0, 6)];
    assert_eq!(shares(Algorithm::Least, &nodes, 10), [0, 10, 0]);
}

#[test]
fn round_robin_goes_strictly_around_equal_nodes() {
    let nodes = [node(0, 10.0, 0), node(1, 10.0, 7), node(2, 10.0, 0)];
    let turn = Turn::new();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut next = || {
        choose(
            Algorithm::RoundRobin,
            nodes.iter().copied(),
            None,
            &turn,
            &mut rng,
        )
    };
    let order: Vec<_> = std::iter::repeat_with(|| next().unwrap()).take(6).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn ewma_prefers_the_node_that_answers_sooner() {
    let mut nodes = [node(0, 10.0, 1), node(1, 10.0, 1)];
    nodes[0].latency = 0.200;
    nodes[1].latency = 0.020;
    assert_eq!(shares(Algorithm::Ewma, &nodes, 50), [0, 50]);
}

#[test]
fn rendezvous_moves_only_the_keys_of_the_node_that_left() {
    let all = [node(0, 10.0, 0), node(1, 10.0, 0), node(2, 10.0, 0)];
    let mut rng = fastrand::Rng::with_seed(1);
    let turn = Turn::new();
    for number in 0..500_u32 {
        let key = Some(hash(&number.to_be_bytes()));
        let before = choose(
            Algorithm::Rendezvous,
            all.iter().copied(),
            key,
            &turn,
            &mut rng,
        );
        let left = all.iter().copied().filter(|c| c.index != 1);
        let after = choose(Algorithm::Rendezvous, left, key, &turn, &mut rng);
        if before != Some(1) {
            assert_eq!(before, after);
        }
    }
}

#[test]
fn rendezvous_does_not_depend_on_the_order_of_nodes() {
    let nodes = [node(0, 10.0, 0), node(1, 20.0, 0), node(2, 5.0, 0)];
    let mut rng = fastrand::Rng::with_seed(1);
    let turn = Turn::new();
    for key in (0..200_u64).map(Some) {
        let ahead = choose(
            Algorithm::Rendezvous,
            nodes.iter().copied(),
            key,
            &turn,
            &mut rng,
        );
        let back = nodes.iter().rev().copied();
        assert_eq!(
            choose(Algorithm::Rendezvous, back, key, &turn, &mut rng),
            ahead
        );
    }
}

proptest! {
    #[test]
    fn a_node_of_weight_zero_is_chosen_only_among_such(
        weights in proptest::collection::vec(prop_oneof![Just(0.0_f32), -1.0..1000.0_f32, Just(f32::NAN)], 1..8),
        loads in proptest::collection::vec(any::<u32>(), 8),
        seed: u64,
        key: Option<u64>,
    ) {
        let nodes: Vec<_> = weights.iter().zip(&loads).enumerate()
            .map(|(index, (weight, load))| node(index, *weight, *load)).collect();
        let mut rng = fastrand::Rng::with_seed(seed);
        for algorithm in Algorithm::ALL {
            let chosen = choose(algorithm, nodes.iter().copied(), key, &Turn::new(), &mut rng).unwrap();
            let some_weigh = weights.iter().any(|w| *w > 0.0);
            prop_assert!(!some_weigh || weights[chosen] > 0.0);
        }
    }
}
