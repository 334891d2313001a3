//! A node that just came back gets its share of work little by little.

use std::time::Duration;

/// The share that a node begins with: enough to warm it up.
const FIRST: f32 = 0.1;

/// The share of its weight that a node has `since` after it came back: from 0.1 up to 1.0 at the end of `window`.
pub fn share(since: Duration, window: Duration) -> f32 {
    if since >= window {
        return 1.0;
    }
    let passed = since.as_secs_f32() / window.as_secs_f32();
    FIRST + (1.0 - FIRST) * passed.clamp(0.0, 1.0)
}

/// The same by milliseconds of one clock; `back` of 0: it was never away.
pub fn share_at(back: u64, now: u64, window: Duration) -> f32 {
    match back {
        0 => 1.0,
        back => share(Duration::from_millis(now.saturating_sub(back)), window),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn the_share_grows_from_a_tenth_to_all() {
        assert_eq!(share(Duration::ZERO, WINDOW), 0.1);
        assert!((share(WINDOW / 2, WINDOW) - 0.55).abs() < 0.001);
        assert_eq!(share(WINDOW, WINDOW), 1.0);
        assert_eq!(share(WINDOW * 9, WINDOW), 1.0);
    }

    #[test]
    fn no_window_means_the_whole_share_at_once() {
        assert_eq!(share(Duration::ZERO, Duration::ZERO), 1.0);
    }
}
