//! The operator's listing: everything that sticks, wherever it is known.
//!
//! Goes through the whole store, which no request ever does; several who ask at the same time share one listing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use redis::Value;
use tokio::sync::Mutex;

use super::Sessions;
use super::entry::{self, Entry, Record};
use super::key::{Key, Kind};
use super::store::Store;
use super::store::trouble::Trouble;

/// For how many times as long as it took a listing is good enough for the next who asks: listing never takes more than a
/// small part of the store's time.
const FRESH: u32 = 20;
/// What was written so shortly before a listing may not be in it yet, in milliseconds.
const RECENT: u64 = 1000;
/// The most entries that are listed.
const MOST: usize = 100_000;
/// Values that are read with one command.
const CHUNK: usize = 200;
/// An upload that nobody touched for so long, in milliseconds, is not waited for: its client has most likely gone.
pub const QUIET: u64 = 5 * 60 * 1000;

/// Everything that sticks.
#[derive(Debug, Default)]
pub struct Census {
    /// Every session, those that came last first.
    pub sessions: Vec<(Key, Record)>,
    /// Why the store's part is missing or not whole.
    pub incomplete: Option<String>,
}

/// How many sessions stick to one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tied {
    /// Sessions of the web pages.
    pub ui: usize,
    /// Uploads under way, without those that nobody touched for long.
    pub uploads: usize,
}

impl Census {
    /// What sticks to each node.
    pub fn by_node(&self) -> BTreeMap<&str, Tied> {
        let now = entry::now();
        let mut nodes: BTreeMap<&str, Tied> = BTreeMap::new();
        for (key, record) in &self.sessions {
            let tied = nodes.entry(record.node.as_str()).or_default();
            match key.kind {
                Kind::Ui => tied.ui += 1,
                Kind::Upload if now.saturating_sub(record.last) < QUIET => tied.uploads += 1,
                Kind::Upload | Kind::Push | Kind::Writer | Kind::Gone => {}
            }
        }
        nodes
    }
}

/// The last listing, for whoever asks next.
pub type Latest = Mutex<Option<(Instant, Duration, Arc<Census>)>>;

impl Sessions {
    /// Everything that sticks, as it was a moment ago.
    pub async fn census(&self) -> Arc<Census> {
        let mut latest = self.latest.lock().await;
        if let Some((when, took, census)) = &*latest
            && when.elapsed() < *took * FRESH
        {
            return census.clone();
        }
        let began = Instant::now();
        let census = Arc::new(self.take_census().await);
        *latest = Some((Instant::now(), began.elapsed(), census.clone()));
        census
    }

    async fn take_census(&self) -> Census {
        let began = entry::now();
        let mut all: BTreeMap<String, (Key, Record)> = BTreeMap::new();
        let mut incomplete = None;
        if let Some(store) = &self.store {
            match list(store).await {
                Ok(listed) => all = listed,
                Err(trouble) => incomplete = Some(trouble.to_string()),
            }
        }
        let whole = incomplete.is_none() && self.store.is_some() && all.len() < MOST;
        for (key, entry) in self.memory.alive(&self.terms, began) {
            let saved = entry.saved.load(Relaxed);
            match all.get_mut(&key.name("")) {
                // What another door says later counts.
                Some((_, record)) if record.bound > entry.bound => {}
                Some((_, record)) => {
                    let merged = entry.record();
                    record.last = record.last.max(merged.last);
                    record.requests = record.requests.max(merged.requests);
                    record.node = merged.node;
                }
                // The store had it and has it no more: another door saw its end.
                None if whole && saved > 0 && saved + RECENT < began => {
                    self.memory.remove_same(&key, &entry);
                }
                None => {
                    all.insert(key.name(""), (key, entry.record()));
                }
            }
        }
        let mut sessions: Vec<_> = all.into_values().collect();
        sessions.sort_by_key(|(_, record)| std::cmp::Reverse(record.last));
        sessions.truncate(MOST);
        Census {
            sessions,
            incomplete,
        }
    }

    /// Forgets everything that sticks to `node`, at every door; how much that was.
    pub async fn forget_node(&self, node: &str) -> usize {
        let census = self.take_census().await;
        self.words
            .say(node, &self.door, |word| word.forgotten = entry::now());
        self.obey_forgotten();
        self.said.notify_one();
        let mut forgotten = 0;
        for (key, _) in census
            .sessions
            .iter()
            .filter(|(_, record)| record.node == node)
        {
            forgotten += 1;
            if let Some(store) = &self.store {
                let _ = store.delete_behind(key).await;
            }
        }
        *self.latest.lock().await = None;
        forgotten
    }

    /// Lets a session stick to another node, at once and in the store, off any request's path.
    pub async fn rebind(&self, key: Key, record: &Record, node: &Arc<str>) {
        let before = Entry::from_record(record.clone(), 0);
        let entry = Arc::new(before.moved(node, &self.door));
        self.memory.put(key, entry.clone());
        if let Some(store) = &self.store
            && store
                .put_behind(&key, &entry.record(), self.terms.ttl(key.kind))
                .await
                .is_ok()
        {
            entry.saved.store(entry::now(), Relaxed);
        }
    }
}

/// Everything in the store that is ours, by its name without the prefix.
async fn list(store: &Store) -> Result<BTreeMap<String, (Key, Record)>, Trouble> {
    let names = store.names(MOST).await?;
    let keys: Vec<Key> = names
        .iter()
        .filter_map(|name| Key::from_name(name, store.prefix()))
        .filter(|key| key.kind.is_listed())
        .collect();
    let mut listed = BTreeMap::new();
    for chunk in keys.chunks(CHUNK) {
        let mut command = redis::cmd("MGET");
        for key in chunk {
            command.arg(key.name(store.prefix()));
        }
        let values = store.call(&command).await?;
        let values = values.as_sequence().unwrap_or_default();
        for (key, value) in chunk.iter().zip(values) {
            // A step of the scan may name a key twice, and one may have ended meanwhile.
            if let Value::BulkString(bytes) = value
                && let Some(record) = Record::from_value(bytes, key.kind)
            {
                listed.insert(key.name(""), (*key, record));
            }
        }
    }
    Ok(listed)
}
