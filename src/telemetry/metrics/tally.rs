//! A counter by static word, for labels of which the code has a handful.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const WORDS: usize = 16;

/// Counts up to 16 different words without a lock; further ones are counted together as `other`.
#[derive(Debug, Default)]
pub(super) struct Tally {
    words: [(OnceLock<&'static str>, AtomicU64); WORDS],
    other: AtomicU64,
}

impl Tally {
    pub(super) fn count(&self, word: &'static str) {
        // Words are never removed, so that the first slot which is free or holds the word is its slot for good.
        self.words
            .iter()
            .find(|(slot, _)| *slot.get_or_init(|| word) == word)
            .map_or(&self.other, |(_, count)| count)
            .fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.words
            .iter()
            .filter_map(|(word, count)| Some((*word.get()?, count.load(Relaxed))))
            .chain(
                [("other", self.other.load(Relaxed))]
                    .into_iter()
                    .filter(|(_, count)| *count > 0),
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_a_count_of_its_own() {
        let tally = Tally::default();
        for word in ["a", "b", "a"] {
            tally.count(word);
        }
        assert!(tally.read().eq([("a", 2), ("b", 1)]));
    }

    #[test]
    fn words_beyond_the_table_are_counted_together() {
        const MANY: [&str; WORDS + 2] = [
            "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
            "16", "17",
        ];
        let tally = Tally::default();
        for word in MANY {
            tally.count(word);
        }
        assert_eq!(tally.read().last(), Some(("other", 2)));
    }
}
