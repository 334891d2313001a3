//! How many requests a node can work on before they only wait for each other, learnt from how soon it answers.
//!
//! After the gradient limits of Netflix and Envoy. A node with less work than it can do answers as soon as it ever does;
//! with more, later, by as much as requests wait. The limit falls in proportion to that, and rises as long as it is used
//! and nothing waits: fast at first, then by its square root. How soon the node answers at rest changes, too. So every
//! half minute, if the limit is used or answers are late, fewer and fewer requests are let in until that makes no
//! difference: this is rest.

use std::time::{Duration, Instant};

/// The lowest limit: less says nothing about a node.
const LEAST: u32 = 16;
/// Where it begins.
const FIRST: u32 = 64;
/// Answers that are looked at together, at the least.
const SAMPLES: u32 = 20;
/// And for how long.
const WINDOW: Duration = Duration::from_millis(100);
/// What may be slower than at rest without being a queue.
const TOLERANCE: f32 = 1.5;
/// An answer counts for no more than so many times what is usual: one that hangs says nothing about the others.
const OUTLIER: f32 = 5.0;
/// How much of the way to the new limit is taken at once.
const STEP: f32 = 0.2;
/// How fast the limit rises until something waits for the first time.
const RISE: f32 = 1.25;
/// How often the node is seen at rest.
const REST_EVERY: Duration = Duration::from_secs(30);
/// How long it may take until fewer requests are under way: some last for long.
const REST_WITHIN: Duration = Duration::from_secs(3);
/// So much sooner must an answer come with half of the requests, or nothing had been waiting.
const SOONER: f32 = 0.8;

/// The limit of one node.
#[derive(Debug)]
pub struct Gradient {
    most: u32,
    limit: f32,
    /// Whether nothing has ever waited.
    rising: bool,
    /// Seconds to an answer at rest; none before anything was seen.
    at_rest: Option<f32>,
    /// When it was last seen at rest.
    rested: Option<Instant>,
    resting: Option<Resting>,
    window: Option<Window>,
}

/// On the way to rest.
#[derive(Clone, Copy, Debug)]
struct Resting {
    since: Instant,
    /// So many requests are let in.
    level: f32,
    /// Seconds to an answer with twice as many.
    before: f32,
}

/// Answers that are looked at together.
#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    count: u32,
    sum: f32,
    /// The most requests that were under way.
    busiest: u32,
}

impl Gradient {
    /// Never goes beyond `most`.
    pub fn new(most: u32) -> Self {
        Gradient {
            most,
            limit: FIRST.min(most) as f32,
            rising: true,
            at_rest: None,
            rested: None,
            resting: None,
            window: None,
        }
    }

    /// The most requests that the node should get at once.
    pub fn limit(&self) -> u32 {
        let limit = self
            .resting
            .map_or(self.limit, |resting| resting.level.min(self.limit));
        self.bounded(limit) as u32
    }

    fn bounded(&self, limit: f32) -> f32 {
        limit.clamp(LEAST.min(self.most) as f32, self.most as f32)
    }

    /// Takes into account an answer that began after `latency`, with so many requests under way. `Some`: a new limit.
    pub fn observe(&mut self, latency: Duration, in_flight: u32, now: Instant) -> Option<u32> {
        let latency = latency.as_secs_f32().max(1e-6);
        let bounded = self
            .at_rest
            .map_or(latency, |rest| latency.min(rest * OUTLIER));
        let window = self.window.get_or_insert(Window {
            began: now,
            count: 0,
            sum: 0.0,
            busiest: 0,
        });
        window.count += 1;
        window.sum += bounded;
        window.busiest = window.busiest.max(in_flight);
        let lasts = WINDOW.max(2 * window.latency());
        let full = window.count >= SAMPLES && now.saturating_duration_since(window.began) >= lasts;
        if !full {
            return None;
        }
        let window = self.window.take()?;
        let before = self.limit();
        match self.resting {
            Some(resting) => self.rest(resting, window, now),
            None => self.judge(window, now),
        }
        let after = self.limit();
        (after != before).then_some(after)
    }

    fn judge(&mut self, window: Window, now: Instant) {
        let short = window.mean();
        let at_rest = self.at_rest.map_or(short, |rest| rest.min(short));
        self.at_rest = Some(at_rest);
        let gradient = (TOLERANCE * at_rest / short).clamp(0.5, 1.0);
        let used = window.busiest as f32 > self.limit / 2.0;
        if !used && gradient >= 1.0 {
            return;
        }
        let due = |rested| now.saturating_duration_since(rested) >= REST_EVERY;
        if self.rested.is_none_or(due) {
            self.resting = Some(Resting {
                since: now,
                level: self.bounded(self.limit.min(window.busiest as f32) / 2.0),
                before: short,
            });
            return;
        }
        self.rising &= gradient >= 1.0;
        let step = match (self.rising, used) {
            (true, _) => self.limit * (RISE - 1.0),
            (false, true) => STEP * (self.limit * gradient + self.limit.sqrt() - self.limit),
            (false, false) => STEP * (self.limit * gradient - self.limit),
        };
        self.limit = self.bounded(self.limit + step);
    }

    fn rest(&mut self, resting: Resting, window: Window, now: Instant) {
        let short = window.mean();
        // One more may have come just before fewer were let in.
        if window.busiest as f32 > resting.level + 1.0 {
            if now.saturating_duration_since(resting.since) >= REST_WITHIN {
                self.resting = None;
                self.rested = Some(now);
            }
            return;
        }
        let lower = self.bounded(resting.level / 2.0);
        self.at_rest = Some(short);
        self.resting =
            (short < resting.before * SOONER && lower < resting.level).then_some(Resting {
                since: now,
                level: lower,
                before: short,
            });
        if self.resting.is_none() {
            self.rested = Some(now);
        }
    }
}

impl Window {
    fn mean(&self) -> f32 {
        self.sum / self.count.max(1) as f32
    }

    /// A window lasts for two answers: those that begin in it were sent in it, for the most part.
    fn latency(&self) -> Duration {
        Duration::from_secs_f32(self.mean().min(10.0))
    }
}

#[cfg(test)]
mod simulation;
