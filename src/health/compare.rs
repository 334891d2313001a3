//! A node against its siblings: clearly slower, or failing clearly more of its requests.
//!
//! Never a node alone, and nobody is slow or bad because all are: what is held against a node is measured at its siblings
//! over the same time. Kinds of requests are compared with their like, so that a node that happens to get the heavy ones is
//! not thought slow.

use std::time::{Duration, Instant};

use super::history::{FRESH, History, MEMORY};

/// From when on a node is out of line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// So many percent of its requests must fail more than of its siblings'. Zero: failures are not compared.
    pub failure_percent: u8,
    /// So many times as long as at its siblings must its answers take to begin. Zero: they are not compared.
    pub slow_factor: u32,
    /// So many requests within 20 s make an opinion.
    pub volume: u32,
}

/// An answer that begins so much later than usual is not yet slow, whatever the factor.
const NOISE: Duration = Duration::from_millis(250);
/// Answers of a sibling without which its time to begin one is not known.
const FEWEST: u32 = 5;
/// More of a node's requests must be slow.
const MOST_ARE_SLOW: f64 = 0.5;
/// More of its siblings' must not be: else something that they share is slow.
const SIBLINGS_MAY_BE: f64 = 0.25;
/// So many standard deviations away from what its siblings do is no chance.
const NO_CHANCE: f64 = 2.5;
/// A share of failures that nobody minds.
const NEVER_MIND: f64 = 0.02;

/// What was found of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Its answers begin late.
    Slow {
        /// The kind that is slow most often.
        kind: usize,
        /// How late, about; requests that still wait may take longer.
        took: Duration,
        /// How late at its siblings.
        siblings: Duration,
    },
    /// Its requests fail.
    Failing {
        /// How many, in percent.
        percent: f64,
        /// How many at its siblings.
        siblings: f64,
    },
}

/// Who is compared, and in what.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The node.
    pub own: &'a History,
    /// Those that do the same work.
    pub siblings: &'a [&'a History],
    /// The kinds of requests of which a node is left out together.
    pub kinds: &'a [usize],
    /// Their group.
    pub group: usize,
}

/// Of several siblings the one in the middle, of two the worse: one that is much better than all others is no measure.
fn middle<T: Copy>(mut words: Vec<T>, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> Option<T> {
    words.sort_by(order);
    words.get(words.len() / 2).copied()
}

impl Measure {
    /// What is wrong with the node, if anything.
    pub fn find(&self, case: Case<'_>, now: Instant) -> Option<Finding> {
        self.slow(case, now).or_else(|| self.failing(case, now))
    }

    /// What its siblings take to begin an answer, by kind.
    fn usual(case: Case<'_>, now: Instant) -> Vec<Option<Duration>> {
        let length = case.kinds.iter().max().map_or(0, |last| last + 1);
        let mut usual = vec![None; length];
        for kind in case.kinds {
            let known = case.siblings.iter();
            let known = known.filter_map(|sibling| sibling.typical(*kind, FEWEST, now));
            if let Some(slot) = usual.get_mut(*kind) {
                *slot = middle(known.collect(), Ord::cmp);
            }
        }
        usual
    }

    fn bound(&self, usual: Duration) -> Duration {
        usual.saturating_mul(self.slow_factor).max(usual + NOISE)
    }

    /// How long a node may take to begin an answer, by kind, as its siblings do.
    pub fn bounds(&self, case: Case<'_>, now: Instant) -> Vec<Option<Duration>> {
        let bound = |usual: Option<Duration>| usual.map(|usual| self.bound(usual));
        Self::usual(case, now).into_iter().map(bound).collect()
    }

    fn slow(&self, case: Case<'_>, now: Instant) -> Option<Finding> {
        if self.slow_factor == 0 {
            return None;
        }
        let usual = Self::usual(case, now);
        let bounds = self.bounds(case, now);
        let tempo = case.own.latest(&bounds, self.volume, now)?;
        if tempo.share() <= MOST_ARE_SLOW {
            return None;
        }
        let share = |sibling: &&History| {
            let tempo = sibling.during(&bounds, tempo.span, now);
            (tempo.all >= f64::from(FEWEST)).then(|| tempo.share())
        };
        let shares = case.siblings.iter().filter_map(share).collect();
        if middle(shares, f64::total_cmp)? > SIBLINGS_MAY_BE {
            return None;
        }
        let (kind, took) = case.own.slowest(&bounds, now)?;
        Some(Finding::Slow {
            kind,
            took,
            siblings: usual.get(kind).copied().flatten()?,
        })
    }

    fn failing(&self, case: Case<'_>, now: Instant) -> Option<Finding> {
        if self.failure_percent == 0 {
            return None;
        }
        // The shortest in which there is enough to see: at once where there is much, later where there is little.
        [1, 2, 4, 8].into_iter().find_map(|times| {
            let span = (FRESH * times).min(MEMORY);
            let rate = |history: &History| {
                let (all, failed) = history.failures(case.group, span, now);
                let all = f64::from(all);
                (all >= f64::from(self.volume)).then(|| (f64::from(failed) / all, all))
            };
            let (own, all) = rate(case.own)?;
            let siblings = case
                .siblings
                .iter()
                .filter_map(|sibling| Some(rate(sibling)?.0));
            let siblings = middle(siblings.collect(), f64::total_cmp)?;
            let surely = own - NO_CHANCE * (own * (1.0 - own) / all).sqrt();
            let far = own * 100.0 >= siblings * 100.0 + f64::from(self.failure_percent);
            let found = far && surely > 2.0 * siblings + NEVER_MIND;
            found.then_some(Finding::Failing {
                percent: own * 100.0,
                siblings: siblings * 100.0,
            })
        })
    }
}

#[cfg(test)]
mod tests;
