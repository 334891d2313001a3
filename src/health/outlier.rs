//! Passive evidence: a node that fails real requests is taken out for a while, before probes notice.

use std::time::{Duration, Instant};

/// Takes a node out after failures in a row: for `base`, then twice `base`, and so on up to `max`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    consecutive: u32,
    base: Duration,
    max: Duration,
    failures: u32,
    successes: u32,
    /// Ejections that are not forgiven yet.
    times: u32,
    until: Option<Instant>,
}

impl Outlier {
    /// In service. `consecutive` of zero counts as one.
    pub const fn new(consecutive: u32, base: Duration, max: Duration) -> Self {
        Self {
            consecutive,
            base,
            max,
            failures: 0,
            successes: 0,
            times: 0,
            until: None,
        }
    }

    /// A request failed on the node. True when this one ejected it.
    ///
    /// Requests that were under way at the ejection may still fail; they change nothing.
    pub fn failure(&mut self, now: Instant) -> bool {
        if self.is_ejected(now) {
            return false;
        }
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failures < self.consecutive {
            return false;
        }
        self.failures = 0;
        self.times = self.times.saturating_add(1);
        let term = self.base.saturating_mul(self.times).min(self.max);
        self.until = now.checked_add(term);
        true
    }

    /// A request went well. As many of them in a row as failures eject make one ejection forgotten.
    pub fn success(&mut self) {
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        if self.successes >= self.consecutive {
            self.successes = 0;
            self.times = self.times.saturating_sub(1);
        }
    }

    /// When the last ejection ends or ended.
    pub const fn ends(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the node gets no new requests at `now`.
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Takes the last ejection back, for when [`may_eject`] forbids it. The next one needs failures anew.
    pub fn pardon(&mut self) {
        self.until = None;
        self.failures = 0;
        self.times = self.times.saturating_sub(1);
    }
}

/// Whether one node more may be ejected when `ejected` of `total` are.
///
/// At most `max_percent` of all, but one of several always (unless that is zero), and never the last one.
pub fn may_eject(ejected: usize, total: usize, max_percent: u8) -> bool {
    let then = ejected.saturating_add(1);
    let within = then.saturating_mul(100) <= total.saturating_mul(usize::from(max_percent));
    max_percent > 0 && then < total && (ejected == 0 || within)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(10);

    fn outlier() -> Outlier {
        Outlier::new(3, BASE, BASE * 3)
    }

    /// Fails until ejected; returns when that ends.
    fn eject(outlier: &mut Outlier, now: Instant) -> Instant {
        while !outlier.failure(now) {}
        outlier.until.unwrap_or(now)
    }

    #[test]
    fn failures_in_a_row_eject() {
        let mut outlier = outlier();
        let now = Instant::now();
        assert!(!outlier.failure(now));
        assert!(!outlier.failure(now));
        assert!(outlier.failure(now));
        assert!(outlier.is_ejected(now));
        assert!(!outlier.is_ejected(now + BASE));
    }

    #[test]
    fn a_success_in_between_starts_the_count_anew() {
        let mut outlier = outlier();
        let now = Instant::now();
        for _ in 0..10 {
            outlier.failure(now);
            outlier.failure(now);
            outlier.success();
        }
        assert!(!outlier.is_ejected(now));
    }

    #[test]
    fn each_ejection_lasts_longer_up_to_a_limit() {
        let mut outlier = outlier();
        let mut now = Instant::now();
        for factor in [1, 2, 3, 3] {
            let until = eject(&mut outlier, now);
            assert_eq!(until - now, BASE * factor);
            now = until;
        }
    }

    #[test]
    fn late_failures_do_not_lengthen_an_ejection() {
        let mut outlier = outlier();
        let now = Instant::now();
        let until = eject(&mut outlier, now);
        for _ in 0..10 {
            assert!(!outlier.failure(now + BASE / 2));
        }
        assert!(!outlier.is_ejected(until));
    }

    #[test]
    fn a_streak_of_successes_forgives() {
        let mut outlier = outlier();
        let now = eject(&mut outlier, Instant::now());
        for _ in 0..3 {
            outlier.success();
        }
        assert_eq!(eject(&mut outlier, now) - now, BASE);
    }

    #[test]
    fn a_pardoned_node_serves_on() {
        let mut outlier = outlier();
        let now = Instant::now();
        eject(&mut outlier, now);
        outlier.pardon();
        assert!(!outlier.is_ejected(now));
        assert_eq!(eject(&mut outlier, now) - now, BASE);
    }

    #[test]
    fn the_last_node_is_never_ejected() {
        assert!(!may_eject(0, 1, 100));
        assert!(!may_eject(2, 3, 100));
        assert!(may_eject(1, 3, 100));
    }

    #[test]
    fn only_so_many_are_ejected_but_one_of_several_always() {
        assert!(may_eject(0, 2, 50));
        assert!(may_eject(0, 3, 10));
        assert!(!may_eject(1, 3, 50));
        assert!(may_eject(1, 4, 50));
        assert!(!may_eject(0, 4, 0));
    }
}
