//! The numbers of what sticks to nodes, and of the store behind it.

use super::histogram::Histogram;
use super::tally::Tally;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Kinds of sessions, as labels; their order is that of the numbers that come in.
const KINDS: [&str; 5] = ["upload", "ui", "push", "writer", "gone"];

/// What is published about sessions.
#[derive(Debug)]
pub struct SessionMetrics {
    pub(super) affinity: [Tally; 5],
    /// `session_entries`: what is in memory, by kind.
    pub entries: [Gauge; 5],
    pub(super) up: Gauge,
    pub(super) seconds: Histogram,
    pub(super) damaged: AtomicU64,
    pub(super) dropped: AtomicU64,
}

impl Default for SessionMetrics {
    fn default() -> Self {
        SessionMetrics {
            affinity: Default::default(),
            entries: Default::default(),
            up: Gauge::default(),
            seconds: Histogram::of_store(),
            damaged: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }
}

impl SessionMetrics {
    /// Counts in `affinity_total` how a request that may stick was placed.
    pub fn affinity(&self, kind: usize, outcome: &'static str) {
        if let Some(tally) = self.affinity.get(kind) {
            tally.count(outcome);
        }
    }

    /// Says whether requests ask the store: `session_store_up`.
    pub fn store_up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    /// Records `session_store_seconds`: how long a request waited for the store.
    pub fn took(&self, took: Duration) {
        self.seconds.record(took);
    }

    /// Counts a value in the store that no door wrote: `session_values_damaged_total`.
    pub fn damaged(&self) {
        self.damaged.fetch_add(1, Relaxed);
    }

    /// Counts a write to the store that found no room in the queue: `session_writes_dropped_total`.
    pub fn dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    pub(super) fn by_kind(&self) -> impl Iterator<Item = (&'static str, &Tally, &Gauge)> {
        KINDS
            .into_iter()
            .zip(&self.affinity)
            .zip(&self.entries)
            .map(|((kind, tally), gauge)| (kind, tally, gauge))
    }
}
