//! The numbers of one virtual router.

use super::tally::Tally;
use prometheus_client::metrics::gauge::Gauge;

/// What is published about one virtual router.
#[derive(Debug, Default)]
pub struct VipMetrics {
    /// `vip_master`: 1 while this door has its addresses.
    pub master: Gauge,
    pub(super) transitions: Tally,
    pub(super) refused: Tally,
}

impl VipMetrics {
    /// Counts in `vip_transitions_total` that it came to stand there.
    pub fn became(&self, state: &'static str) {
        self.transitions.count(state);
        self.master.set(i64::from(state == "master"));
    }

    /// Counts an advert that was ignored, in `vip_adverts_refused_total`.
    pub fn refused(&self, reason: &'static str) {
        self.refused.count(reason);
    }
}
