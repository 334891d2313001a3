//! The latency of a node, as the choice by latency sees it.

use std::time::{Duration, Instant};

use super::stamp::Stamped;

/// Seconds after which an observation counts for a third of what it did.
const MEMORY: f32 = 10.0;

/// A moving average that believes bad news at once and good news slowly.
///
/// A latency above the average replaces it; lower ones pull it down with the time that passed. Without any
/// observation it falls towards zero, so that a node that was slow once is tried again. Lock-free.
#[derive(Debug)]
pub struct Ewma(Stamped);

impl Ewma {
    /// Never measured.
    pub fn new() -> Self {
        Self(Stamped::new(0.0))
    }

    /// Takes one latency into account.
    pub fn observe(&self, latency: Duration, now: Instant) {
        let latency = latency.as_secs_f32();
        self.0.update(now, |average, age| {
            let kept = decay(age);
            Some(latency.max(average * kept + latency * (1.0 - kept)))
        });
    }

    /// Seconds; 0 when never measured.
    pub fn value(&self, now: Instant) -> f32 {
        let (average, age) = self.0.read(now);
        average * decay(age)
    }
}

impl Default for Ewma {
    fn default() -> Self {
        Self::new()
    }
}

fn decay(age: f32) -> f32 {
    (-age / MEMORY).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);
    const SLOW: Duration = Duration::from_secs(1);

    #[test]
    fn a_peak_counts_at_once() {
        let ewma = Ewma::new();
        let now = Instant::now();
        ewma.observe(FAST, now);
        ewma.observe(SLOW, now);
        assert!(ewma.value(now) > 0.99);
    }

    #[test]
    fn good_news_count_slowly() {
        let ewma = Ewma::new();
        let now = Instant::now();
        ewma.observe(SLOW, now);
        ewma.observe(FAST, now + Duration::from_secs(1));
        let soon = ewma.value(now + Duration::from_secs(1));
        assert!((0.8..0.95).contains(&soon), "{soon}");
        for second in 2..60 {
            ewma.observe(FAST, now + Duration::from_secs(second));
        }
        assert!(ewma.value(now + Duration::from_secs(60)) < 0.03);
    }

    #[test]
    fn a_silent_node_is_forgiven_in_time() {
        let ewma = Ewma::new();
        let now = Instant::now();
        ewma.observe(SLOW, now);
        assert!(ewma.value(now + Duration::from_secs(60)) < 0.01);
    }
}
