//! What a target did: latencies, errors, requests, and how it went over time.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::failure::{Failure, Kind};
use super::trace::{Notes, Stage};

/// Latencies in microseconds, to three digits.
pub type Latencies = Histogram<u64>;

/// An empty histogram that grows with what is put in.
#[allow(clippy::expect_used)]
fn fresh() -> Latencies {
    Histogram::new(3).expect("three digits are allowed")
}

fn note(latencies: &mut Latencies, micros: u64) {
    // It grows to any value.
    let _ = latencies.record(micros);
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// The latency in milliseconds below which `share` (0 to 1) of them lie; 0 when there is none.
pub fn quantile(latencies: &Latencies, share: f64) -> f64 {
    if latencies.is_empty() {
        return 0.0;
    }
    latencies.value_at_quantile(share) as f64 / 1000.0
}

/// The longest latency in milliseconds.
pub fn longest(latencies: &Latencies) -> f64 {
    latencies.max() as f64 / 1000.0
}

/// One kind of failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    /// How often it came.
    pub count: u64,
    /// What the first one said.
    pub example: String,
}

/// What ended within one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Operations that succeeded.
    pub operations: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Operations that failed.
    pub errors: u64,
}

/// One slice of a target's time, for comparisons.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    /// From its beginning to the end of its last operation.
    pub seconds: f64,
    /// Of operations that succeeded.
    pub bytes: u64,
    /// Of operations that succeeded, in microseconds; empty unless slices are compared.
    pub latencies: Vec<u64>,
}

/// Everything measured at one target.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Operations that succeeded.
    pub operations: u64,
    /// Operations that failed.
    pub failed: u64,
    /// Operations that were meant to begin and did not, every client being busy.
    pub missed: u64,
    /// Bytes of blobs and manifests in operations that succeeded.
    pub bytes: u64,
    /// Failures by kind.
    pub errors: BTreeMap<Kind, Errors>,
    /// Of operations that succeeded, by their name.
    pub by_operation: BTreeMap<&'static str, Latencies>,
    /// Of requests, by what they were for.
    pub stages: BTreeMap<Stage, Latencies>,
    /// Second by second.
    pub ticks: Vec<Tick>,
    /// Slice by slice.
    pub slices: Vec<Slice>,
    /// Whether single latencies are kept, for a comparison.
    pub keeps: bool,
}

impl Record {
    /// Begins a slice.
    pub fn begin_slice(&mut self) {
        self.slices.push(Slice::default());
    }

    /// Ends it after so long.
    pub fn end_slice(&mut self, time: Duration, missed: u64) {
        self.missed += missed;
        if let Some(slice) = self.slices.last_mut() {
            slice.seconds = time.as_secs_f64();
        }
    }

    /// Seconds measured.
    pub fn seconds(&self) -> f64 {
        self.slices.iter().map(|slice| slice.seconds).sum()
    }

    /// An operation succeeded `at` so long after its slice began.
    pub fn succeed(
        &mut self,
        operation: &'static str,
        at: Duration,
        latency: Duration,
        notes: &Notes,
    ) {
        let micros = micros(latency);
        self.operations += 1;
        self.bytes += notes.bytes;
        note(
            self.by_operation.entry(operation).or_insert_with(fresh),
            micros,
        );
        let keeps = self.keeps;
        if let Some(slice) = self.slices.last_mut() {
            slice.bytes += notes.bytes;
            if keeps {
                slice.latencies.push(micros);
            }
        }
        if let Some(tick) = self.tick(at) {
            tick.operations += 1;
            tick.bytes += notes.bytes;
        }
        self.requests(notes);
    }

    /// An operation failed `at` so long after its slice began.
    pub fn fail(&mut self, failure: &Failure, at: Duration, notes: &Notes) {
        self.failed += 1;
        let errors = self.errors.entry(failure.kind).or_insert_with(|| Errors {
            count: 0,
            example: failure.what.clone(),
        });
        errors.count += 1;
        if let Some(tick) = self.tick(at) {
            tick.errors += 1;
        }
        self.requests(notes);
    }

    /// Latencies of all operations that succeeded.
    pub fn latencies(&self) -> Latencies {
        let mut all = fresh();
        for one in self.by_operation.values() {
            // Both resize themselves, so nothing is out of range.
            let _ = all.add(one);
        }
        all
    }

    fn requests(&mut self, notes: &Notes) {
        for (stage, time) in &notes.stages {
            note(
                self.stages.entry(*stage).or_insert_with(fresh),
                micros(*time),
            );
        }
    }

    fn tick(&mut self, at: Duration) -> Option<&mut Tick> {
        let place = (self.seconds() + at.as_secs_f64()) as usize;
        if place >= self.ticks.len() {
            self.ticks.resize(place + 1, Tick::default());
        }
        self.ticks.get_mut(place)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn percentiles_are_those_of_all_operations() {
        let mut record = Record::default();
        record.begin_slice();
        for latency in 1..=1000 {
            let operation = if latency % 2 == 0 { "pull" } else { "push" };
            record.succeed(operation, millis(0), millis(latency), &Notes::default());
        }
        let all = record.latencies();
        for (share, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0)] {
            let found = quantile(&all, share);
            assert!(
                (found - expected).abs() <= expected * 0.002,
                "{share}: {found}"
            );
        }
        assert!((longest(&all) - 1000.0).abs() <= 1.0);
    }

    #[test]
    fn nothing_measured_has_no_latency() {
        let record = Record::default();
        assert_eq!(quantile(&record.latencies(), 0.99), 0.0);
        assert_eq!(longest(&record.latencies()), 0.0);
    }

    #[test]
    fn failures_are_counted_by_kind_and_keep_their_first_words() {
        let mut record = Record::default();
        record.begin_slice();
        for what in ["first", "second"] {
            let failure = Failure::new(Kind::Digest, what);
            record.fail(&failure, millis(0), &Notes::default());
        }
        let expected = Errors {
            count: 2,
            example: "first".to_owned(),
        };
        assert_eq!(record.errors.get(&Kind::Digest), Some(&expected));
        assert_eq!((record.failed, record.operations), (2, 0));
    }

    #[test]
    fn seconds_go_on_from_slice_to_slice() {
        let mut record = Record::default();
        record.begin_slice();
        record.succeed("pull", millis(500), millis(1), &Notes::default());
        record.end_slice(millis(2000), 0);
        record.begin_slice();
        record.succeed("pull", millis(1500), millis(1), &Notes::default());
        record.end_slice(millis(2000), 3);
        let operations: Vec<u64> = record.ticks.iter().map(|tick| tick.operations).collect();
        assert_eq!(operations, [1, 0, 0, 1]);
        assert_eq!(record.missed, 3);
        assert_eq!(record.seconds(), 4.0);
    }
}
