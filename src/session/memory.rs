//! The table in memory: bounded, read by many threads at once, always there. Bounds are kept to a few entries, since the
//! table is in pieces.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::Terms;
use super::entry::Entry;
use super::key::{Key, Kind};

/// Entries by key, each kind with a bound of its own, so that pages cannot push uploads out.
pub struct Memory {
    kinds: [Cache<Key, Arc<Entry>>; 5],
}

impl Memory {
    /// An empty table.
    pub fn new(terms: &Terms) -> Self {
        Memory {
            // Room grows with use: what is counted here is the bound.
            kinds: Kind::ALL.map(|kind| Cache::new(terms.entries(kind))),
        }
    }

    /// Changes the bounds; what no longer fits goes.
    pub fn resize(&self, terms: &Terms) {
        for kind in Kind::ALL {
            let bound = terms.entries(kind) as u64;
            if self.of(kind).capacity() != bound {
                self.of(kind).set_capacity(bound);
            }
        }
    }

    fn of(&self, kind: Kind) -> &Cache<Key, Arc<Entry>> {
        let [upload, ui, push, writer, gone] = &self.kinds;
        match kind {
            Kind::Upload => upload,
            Kind::Ui => ui,
            Kind::Push => push,
            Kind::Writer => writer,
            Kind::Gone => gone,
        }
    }

    /// The entry under `key`, however old it is.
    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.of(key.kind).get(key)
    }

    /// Keeps an entry; another may have to go for it.
    pub fn put(&self, key: Key, entry: Arc<Entry>) {
        self.of(key.kind).insert(key, entry);
    }

    /// Whether there was one.
    pub fn remove(&self, key: &Key) -> bool {
        self.of(key.kind).remove(key).is_some()
    }

    /// Drops `entry`, unless another has taken its place.
    pub fn remove_same(&self, key: &Key, entry: &Arc<Entry>) {
        self.of(key.kind)
            .remove_if(key, |found| Arc::ptr_eq(found, entry));
    }

    /// How many there are of a kind, some of them perhaps over.
    pub fn count(&self, kind: Kind) -> usize {
        self.of(kind).len()
    }

    /// Every entry of a kind that is listed and that is not over at `now`.
    pub fn alive(&self, terms: &Terms, now: u64) -> Vec<(Key, Arc<Entry>)> {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_listed());
        let all = kinds.flat_map(|kind| self.of(kind).iter());
        all.filter(|(key, entry)| entry.is_alive(terms.ttl(key.kind), now))
            .collect()
    }

    /// Drops what is over.
    pub fn sweep(&self, terms: &Terms, now: u64) {
        for kind in Kind::ALL {
            let ttl = terms.ttl(kind);
            self.of(kind).retain(|_, entry| entry.is_alive(ttl, now));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::entry::{self, Network};
    use super::*;
    use crate::config::Affinity;

    fn entry(kind: Kind) -> Arc<Entry> {
        let client = Network::of("192.0.2.1".parse().unwrap());
        Arc::new(Entry::new(kind, &"harbor-1".into(), client, &"a".into()))
    }

    fn terms(entries: usize) -> Terms {
        let mut affinity = Affinity::default();
        affinity.ui.entries = entries;
        Terms::new(&affinity)
    }

    #[test]
    fn a_flood_stays_within_the_bound_and_leaves_other_kinds_alone() {
        let memory = Memory::new(&terms(100));
        let upload = Key::new(Kind::Upload, "u");
        memory.put(upload, entry(Kind::Upload));
        for number in 0..10_000 {
            memory.put(Key::new(Kind::Ui, &number.to_string()), entry(Kind::Ui));
        }
        assert!(memory.count(Kind::Ui) <= 128, "{}", memory.count(Kind::Ui));
        assert!(memory.get(&upload).is_some());
    }

    #[test]
    fn what_is_over_is_swept() {
        let terms = terms(100);
        let memory = Memory::new(&terms);
        memory.put(Key::new(Kind::Ui, "s"), entry(Kind::Ui));
        memory.put(Key::new(Kind::Upload, "u"), entry(Kind::Upload));
        let later = entry::now() + terms.ttl(Kind::Ui);
        assert_eq!(memory.alive(&terms, later).len(), 1);
        memory.sweep(&terms, later);
        assert_eq!((memory.count(Kind::Ui), memory.count(Kind::Upload)), (0, 1));
    }

    #[test]
    fn a_smaller_bound_makes_what_is_too_much_go() {
        let memory = Memory::new(&terms(1000));
        for number in 0..1000 {
            memory.put(Key::new(Kind::Ui, &number.to_string()), entry(Kind::Ui));
        }
        memory.resize(&terms(100));
        memory.put(Key::new(Kind::Ui, "one more"), entry(Kind::Ui));
        assert!(memory.count(Kind::Ui) <= 128, "{}", memory.count(Kind::Ui));
    }
}
