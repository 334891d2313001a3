//! A condition that comes and goes, and what counts of it.

use std::time::{Duration, Instant};

/// A condition that must hold for a while before it counts.
pub(super) struct Steady {
    good: bool,
    since: Option<Instant>,
    /// How long it must be bad, and how long good.
    after: [Duration; 2],
}

impl Steady {
    /// Good at first; counts as bad after it was `bad` that long, and as good again after `good`.
    pub(super) fn new(bad: Duration, good: Duration) -> Self {
        Steady {
            good: true,
            since: None,
            after: [bad, good],
        }
    }

    /// What counts, after what is seen `now`.
    pub(super) fn see(&mut self, good: bool, now: Instant) -> bool {
        if good == self.good {
            self.since = None;
        } else {
            let since = *self.since.get_or_insert(now);
            let [bad, well] = self.after;
            let enough = if good { well } else { bad };
            if now.saturating_duration_since(since) >= enough {
                self.good = good;
                self.since = None;
            }
        }
        self.good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_does_not_count_as_well() {
        let second = Duration::from_secs(1);
        let begin = Instant::now();
        let mut steady = Steady::new(second, 5 * second);
        let mut see = |good, at: u32| steady.see(good, begin + second * at);
        assert!(see(false, 0));
        assert!(!see(false, 1));
        for at in 2..10 {
            assert!(!see(at % 4 != 0, at));
        }
        assert!(!see(true, 13));
        assert!(see(true, 14));
    }
}
