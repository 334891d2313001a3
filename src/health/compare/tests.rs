//! Simulated nodes, by seeds: who is found, how soon, and who never is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::health::gauge::Gauge;

const TICK: u64 = 500;
/// As exactly as time is simulated, in milliseconds.
const STEP: u64 = 10;
const KINDS: [usize; 2] = [0, 1];

/// What a simulated node is like at some millisecond.
#[derive(Clone, Copy)]
struct Nature {
    /// Requests per second.
    rate: f64,
    /// Milliseconds that half of the answers take at most, by kind.
    typical: [f64; 2],
    /// How far they scatter: the standard deviation of their logarithm.
    scatter: f64,
    /// How many of its requests are of the second kind.
    heavy: f64,
    /// How many of them fail.
    failing: f64,
    /// Requests beyond these go elsewhere, as they do when others have less to do.
    at_once: usize,
}

const SOUND: Nature = Nature {
    rate: 30.0,
    typical: [20.0, 200.0],
    scatter: 1.0,
    heavy: 0.3,
    failing: 0.01,
    at_once: usize::MAX,
};

struct Node {
    gauge: Gauge,
    history: History,
    /// When each ends, its kind, how long it takes.
    running: Vec<(u64, usize, u64)>,
}

struct World {
    nodes: Vec<Node>,
    rng: fastrand::Rng,
    start: Instant,
    now: u64,
}

impl World {
    fn of(nodes: usize, seed: u64) -> Self {
        let node = || Node {
            gauge: Gauge::new(2, 1),
            history: History::default(),
            running: Vec::new(),
        };
        World {
            nodes: (0..nodes).map(|_| node()).collect(),
            rng: fastrand::Rng::with_seed(seed),
            start: Instant::now(),
            now: 0,
        }
    }

