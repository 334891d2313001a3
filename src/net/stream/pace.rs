//! When patience with a slow reader ends. Pure: moments are arguments.

use super::{Act, Patience};
use std::time::Duration;
use tokio::time::Instant;

/// A minute of a slow client's progress is judged at once, so that a moment of congestion is forgiven.
const WINDOW: Duration = Duration::from_secs(60);

/// How fast a client takes what is written to it.
#[derive(Debug)]
pub struct Pace {
    patience: Patience,
    /// What waits, and since when.
    waiting: Option<(Act, Instant)>,
    /// Begins when something waits.
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    begun: Instant,
    bytes: u64,
    /// Time in which something waited, without what waits now.
    waited: Duration,
}

impl Pace {
    /// A client that has not kept anybody waiting yet.
    pub fn new(patience: Patience) -> Pace {
        Pace {
            patience,
            waiting: None,
            window: None,
        }
    }

    /// `act` went through, with so many bytes. Asks for the time only if it had waited.
    pub fn done(&mut self, act: Act, bytes: usize, now: impl FnOnce() -> Instant) {
        if let Some(window) = &mut self.window {
            window.bytes += bytes as u64;
        }
        // Bytes that were taken are progress whatever waits: under steady load a TLS stream is never flushed to the
        // end. A flush of nothing says nothing about a write that waits.
        let progress = bytes > 0;
        if let Some((_, since)) = self
            .waiting
            .take_if(|(waiting, _)| progress || *waiting == act)
            && let Some(window) = &mut self.window
        {
            let begun = since.max(window.begun);
            window.waited += now().saturating_duration_since(begun);
        }
    }

    /// `act` waits: until when it may.
    ///
    /// # Errors
    /// Why it may no longer.
    pub fn waits(&mut self, act: Act, now: Instant) -> Result<Instant, &'static str> {
        let (_, since) = *self.waiting.get_or_insert((act, now));
        let stalled = later(since, self.patience.write_idle);
        if now >= stalled {
            return Err("the client takes nothing of what is written to it");
        }
        if self.patience.min_rate == 0 {
            return Ok(stalled);
        }
        let window = self.window.get_or_insert_with(|| Window::new(now));
        if now >= window.begun + WINDOW {
            if window.is_too_slow(since, now, self.patience.min_rate) {
                return Err("the client takes too little of what is written to it");
            }
            *window = Window::new(now);
        }
        Ok(stalled.min(window.begun + WINDOW))
    }
}

impl Window {
    fn new(now: Instant) -> Window {
        Window {
            begun: now,
            bytes: 0,
            waited: Duration::ZERO,
        }
    }

    /// Whether little was taken although something waited for most of the time. A connection that idles between
    /// requests waits for nothing.
    fn is_too_slow(&self, since: Instant, now: Instant, min_rate: u64) -> bool {
        let lasted = now.saturating_duration_since(self.begun);
        let waited = self.waited + now.saturating_duration_since(since.max(self.begun));
        waited > lasted / 2 && (self.bytes as f64) < min_rate as f64 * lasted.as_secs_f64()
    }
}

fn later(since: Instant, patience: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(365 * 86_400);
    since + patience.min(LONG)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PATIENCE: Patience = Patience {
        write_idle: Duration::from_secs(10),
        min_rate: 1000,
    };

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Lets a client take `bytes` every `period` seconds, `idle` of which nothing is there to take, and tells
    /// after how many seconds patience ended, if it did within ten minutes.
    fn ends_after(patience: Patience, bytes: usize, period: f64, idle: f64) -> Option<f64> {
        let start = Instant::now();
        let mut pace = Pace::new(patience);
        let mut at = 0.0;
        while at < 600.0 {
            let next = at + period;
            let mut now = at;
            while now < next - idle {
                match pace.waits(Act::Write, start + seconds(now)) {
                    Err(_) => return Some(now),
                    Ok(deadline) => {
                        let woken = deadline.duration_since(start).as_secs_f64();
                        assert!(woken > now);
                        now = woken.min(next - idle);
                    }
                }
            }
            pace.done(Act::Write, bytes, || start + seconds(now));
            at = next;
        }
        None
    }

    #[test]
    fn a_stall_is_a_wait_without_a_single_byte() {
        assert_eq!(ends_after(PATIENCE, 1, 1000.0, 0.0), Some(10.0));
    }

    #[test]
    fn little_bytes_often_end_with_the_first_window() {
        let ended = ends_after(PATIENCE, 100, 1.0, 0.0).unwrap();
        assert!((60.0..61.0).contains(&ended), "{ended}");
    }

    #[test]
    fn enough_bytes_never_end() {
        assert_eq!(ends_after(PATIENCE, 10_000, 9.0, 0.0), None);
    }

    #[test]
    fn a_connection_with_little_to_send_is_not_blamed() {
        assert_eq!(ends_after(PATIENCE, 100, 1.0, 0.6), None);
    }

    #[test]
    fn without_a_rate_only_stalls_end() {
        let easy = Patience {
            min_rate: 0,
            ..PATIENCE
        };
        assert_eq!(ends_after(easy, 1, 9.0, 0.0), None);
    }

    #[test]
    fn an_empty_flush_does_not_excuse_a_write() {
        let start = Instant::now();
        let mut pace = Pace::new(PATIENCE);
        pace.waits(Act::Write, start).unwrap();
        pace.done(Act::Flush, 0, || start + seconds(5.0));
        assert!(pace.waits(Act::Write, start + seconds(10.0)).is_err());
    }

    #[test]
    fn bytes_that_are_taken_excuse_a_flush_that_never_ends() {
        let start = Instant::now();
        let mut pace = Pace::new(PATIENCE);
        for at in 0..100 {
            let now = start + seconds(f64::from(at));
            assert!(pace.waits(Act::Flush, now).is_ok());
            pace.done(Act::Write, 10_000, || now);
        }
    }

    #[test]
    fn endless_patience_overflows_nothing() {
        let endless = Patience {
            write_idle: Duration::MAX,
            min_rate: 0,
        };
        assert!(Pace::new(endless).waits(Act::Write, Instant::now()).is_ok());
    }
}
