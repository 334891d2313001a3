//! A number with the time of its last change, in one atomic word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// An `f32` and the millisecond of its last change.
///
/// Milliseconds are counted from the making of the word in 32 bits; they wrap after seven weeks, which only a
/// word that nobody touched for as long can notice.
#[derive(Debug)]
pub(super) struct Stamped {
    origin: Instant,
    word: AtomicU64,
}

impl Stamped {
    pub(super) fn new(value: f32) -> Self {
        Self {
            // Nothing is decided by this reading: it is where the 32 bits begin to count.
            origin: Instant::now(),
            word: AtomicU64::new(pack(value, 0)),
        }
    }

    /// The value, and the seconds since it changed.
    pub(super) fn read(&self, now: Instant) -> (f32, f32) {
        let (value, at) = unpack(self.word.load(Ordering::Relaxed));
        (value, age(at, self.millis(now)) as f32 / 1000.0)
    }

    /// Replaces the value by what `change` makes of it and of the seconds since its last change; `None` leaves
    /// everything as it is. Returns whether it was replaced. `change` may run several times.
    pub(super) fn update(&self, now: Instant, change: impl Fn(f32, f32) -> Option<f32>) -> bool {
        let now = self.millis(now);
        self.word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let (value, at) = unpack(word);
                let age = age(at, now);
                // Threads read the clock before they come here, so that one may bring an older time.
                let stamp = if age == 0 { at } else { now };
                change(value, age as f32 / 1000.0).map(|new| pack(new, stamp))
            })
            .is_ok()
    }

    fn millis(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.origin).as_millis() as u32
    }
}

fn age(then: u32, now: u32) -> u32 {
    let age = now.wrapping_sub(then);
    if age > u32::MAX / 2 { 0 } else { age }
}

fn pack(value: f32, at: u32) -> u64 {
    u64::from(value.to_bits()) << 32 | u64::from(at)
}

fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_older_clock_does_not_turn_time_back() {
        let word = Stamped::new(0.0);
        let start = Instant::now();
        word.update(start + Duration::from_secs(5), |_, _| Some(1.0));
        word.update(start + Duration::from_secs(2), |_, age| {
            assert_eq!(age, 0.0);
            Some(2.0)
        });
        let (value, age) = word.read(start + Duration::from_secs(6));
        assert_eq!(value, 2.0);
        assert!((0.99..=1.01).contains(&age), "{age}");
    }
}
