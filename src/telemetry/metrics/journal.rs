//! The numbers of the journal.

use super::tally::Tally;
use prometheus_client::metrics::gauge::Gauge;

/// States of entries, as labels; their order is that of the numbers that come in.
const STATES: [&str; 4] = ["pending", "running", "conflict", "stuck"];

/// What is published about the journal.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    /// `journal_entries`: what is not everywhere, by state.
    pub entries: [Gauge; 4],
    /// `journal_oldest_seconds`: the age of the oldest of it.
    pub oldest: Gauge,
    pub(super) reconciled: Tally,
}

impl JournalMetrics {
    /// Counts in `journal_reconciled_total` what came of bringing a change to a storage.
    pub fn reconciled(&self, outcome: &'static str) {
        self.reconciled.count(outcome);
    }

    pub(super) fn by_state(&self) -> impl Iterator<Item = (&'static str, &Gauge)> {
        STATES.into_iter().zip(&self.entries)
    }
}
