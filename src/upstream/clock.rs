//! Milliseconds since the process first asked: an `Instant` that fits into an atomic.

use std::sync::OnceLock;
use std::time::Instant;

static START: OnceLock<Instant> = OnceLock::new();

/// Milliseconds since the first call; never 0, so that 0 can mean "never" in an atomic.
pub fn millis() -> u64 {
    since_start(Instant::now())
}

/// The same for a moment that is known already.
pub fn since_start(now: Instant) -> u64 {
    let start = *START.get_or_init(Instant::now);
    now.saturating_duration_since(start).as_millis() as u64 + 1
}