    /// Half a second passes.
    fn tick(&mut self, nature: impl Fn(usize, u64) -> Nature) {
        for millisecond in (self.now..self.now + TICK).step_by(STEP as usize) {
            for (at, node) in self.nodes.iter_mut().enumerate() {
                let nature = nature(at, millisecond);
                node.running.retain(|(end, kind, took)| {
                    if *end <= millisecond {
                        node.gauge.answered(*kind, Duration::from_millis(*took));
                    }
                    *end > millisecond
                });
                if self.rng.f64() * 1000.0 > nature.rate * STEP as f64
                    || node.running.len() >= nature.at_once
                {
                    continue;
                }
                let kind = usize::from(self.rng.f64() < nature.heavy);
                // Near enough to a normal distribution.
                let normal: f64 = (0..12).map(|_| self.rng.f64()).sum::<f64>() - 6.0;
                let took = (nature.typical[kind] * (normal * nature.scatter).exp()) as u64;
                node.gauge.waits(kind);
                node.running.push((millisecond + took, kind, took));
                node.gauge.came_to_an_end(0);
                if self.rng.f64() < nature.failing {
                    node.gauge.failed(0);
                }
            }
        }
        self.now += TICK;
        let now = self.now();
        for node in &mut self.nodes {
            node.history.note(&node.gauge, now);
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn findings(&self) -> Vec<Option<Finding>> {
        let measure = Measure {
            failure_percent: 10,
            slow_factor: 4,
            volume: 10,
        };
        let all = self.nodes.iter().map(|node| &node.history);
        let all: Vec<&History> = all.collect();
        let others = |at: usize| [&all[..at], &all[at + 1..]].concat();
        let find = |at: usize| {
            let case = Case {
                own: all[at],
                siblings: &others(at),
                kinds: &KINDS,
                group: 0,
            };
            measure.find(case, self.now())
        };
        (0..self.nodes.len()).map(find).collect()
    }

    /// Lets a minute pass with sound nodes, and then the last one be of another nature. Seconds until it is found.
    fn seconds_until_found(&mut self, nature: Nature) -> Option<f64> {
        let last = self.nodes.len() - 1;
        for _ in 0..120 {
            self.tick(|_, _| SOUND);
        }
        (1..=60).find_map(|ticks| {
            self.tick(|at, _| if at == last { nature } else { SOUND });
            let found = self.findings();
            assert!(found[..last].iter().all(Option::is_none), "{found:?}");
            found[last].is_some().then_some(f64::from(ticks) / 2.0)
        })
    }
}

/// The longest that it takes to find a node of such a nature among three.
fn longest_search(nature: Nature) -> f64 {
    let searches = (0..20).map(|seed| World::of(3, seed).seconds_until_found(nature));
    searches.fold(0.0, |longest, one| {
        one.unwrap_or(f64::INFINITY).max(longest)
    })
}

fn nobody_is_found(world: &mut World, seconds: u64, nature: impl Fn(usize, u64) -> Nature) {
    for _ in 0..seconds * 2 {
        world.tick(&nature);
        let found = world.findings();
        assert!(
            found.iter().all(Option::is_none),
            "{}: {found:?}",
            world.now
        );
    }
}

#[test]
fn equal_nodes_are_left_in_peace_for_an_hour() {
    for seed in 0..2 {
        // The last has little to do, and the third gets most of what is heavy.
        nobody_is_found(&mut World::of(4, seed), 3600, |at, _| Nature {
            rate: [40.0, 20.0, 10.0, 0.5][at],
            heavy: [0.1, 0.2, 0.9, 0.3][at],
            failing: 0.02,
            ..SOUND
        });
    }
}

#[test]
fn what_all_suffer_from_is_held_against_nobody() {
    // Every two minutes something that they share stalls for ten seconds, and fails half of what comes.
    nobody_is_found(&mut World::of(3, 1), 3600, |_, now| match now % 120_000 {
        0..10_000 => Nature {
            typical: [4_000.0, 9_000.0],
            failing: 0.5,
            ..SOUND
        },
        _ => SOUND,
    });
}

#[test]
fn a_pause_of_a_second_is_forgiven() {
    nobody_is_found(&mut World::of(3, 1), 600, |at, now| match now % 30_000 {
        15_000..16_000 if at == 0 => Nature {
            typical: [700.0, 900.0],
            scatter: 0.3,
            ..SOUND
        },
        _ => SOUND,
    });
}

#[test]
fn a_node_that_is_slow_for_a_trifle_is_left_in_peace() {
    // Ten times as long as the others, and nobody would notice.
    nobody_is_found(&mut World::of(3, 1), 600, |at, _| Nature {
        typical: if at == 0 { [60.0, 200.0] } else { [6.0, 20.0] },
        ..SOUND
    });
}

#[test]
fn a_node_alone_is_never_found() {
    nobody_is_found(&mut World::of(1, 1), 60, |_, now| Nature {
        typical: [now as f64 / 10.0; 2],
        failing: 0.9,
        ..SOUND
    });
}

#[test]
fn a_slow_node_is_found_within_seconds() {
    let slow = Nature {
        typical: [2_000.0; 2],
        scatter: 0.1,
        ..SOUND
    };
    let longest = longest_search(slow);
    println!("slow: {longest} s");
    assert!(longest <= 4.0, "{longest} s");
    // When others have less to do, it gets two at a time, and so gives two answers in two seconds.
    let spared = longest_search(Nature { at_once: 2, ..slow });
    println!("slow, two at a time: {spared} s");
    assert!(spared <= 8.0, "{spared} s");
}

#[test]
fn a_node_that_does_not_answer_is_found_without_an_answer() {
    let longest = longest_search(Nature {
        typical: [900_000.0; 2],
        ..SOUND
    });
    println!("silent: {longest} s");
    assert!(longest <= 4.0, "{longest} s");
}

#[test]
fn a_node_that_fails_a_fifth_is_found_within_ten_seconds() {
    let longest = longest_search(Nature {
        failing: 0.2,
        ..SOUND
    });
    println!("failing: {longest} s");
    assert!(longest <= 10.0, "{longest} s");
}

#[test]
fn a_finding_tells_the_figures_of_both_sides() {
    let mut world = World::of(3, 7);
    let slow = Nature {
        typical: [20.0, 3_000.0],
        heavy: 0.9,
        scatter: 0.1,
        ..SOUND
    };
    world.seconds_until_found(slow).unwrap();
    let found = world.findings().pop().flatten();
    let Some(Finding::Slow {
        kind,
        took,
        siblings,
    }) = found
    else {
        unreachable!("{found:?}");
    };
    assert_eq!(kind, 1);
    assert!(took > Duration::from_secs(1), "{took:?}");
    assert!(siblings < Duration::from_millis(400), "{siblings:?}");
}
