//! The operator's word on nodes: said at one door, obeyed by all.
//!
//! The latest word on a node wins, wherever it was said. A store that lost its data gets the words back from the doors.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::entry;

/// The largest weight of a node.
const MOST_WEIGHT: u32 = 1000;
/// Clocks of doors that differ by more than this, in milliseconds, are somebody's mistake.
const AHEAD: u64 = 24 * 3_600_000;

/// What the operator wants of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Serve.
    #[default]
    Ready,
    /// Take no new work.
    Drain,
    /// Take no work and count for nothing.
    Maintenance,
}

impl Wish {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Wish::Ready => "ready",
            Wish::Drain => "drain",
            Wish::Maintenance => "maintenance",
        }
    }
}

/// What was last said of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// What it shall do.
    pub wish: Wish,
    /// A weight other than the configured one.
    pub weight: Option<u32>,
    /// When it was promoted to primary, in milliseconds since 1970, and over which; none: never.
    #[serde(default)]
    pub promoted: Option<(u64, String)>,
    /// Sessions that came to stick to it before this moment are forgotten.
    pub forgotten: u64,
    /// When it was said, in milliseconds since 1970.
    pub at: u64,
    /// At which door.
    pub door: String,
}

/// The words on all nodes.
#[derive(Debug, Default)]
pub struct Words {
    known: Mutex<BTreeMap<String, Word>>,
    changed: Notify,
}

impl Words {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Word>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was last said of `node`, if anything.
    pub fn of(&self, node: &str) -> Option<Word> {
        self.lock().get(node).cloned()
    }

    /// What was said of all nodes.
    pub fn all(&self) -> BTreeMap<String, Word> {
        self.lock().clone()
    }

    /// Says something new of `node` at `door`.
    pub fn say(&self, node: &str, door: &str, change: impl FnOnce(&mut Word)) {
        let mut known = self.lock();
        let word = known.entry(node.to_owned()).or_default();
        change(word);
        // Clocks of doors may differ: what is said last here is later than what this door knows of.
        word.at = entry::now().max(word.at.saturating_add(1));
        door.clone_into(&mut word.door);
    }

    /// Takes over what was said elsewhere and is later. True when something was.
    pub(super) fn take(&self, heard: &BTreeMap<String, Word>) -> bool {
        let mut known = self.lock();
        let mut new = false;
        let latest = entry::now().saturating_add(AHEAD);
        for (node, word) in heard {
            // No operator said that: the weight does not exist, or it would outlast every word to come.
            if word.weight.is_some_and(|weight| weight > MOST_WEIGHT) || word.at > latest {
                continue;
            }
            if known.get(node).is_none_or(|old| old.at < word.at) {
                known.insert(node.clone(), word.clone());
                new = true;
            }
        }
        if new {
            self.changed.notify_one();
        }
        new
    }

    /// Returns when something was said at another door.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_word_wins_wherever_it_was_said() {
        let (a, b) = (Words::default(), Words::default());
        a.say("harbor-1", "a", |word| word.wish = Wish::Drain);
        assert!(b.take(&a.all()));
        b.say("harbor-1", "b", |word| word.weight = Some(5));
        assert!(a.take(&b.all()));
        assert!(!b.take(&a.all()));
        let word = a.of("harbor-1").unwrap();
        assert_eq!((word.wish, word.weight), (Wish::Drain, Some(5)));
        assert_eq!(word.door, "b");
    }

    #[test]
    fn what_no_operator_can_have_said_is_not_taken_over() {
        let words = Words::default();
        let heavy = Word {
            weight: Some(1001),
            at: entry::now(),
            ..Word::default()
        };
        let eternal = Word {
            wish: Wish::Drain,
            at: u64::MAX,
            ..Word::default()
        };
        for word in [heavy, eternal] {
            assert!(!words.take(&BTreeMap::from([("harbor-1".to_owned(), word)])));
        }
        words.say("harbor-1", "a", |word| word.wish = Wish::Drain);
        assert_eq!(words.of("harbor-1").unwrap().wish, Wish::Drain);
    }

    #[test]
    fn a_clock_that_is_behind_does_not_make_a_word_count_for_nothing() {
        let words = Words::default();
        let ahead = Word {
            wish: Wish::Drain,
            at: entry::now() + 60_000,
            ..Word::default()
        };
        words.take(&BTreeMap::from([("harbor-1".to_owned(), ahead.clone())]));
        words.say("harbor-1", "a", |word| word.wish = Wish::Ready);
        assert!(words.of("harbor-1").unwrap().at > ahead.at);
    }
}
