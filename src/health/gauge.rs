//! What a node's requests were like, counted where they pass: one addition each, without a lock and without a clock.
//!
//! The counts only grow. Whoever judges the node reads them now and then, and what happened in between is the difference
//! ([`History`](super::history::History)).

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Waits are sorted into so many heaps, two for each doubling: from less than half a millisecond to more than a quarter of an
/// hour.
pub(super) const HEAPS: usize = 46;
/// The power of two, in microseconds, with which the first heap begins.
const FIRST: u32 = 8;

/// Somebody who gave up earlier than this says nothing about the node.
const WORTH_NOTING: Duration = Duration::from_millis(250);

/// Requests that may be compared with each other.
#[derive(Debug)]
pub(super) struct Kind {
    pub begun: AtomicU32,
    pub ended: AtomicU32,
    pub took: [AtomicU32; HEAPS],
    /// Milliseconds after which an answer is late.
    late_after: AtomicU32,
}

/// Requests that fail together.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub all: AtomicU32,
    pub failed: AtomicU32,
}

/// The counters of one node. They wrap around; only differences mean anything.
#[derive(Debug)]
pub struct Gauge {
    pub(super) kinds: Box<[Kind]>,
    pub(super) groups: Box<[Group]>,
}

impl Gauge {
    /// Nothing counted yet, for so many kinds of requests that are compared and groups that fail together.
    pub fn new(kinds: usize, groups: usize) -> Self {
        let kind = || Kind {
            begun: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            took: [const { AtomicU32::new(0) }; HEAPS],
            late_after: AtomicU32::new(u32::MAX),
        };
        Gauge {
            kinds: (0..kinds).map(|_| kind()).collect(),
            groups: (0..groups).map(|_| Group::default()).collect(),
        }
    }

    /// A request began to wait for its answer. It ends with [`Gauge::answered`] or [`Gauge::left`].
    pub fn waits(&self, kind: usize) {
        if let Some(kind) = self.kinds.get(kind) {
            kind.begun.fetch_add(1, Relaxed);
        }
    }

    /// The first byte of its answer came after so long.
    pub fn answered(&self, kind: usize, waited: Duration) {
        let Some(kind) = self.kinds.get(kind) else {
            return;
        };
        kind.ended.fetch_add(1, Relaxed);
        if let Some(heap) = kind.took.get(heap(waited)) {
            heap.fetch_add(1, Relaxed);
        }
    }

    /// It was given up after so long: the answer would have taken at least that.
    pub fn left(&self, kind: usize, waited: Duration) {
        if waited >= WORTH_NOTING {
            self.answered(kind, waited);
        } else if let Some(kind) = self.kinds.get(kind) {
            kind.ended.fetch_add(1, Relaxed);
        }
    }

    /// Says when an answer is late, for [`Gauge::is_late`].
    pub fn set_late_after(&self, kind: usize, bound: Duration) {
        if let Some(kind) = self.kinds.get(kind) {
            let millis = u32::try_from(bound.as_millis()).unwrap_or(u32::MAX);
            kind.late_after.store(millis, Relaxed);
        }
    }

    /// Whether an answer after so long is late, as far as anybody knows.
    pub fn is_late(&self, kind: usize, waited: Duration) -> bool {
        let kind = self.kinds.get(kind);
        kind.is_some_and(|kind| waited.as_millis() > u128::from(kind.late_after.load(Relaxed)))
    }

    /// A request of a group came to its answer, or to nothing.
    pub fn came_to_an_end(&self, group: usize) {
        if let Some(group) = self.groups.get(group) {
            group.all.fetch_add(1, Relaxed);
        }
    }

    /// It was a failure.
    pub fn failed(&self, group: usize) {
        if let Some(group) = self.groups.get(group) {
            group.failed.fetch_add(1, Relaxed);
        }
    }
}

/// The heap for a wait.
fn heap(waited: Duration) -> usize {
    let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
    let Some(power) = micros.checked_ilog2().filter(|power| *power >= FIRST) else {
        return 0;
    };
    let half = (micros >> (power - 1)) & 1;
    let heap = (power - FIRST) * 2 + half as u32;
    (heap as usize).min(HEAPS - 1)
}

/// The shortest wait in a heap.
pub(super) fn least(heap: usize) -> Duration {
    if heap == 0 {
        return Duration::ZERO;
    }
    let base = 1_u64 << (FIRST + heap as u32 / 2);
    Duration::from_micros(base + base / 2 * (heap as u64 % 2))
}

/// What a wait in a heap was, about.
pub(super) fn about(heap: usize) -> Duration {
    (least(heap) + least(heap + 1)) / 2
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_wait_lies_between_the_ends_of_its_heap() {
        for micros in [
            0, 1, 255, 256, 383, 384, 511, 512, 5_000, 262_144, 2_000_000,
        ] {
            let waited = Duration::from_micros(micros);
            let heap = heap(waited);
            assert!(
                least(heap) <= waited && waited < least(heap + 1),
                "{micros}"
            );
        }
        assert_eq!(heap(Duration::MAX), HEAPS - 1);
    }

    #[test]
    fn who_gives_up_soon_says_nothing_of_the_node() {
        let gauge = Gauge::new(1, 0);
        gauge.left(0, Duration::from_millis(10));
        gauge.left(0, Duration::from_secs(10));
        let noted: u32 = gauge.kinds[0]
            .took
            .iter()
            .map(|heap| heap.load(Relaxed))
            .sum();
        assert_eq!((noted, gauge.kinds[0].ended.load(Relaxed)), (1, 2));
    }
}
