//! How many repeats of requests the nodes are asked to bear.

use std::time::Instant;

use super::stamp::Stamped;

/// Seconds of traffic that the budget remembers.
const WINDOW: f32 = 10.0;

/// Repeats may be a share of the recent requests, plus a few a second.
///
/// Without it, a cluster that fails half of its requests would be sent half as many again, at the worst moment.
/// Deposits and the minimum fade over ten seconds, so that a calm hour saves up nothing. Lock-free.
#[derive(Debug)]
pub struct RetryBudget {
    ratio: f32,
    min_per_second: f32,
    tokens: Stamped,
}

impl RetryBudget {
    /// Repeats up to `ratio` of the requests and `min_per_second` on top. Both zero: none at all.
    pub fn new(ratio: f32, min_per_second: u32) -> Self {
        let min_per_second = min_per_second as f32;
        Self {
            ratio: ratio.max(0.0),
            min_per_second,
            tokens: Stamped::new(min_per_second * WINDOW),
        }
    }

    /// Counts a request that a client sent.
    pub fn deposit(&self, now: Instant) {
        self.tokens.update(now, |tokens, age| {
            Some(self.faded(tokens, age) + self.ratio)
        });
    }

    /// Whether one request may be repeated now; takes it from the budget.
    pub fn try_withdraw(&self, now: Instant) -> bool {
        self.tokens.update(now, |tokens, age| {
            let left = self.faded(tokens, age) - 1.0;
            (left >= 0.0).then_some(left)
        })
    }

    /// The tokens after `age` seconds in which they fade and the minimum flows in.
    fn faded(&self, tokens: f32, age: f32) -> f32 {
        let kept = (-age / WINDOW).exp();
        tokens * kept + self.min_per_second * WINDOW * (1.0 - kept)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn withdrawals(budget: &RetryBudget, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.try_withdraw(now)).count()
    }

    #[test]
    fn no_budget_means_no_repeats() {
        let budget = RetryBudget::new(0.0, 0);
        let now = Instant::now();
        budget.deposit(now);
        assert!(!budget.try_withdraw(now));
    }

    #[test]
    fn repeats_follow_the_requests() {
        let budget = RetryBudget::new(0.2, 0);
        let now = Instant::now();
        for _ in 0..1000 {
            budget.deposit(now);
        }
        let repeats = withdrawals(&budget, now);
        assert!((199..=201).contains(&repeats), "{repeats}");
    }

    #[test]
    fn a_calm_hour_saves_up_nothing() {
        let budget = RetryBudget::new(0.2, 1);
        let now = Instant::now();
        for _ in 0..10_000 {
            budget.deposit(now);
        }
        let repeats = withdrawals(&budget, now + Duration::from_secs(3600));
        assert!((9..=11).contains(&repeats), "{repeats}");
    }

    #[test]
    fn the_minimum_flows_back_after_a_storm() {
        let budget = RetryBudget::new(0.0, 10);
        let now = Instant::now();
        withdrawals(&budget, now);
        assert!(!budget.try_withdraw(now));
        let repeats = withdrawals(&budget, now + Duration::from_secs(1));
        assert!((8..=10).contains(&repeats), "{repeats}");
    }

    #[test]
    fn threads_cannot_spend_a_token_twice() {
        let budget = RetryBudget::new(1.0, 0);
        let now = Instant::now();
        for _ in 0..1000 {
            budget.deposit(now);
        }
        let spent: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| withdrawals(&budget, now)))
                .collect();
            threads
                .into_iter()
                .filter_map(|thread| thread.join().ok())
                .sum()
        });
        assert_eq!(spent, 1000);
    }
}
