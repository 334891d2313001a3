//! A table of rates that never grows: one word for each key says until when it is used up (GCRA, ITU-T I.371).
//!
//! A key has a few cells in which it may be; when all are taken, the one that is free again first makes room. So a flood
//! of keys lets the door forget the least, and never refuses anybody for it. Two keys that come to the same cell at the
//! same moment may count for each other once.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::config::Rate;

/// Cells in which a key may be.
const WAYS: usize = 8;
/// All cells: 32,768 keys in 768 KiB.
const SETS: usize = 4096;
/// The most that other doors may say of a key, in microseconds.
const MOST: i64 = 3_600_000_000;
/// Time begins here, so that 0 is always in the past.
const BEGIN: u64 = 1;
/// For how long a password that was right counts as right, in microseconds.
const TRUST: u64 = 600_000_000;

#[derive(Default)]
struct Cell {
    key: AtomicU64,
    /// Microseconds until which it is used up; the lowest bit: it is not used up but trusted so long.
    until: AtomicU64,
    /// What was used here since other doors were last told, in microseconds.
    spent: AtomicI64,
}

/// How a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known of it, or nothing any more.
    Fresh,
    /// It is trusted.
    Trusted,
    /// Some of its rate is used.
    Used,
    /// All of its rate is used; for so long.
    Empty(Duration),
}

/// The table.
pub struct Cells {
    sets: Box<[[Cell; WAYS]]>,
    seed: u64,
    begun: Instant,
}

