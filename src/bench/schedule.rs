//! When operations begin.
//!
//! With a rate, every operation has an intended start that no slow answer can move, and its latency counts from there:
//! a registry that stalls is charged for everyone who would have waited (no coordinated omission). Without one, a
//! client begins as soon as it is done.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How much is asked of the registry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Clients at work at a time.
    pub clients: u32,
    /// Operations a second that are meant to begin; `None`: as many as the clients can do.
    pub rate: Option<f64>,
}

/// The starts of one slice of time.
#[derive(Debug)]
pub struct Schedule {
    rate: Option<f64>,
    length: Duration,
    begun: OnceLock<Instant>,
    next: AtomicU64,
    closed: AtomicBool,
}

impl Schedule {
    /// Begins with the first call of [`Schedule::begin`] and gives out starts for `length`.
    pub fn new(rate: Option<f64>, length: Duration) -> Self {
        Schedule {
            rate,
            length,
            begun: OnceLock::new(),
            next: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// When it began; now, if nobody asked before.
    pub fn begin(&self) -> Instant {
        *self.begun.get_or_init(Instant::now)
    }

    /// The intended start of the next operation, as time since the beginning; `None` once the time is over. `now`
    /// counts from the beginning too.
    pub fn take(&self, now: Duration) -> Option<Duration> {
        if now >= self.length || self.closed.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let start = match self.rate {
            None => now,
            Some(rate) => intended(number, rate),
        };
        if start < self.length {
            return Some(start);
        }
        self.next.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Gives out no more starts.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// How many operations were meant to begin and did not, because every client was busy until the end.
    pub fn missed(&self) -> u64 {
        let Some(rate) = self.rate else { return 0 };
        let meant = (self.length.as_secs_f64() * rate).ceil() as u64;
        meant.saturating_sub(self.next.load(Ordering::Relaxed))
    }
}

/// When the `number`th operation (from 0) is meant to begin.
fn intended(number: u64, rate: f64) -> Duration {
    Duration::try_from_secs_f64(number as f64 / rate).unwrap_or(Duration::MAX)
}

/// Whether the `number`th operation is one of those that `share` (0 to 1) stands for, spread evenly.
pub fn is_chosen(number: u64, share: f64) -> bool {
    let until = |number: u64| (number as f64 * share).floor();
    until(number + 1) > until(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_rate_fixes_every_start_however_late_it_is_asked_for() {
        let schedule = Schedule::new(Some(4.0), SECOND);
        assert_eq!(schedule.take(millis(0)), Some(millis(0)));
        assert_eq!(schedule.take(millis(1)), Some(millis(250)));
        assert_eq!(schedule.take(millis(900)), Some(millis(500)));
        assert_eq!(schedule.take(millis(901)), Some(millis(750)));
        assert_eq!(schedule.take(millis(902)), None);
        assert_eq!(schedule.missed(), 0);
    }

    #[test]
    fn starts_that_nobody_could_take_are_counted() {
        let schedule = Schedule::new(Some(10.0), SECOND);
        assert!(schedule.take(millis(0)).is_some());
        assert!(schedule.take(millis(100)).is_some());
        assert_eq!(schedule.take(SECOND), None);
        assert_eq!(schedule.missed(), 8);
    }

    #[test]
    fn without_a_rate_a_client_begins_when_it_asks() {
        let schedule = Schedule::new(None, SECOND);
        assert_eq!(schedule.take(millis(7)), Some(millis(7)));
        assert_eq!(schedule.take(millis(999)), Some(millis(999)));
        assert_eq!(schedule.take(SECOND), None);
        assert_eq!(schedule.missed(), 0);
    }

    #[test]
    fn a_closed_schedule_gives_out_nothing() {
        let schedule = Schedule::new(None, SECOND);
        schedule.close();
        assert_eq!(schedule.take(millis(7)), None);
    }

    #[test]
    fn a_share_is_kept_and_spread() {
        let chosen: Vec<u64> = (0..20).filter(|number| is_chosen(*number, 0.2)).collect();
        assert_eq!(chosen, [4, 9, 14, 19]);
        assert!((0..9).all(|number| is_chosen(number, 1.0)));
        assert!(!(0..9).any(|number| is_chosen(number, 0.0)));
    }
}
