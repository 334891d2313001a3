//! A node that works on so many requests at once, clients that come again as soon as they are served, and the limit
//! between them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;

/// A node that works on `capacity` requests at once; the others wait for it.
struct Node {
    capacity: usize,
    /// Microseconds that the work on one takes.
    work: u64,
}

/// Time passes in microseconds.
struct Simulation {
    gradient: Gradient,
    node: Node,
    rng: fastrand::Rng,
    begun: Instant,
    clock: u64,
    /// Whoever wants to be served, all the time.
    clients: usize,
    inside: usize,
    waiting: VecDeque<u64>,
    /// The end of what is worked on, and when it came.
    working: BinaryHeap<Reverse<(u64, u64)>>,
    /// An answer that hangs for so long comes next.
    hangs: Option<u64>,
    lowest: u32,
}

impl Simulation {
    fn new(seed: u64, capacity: usize, clients: usize) -> Self {
        Simulation {
            gradient: Gradient::new(2048),
            node: Node {
                capacity,
                work: 10_000,
            },
            rng: fastrand::Rng::with_seed(seed),
            begun: Instant::now(),
            clock: 0,
            clients,
            inside: 0,
            waiting: VecDeque::new(),
            working: BinaryHeap::new(),
            hangs: None,
            lowest: u32::MAX,
        }
    }

    fn admit(&mut self) {
        while self.inside < self.clients.min(self.gradient.limit() as usize) {
            self.inside += 1;
            self.waiting.push_back(self.clock);
        }
        while self.working.len() < self.node.capacity
            && let Some(came) = self.waiting.pop_front()
        {
            let work = self.node.work * self.rng.u64(80..120) / 100;
            self.working.push(Reverse((self.clock + work, came)));
        }
    }

    fn run(&mut self, seconds: u64) -> &mut Self {
        let end = self.clock + seconds * 1_000_000;
        self.admit();
        while self.clock < end {
            let Some(Reverse((done, came))) = self.working.pop() else {
                break;
            };
            self.clock = done;
            let latency = done - came + self.hangs.take().unwrap_or(0);
            let now = self.begun + Duration::from_micros(self.clock);
            let under_way = self.inside as u32;
            self.gradient
                .observe(Duration::from_micros(latency), under_way, now);
            self.lowest = self.lowest.min(self.gradient.limit());
            self.inside -= 1;
            self.admit();
        }
        self
    }

    /// The limit when it does not look at the node at rest.
    fn limit(&self) -> f32 {
        self.gradient.limit
    }
}

const SEEDS: std::ops::Range<u64> = 0..3;

/// Whether the limit keeps the node busy, and not much more waits there than it works on.
fn is_near(limit: f32, capacity: usize) -> bool {
    let capacity = capacity as f32;
    (0.9 * capacity..2.0 * capacity + 10.0).contains(&limit)
}

#[test]
fn the_limit_comes_near_what_the_node_can_do_and_stays_there() {
    for seed in SEEDS {
        for capacity in [40, 100] {
            let mut simulation = Simulation::new(seed, capacity, 1500);
            simulation.run(60);
            for minute in 0..2 {
                let limit = simulation.run(60).limit();
                assert!(
                    is_near(limit, capacity),
                    "seed {seed}, capacity {capacity}, minute {minute}: {limit}"
                );
            }
        }
    }
}

#[test]
fn the_limit_follows_a_node_that_can_do_more_or_less() {
    for seed in SEEDS {
        let mut simulation = Simulation::new(seed, 50, 1500);
        assert!(is_near(simulation.run(60).limit(), 50), "seed {seed}");
        simulation.node.capacity = 200;
        let limit = simulation.run(60).limit();
        assert!(is_near(limit, 200), "seed {seed}: {limit}");
        simulation.node.capacity = 50;
        let limit = simulation.run(60).limit();
        assert!(is_near(limit, 50), "seed {seed}: {limit}");
    }
}

#[test]
fn a_node_that_became_slower_by_nature_keeps_its_requests() {
    for seed in SEEDS {
        let mut simulation = Simulation::new(seed, 100, 1500);
        simulation.run(60);
        simulation.node.work = 40_000;
        let limit = simulation.run(60).limit();
        assert!(is_near(limit, 100), "seed {seed}: {limit}");
    }
}

#[test]
fn clients_whom_the_node_can_serve_are_never_held_up() {
    for seed in SEEDS {
        let mut simulation = Simulation::new(seed, 200, 150);
        simulation.run(10).lowest = u32::MAX;
        simulation.run(120);
        assert!(
            simulation.lowest >= 150,
            "seed {seed}: {}",
            simulation.lowest
        );
    }
}

#[test]
fn one_slow_answer_changes_little() {
    for seed in SEEDS {
        let mut simulation = Simulation::new(seed, 100, 1500);
        let before = simulation.run(61).limit();
        simulation.hangs = Some(60_000_000);
        simulation.lowest = u32::MAX;
        let after = simulation.run(2).limit();
        assert!(after > before * 0.9, "seed {seed}: {before} → {after}");
    }
}

#[test]
fn the_limit_is_never_below_the_least_nor_above_the_most() {
    for seed in SEEDS {
        let mut simulation = Simulation::new(seed, 1, 1500);
        simulation.run(120);
        assert!(simulation.lowest >= LEAST, "seed {seed}");
        let mut small = Gradient::new(8);
        let mut now = Instant::now();
        for second in 0..1000 {
            now += Duration::from_millis(50);
            small.observe(Duration::from_millis(second), 8, now);
            assert_eq!(small.limit(), 8);
        }
    }
}