impl Default for Cells {
    fn default() -> Self {
        Cells {
            sets: (0..SETS).map(|_| Default::default()).collect(),
            seed: fastrand::u64(..),
            begun: Instant::now(),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The whole of a rate, and what one of it takes, in microseconds.
fn parts(rate: Rate) -> (u64, u64) {
    let period = micros(rate.period);
    (period, (period / u64::from(rate.count).max(1)).max(1))
}

/// What one of a rate takes, in microseconds.
pub fn one(rate: Rate) -> i64 {
    parts(rate).1.cast_signed()
}

impl Cells {
    /// The present, for all that takes it as an argument.
    pub fn now(&self) -> u64 {
        BEGIN + micros(self.begun.elapsed())
    }

    fn cell(&self, key: u64) -> Option<&Cell> {
        let mixed = (key ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let set = self.sets.get((mixed >> 40) as usize % SETS)?;
        // 0 is no key.
        let key = key.max(1);
        if let Some(known) = set.iter().find(|cell| cell.key.load(Relaxed) == key) {
            return Some(known);
        }
        let cell = set.iter().min_by_key(|cell| cell.until.load(Relaxed))?;
        cell.until.store(0, Relaxed);
        cell.spent.store(0, Relaxed);
        cell.key.store(key, Relaxed);
        Some(cell)
    }

    /// How `key` is.
    pub fn standing(&self, key: u64, rate: Rate, now: u64) -> Standing {
        let value = self.cell(key).map_or(0, |cell| cell.until.load(Relaxed));
        let (until, (period, one)) = (value >> 1, parts(rate));
        if until <= now {
            Standing::Fresh
        } else if value & 1 == 1 {
            Standing::Trusted
        } else if until + one > now + period {
            Standing::Empty(Duration::from_micros(until + one - now - period))
        } else {
            Standing::Used
        }
    }

    /// Uses one of the rate of `key`.
    ///
    /// # Errors
    /// All of it is used; for how long.
    pub fn take(&self, key: u64, rate: Rate, now: u64) -> Result<(), Duration> {
        self.take_alone(key, rate, now)?;
        if let Some(cell) = self.cell(key) {
            cell.spent.fetch_add(one(rate), Relaxed);
        }
        Ok(())
    }

    /// The same, and no other door hears of it.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_alone(&self, key: u64, rate: Rate, now: u64) -> Result<(), Duration> {
        let Some(cell) = self.cell(key) else {
            return Ok(());
        };
        let (period, one) = parts(rate);
        let next = |value: u64| match value & 1 {
            0 => (value >> 1).max(now) + one,
            _ => now + one,
        };
        let taken = cell.until.fetch_update(Relaxed, Relaxed, |value| {
            (next(value) <= now + period).then(|| next(value) << 1)
        });
        taken
            .map(drop)
            .map_err(|value| Duration::from_micros(next(value) - now - period))
    }

    /// Gives one back.
    pub fn give_back(&self, key: u64, rate: Rate) {
        self.add(key, -one(rate), 0);
        if let Some(cell) = self.cell(key) {
            cell.spent.fetch_sub(one(rate), Relaxed);
        }
    }

    /// Trusts `key` for a while.
    pub fn trust(&self, key: u64, now: u64) {
        if let Some(cell) = self.cell(key) {
            cell.until.store(((now + TRUST) << 1) | 1, Relaxed);
        }
    }

    /// Adds what was used elsewhere, in microseconds.
    pub fn add(&self, key: u64, used: i64, now: u64) {
        let Some(cell) = self.cell(key) else { return };
        let most = now.saturating_add(MOST.unsigned_abs());
        let _ = cell.until.fetch_update(Relaxed, Relaxed, |value| {
            let added = (value >> 1).max(now).saturating_add_signed(used.min(MOST));
            let added = if now == 0 { added } else { added.min(most) };
            (value & 1 == 0).then_some(added << 1)
        });
    }

    /// What was used here since the last call, in microseconds, for `most` keys at most.
    pub fn spent(&self, most: usize) -> Vec<(u64, i64)> {
        let cells = self.sets.iter().flatten();
        cells
            .filter(|cell| cell.spent.load(Relaxed) != 0)
            .take(most)
            .map(|cell| (cell.key.load(Relaxed), cell.spent.swap(0, Relaxed)))
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEN: Rate = Rate {
        count: 10,
        period: Duration::from_secs(100),
    };
    const SECOND: u64 = 1_000_000;
    const NOW: u64 = 1000 * SECOND;

    fn used_up() -> Cells {
        let cells = Cells::default();
        for _ in 0..10 {
            cells.take(7, TEN, NOW).unwrap();
        }
        cells
    }

    #[test]
    fn all_of_a_rate_may_be_used_at_once_and_comes_back_bit_by_bit() {
        let cells = used_up();
        assert_eq!(cells.take(7, TEN, NOW), Err(Duration::from_secs(10)));
        let wait = Standing::Empty(Duration::from_secs(10));
        assert_eq!(cells.standing(7, TEN, NOW), wait);
        cells.take(7, TEN, NOW + 10 * SECOND).unwrap();
        assert!(cells.take(7, TEN, NOW + 11 * SECOND).is_err());
        assert_eq!(cells.standing(7, TEN, NOW + 200 * SECOND), Standing::Fresh);
        cells.take(8, TEN, NOW).unwrap();
    }

    #[test]
    fn what_is_given_back_may_be_used_again_and_was_never_spent() {
        let cells = used_up();
        for _ in 0..10 {
            cells.give_back(7, TEN);
        }
        assert_eq!(cells.standing(7, TEN, NOW), Standing::Fresh);
        assert!(cells.spent(10).is_empty());
    }

    #[test]
    fn what_one_door_spent_is_used_up_at_the_other() {
        let (here, there) = (used_up(), Cells::default());
        let spent = here.spent(10);
        assert_eq!(spent, [(7, 100 * SECOND.cast_signed())]);
        for (key, used) in spent {
            there.add(key, used, NOW);
        }
        assert!(there.take(7, TEN, NOW).is_err());
        // What was heard is not told on.
        assert!(there.spent(10).is_empty() && here.spent(10).is_empty());
    }

    #[test]
    fn nobody_is_refused_for_more_than_an_hour_by_what_others_say() {
        let cells = Cells::default();
        for used in [i64::MAX, i64::MAX, i64::MIN, i64::MAX] {
            cells.add(7, used, NOW);
        }
        assert!(cells.take(7, TEN, NOW + 3600 * SECOND).is_ok());
    }

    #[test]
    fn a_trusted_key_begins_anew_with_its_first_use() {
        let cells = used_up();
        cells.trust(7, NOW);
        assert_eq!(cells.standing(7, TEN, NOW), Standing::Trusted);
        cells.take(7, TEN, NOW).unwrap();
        assert_eq!(cells.standing(7, TEN, NOW), Standing::Used);
        cells.trust(7, NOW);
        assert_eq!(cells.standing(7, TEN, NOW + TRUST), Standing::Fresh);
    }

    #[test]
    fn a_flood_of_keys_does_not_free_one_that_is_used_up() {
        let cells = used_up();
        for key in 100..200_000 {
            cells.take(key, TEN, NOW).unwrap();
        }
        assert!(cells.take(7, TEN, NOW).is_err());
    }
}
