//! A histogram of durations made of atomics; the library's own takes a mutex for every observation.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds in seconds.
type Bounds = [f64; 16];

/// From a cached manifest to the 900 s that Harbor may think about a request.
const REQUESTS: Bounds = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0,
];

/// From a Redis on the same machine to one that nobody waits for.
const STORE: Bounds = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
    10.0,
];

#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static Bounds,
    within: [AtomicU64; REQUESTS.len()],
    above: AtomicU64,
    micros: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::with(&REQUESTS)
    }
}

impl Histogram {
    fn with(bounds: &'static Bounds) -> Self {
        Histogram {
            bounds,
            within: Default::default(),
            above: AtomicU64::new(0),
            micros: AtomicU64::new(0),
        }
    }

    /// For the answers of a session store.
    pub(super) fn of_store() -> Self {
        Self::with(&STORE)
    }

    pub(super) fn record(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let place = self.bounds.partition_point(|bound| *bound < seconds);
        self.within
            .get(place)
            .unwrap_or(&self.above)
            .fetch_add(1, Relaxed);
        self.micros.fetch_add(took.as_micros() as u64, Relaxed);
    }

    /// What was recorded, or nothing when nothing was.
    pub(super) fn read(&self) -> Option<Reading> {
        let buckets: Vec<(f64, u64)> = self
            .bounds
            .iter()
            .copied()
            .chain([f64::INFINITY])
            .zip(self.within.iter().chain([&self.above]))
            .map(|(bound, count)| (bound, count.load(Relaxed)))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_micros(self.micros.load(Relaxed)).as_secs_f64();
        (count > 0).then_some(Reading {
            sum,
            count,
            buckets,
        })
    }
}

pub(super) struct Reading {
    /// Seconds.
    pub(super) sum: f64,
    pub(super) count: u64,
    /// Upper bound in seconds and the count of each bucket alone.
    pub(super) buckets: Vec<(f64, u64)>,
}
