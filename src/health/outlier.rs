//! Passive evidence: a node that fails real requests is taken out for a while, before probes notice.
//!
//! It comes back by a trial: when its term is over, a request is sent there now and then, and only some good answers in a
//! row let it in again.

use std::time::{Duration, Instant};

/// Good answers in a row that end a trial.
const TRIAL: u32 = 3;

/// Takes a node out, after failures in a row or when told to: for `base`, then twice that, then four times, up to `max`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    consecutive: u32,
    base: Duration,
    max: Duration,
    failures: u32,
    /// Ejections that are not forgiven yet.
    times: u32,
    /// When the term ends; none while it serves.
    until: Option<Instant>,
    /// Since when it serves again.
    back: Option<Instant>,
    good: u32,
}

impl Outlier {
    /// In service. `consecutive` of zero counts as one.
    pub const fn new(consecutive: u32, base: Duration, max: Duration) -> Self {
        Self {
            consecutive,
            base,
            max,
            failures: 0,
            times: 0,
            until: None,
            back: None,
            good: 0,
        }
    }

    /// A request failed on the node. True when this one ejected it.
    ///
    /// Requests that were under way at the ejection may still fail; they change nothing.
    pub fn failure(&mut self, now: Instant) -> bool {
        if self.is_held() {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < self.consecutive {
            return false;
        }
        self.eject(now);
        true
    }

    /// A request went well: failures in a row are counted anew.
    pub const fn success(&mut self) {
        self.failures = 0;
    }

    /// Takes it out from `now` on, also when its trial failed. Says for how long at least.
    pub fn eject(&mut self, now: Instant) -> Duration {
        self.forgive(now);
        self.times = self.times.saturating_add(1);
        let term = self.term();
        self.until = Some(now.checked_add(term).unwrap_or(now));
        (self.failures, self.good) = (0, 0);
        term
    }

    /// An answer of its trial was good. True when it may serve again.
    pub fn stands_the_test(&mut self, now: Instant) -> bool {
        if !self.is_held() {
            return false;
        }
        self.good = self.good.saturating_add(1);
        let back = self.good >= TRIAL;
        if back {
            self.come_back(now);
        }
        back
    }

    /// Lets it serve again.
    pub const fn come_back(&mut self, now: Instant) {
        (self.until, self.back) = (None, Some(now));
        (self.failures, self.good) = (0, 0);
    }

    /// When its term ends or ended; none while it serves.
    pub const fn ends(&self) -> Option<Instant> {
        self.until
    }

    /// Whether it gets no requests but for a trial.
    pub const fn is_held(&self) -> bool {
        self.until.is_some()
    }

    /// Takes the last ejection back, for when [`may_eject`] forbids it. The next one needs failures anew.
    pub const fn pardon(&mut self) {
        self.until = None;
        (self.failures, self.good) = (0, 0);
        self.times = self.times.saturating_sub(1);
    }

    fn term(&self) -> Duration {
        let doubled = self.times.saturating_sub(1);
        let factor = 1_u32.checked_shl(doubled).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }

    /// As long served well as it was out makes an ejection forgotten, the longest first.
    fn forgive(&mut self, now: Instant) {
        let Some(back) = self.back.take() else {
            return;
        };
        let mut served = now.saturating_duration_since(back);
        while self.times > 0 {
            let Some(left) = served.checked_sub(self.term()) else {
                break;
            };
            served = left;
            self.times -= 1;
        }
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
        Outlier::new(3, BASE, BASE * 30)
    }

    /// Fails until ejected; returns when that ends.
    fn eject(outlier: &mut Outlier, now: Instant) -> Instant {
        while !outlier.failure(now) {}
        outlier.ends().unwrap_or(now)
    }

    fn stand_the_test(outlier: &mut Outlier, now: Instant) {
        while !outlier.stands_the_test(now) {}
    }

    #[test]
    fn failures_in_a_row_eject() {
        let mut outlier = outlier();
        let now = Instant::now();
        assert!(!outlier.failure(now));
        assert!(!outlier.failure(now));
        assert!(outlier.failure(now));
        assert!(outlier.is_held());
        assert_eq!(outlier.ends(), Some(now + BASE));
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
        assert!(!outlier.is_held());
    }

    #[test]
    fn each_ejection_lasts_twice_as_long_up_to_a_limit() {
        let mut outlier = outlier();
        let mut now = Instant::now();
        for factor in [1, 2, 4, 8, 16, 30, 30] {
            let until = eject(&mut outlier, now);
            assert_eq!(until - now, BASE * factor);
            now = until;
            stand_the_test(&mut outlier, now);
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
        assert_eq!(outlier.ends(), Some(until));
    }

    #[test]
    fn only_good_answers_in_a_row_let_a_node_in_again() {
        let mut outlier = outlier();
        let now = eject(&mut outlier, Instant::now());
        assert!(!outlier.stands_the_test(now));
        assert!(!outlier.stands_the_test(now));
        assert_eq!(outlier.eject(now), BASE * 2);
        for _ in 1..TRIAL {
            assert!(!outlier.stands_the_test(now));
        }
        assert!(outlier.stands_the_test(now));
        assert!(!outlier.is_held());
    }

    #[test]
    fn time_served_well_forgives() {
        let mut outlier = outlier();
        let mut now = Instant::now();
        for _ in 0..3 {
            now = eject(&mut outlier, now);
            stand_the_test(&mut outlier, now);
        }
        // Three are held against it, the last of them of 40 s.
        let mut soon = outlier.clone();
        assert_eq!(soon.eject(now + BASE * 3), BASE * 8);
        let mut later = outlier.clone();
        assert_eq!(later.eject(now + BASE * 4), BASE * 4);
        assert_eq!(outlier.eject(now + BASE * 7), BASE);
    }

    #[test]
    fn a_pardoned_node_serves_on() {
        let mut outlier = outlier();
        let now = Instant::now();
        eject(&mut outlier, now);
        outlier.pardon();
        assert!(!outlier.is_held());
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
