//! What sticks to a node: upload sessions, sessions of the web pages, recent pushes.
//!
//! Docker clients keep no cookies, so what sticks is learnt from the answers of nodes and looked up by what later
//! requests name: the uuid of an upload, the id of a session. The [`memory`] table always has it; behind it may stand a
//! [`store`], the Redis that Harbor shares, so that all doors know it and it outlives them. The store is never depended
//! on: a request waits for it at most the budget, and not at all while it is known to be away.
//!
//! [`upkeep`] does everything that no request waits for: it connects, writes behind, and tells the other doors what the
//! operator wants ([`word`]) and how this door is ([`doors`]). [`census`] is the operator's listing.

pub mod census;
pub mod doors;
pub mod entry;
pub mod key;
pub mod memory;
pub mod store;
pub mod upkeep;
pub mod word;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::config;
use crate::telemetry::metrics::SessionMetrics;
use doors::Doors;
use entry::{Entry, Network};
use key::{Key, Kind};
use memory::Memory;
use store::Store;
use upkeep::Job;
use word::{Word, Words};

/// Jobs that may wait for the store; further ones are dropped and counted, since the table has the truth anyway.
const MOST_JOBS: usize = 8192;

/// What doors know of data that the nodes do not share: who writes a project, what was deleted. Longer than any node
/// stays away to come back.
const KNOWLEDGE: config::Stick = config::Stick {
    enabled: true,
    ttl: Duration::from_secs(30 * 86_400),
    entries: 50_000,
};

/// How long one kind sticks, and whether it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    sticks: [config::Stick; 5],
}

impl Terms {
    /// As the operator wants it.
    pub fn new(affinity: &config::Affinity) -> Self {
        let config::Affinity { upload, ui, push } = affinity.clone();
        Terms {
            sticks: [upload, ui, push, KNOWLEDGE, KNOWLEDGE],
        }
    }

    fn of(&self, kind: Kind) -> &config::Stick {
        let [upload, ui, push, writer, gone] = &self.sticks;
        match kind {
            Kind::Upload => upload,
            Kind::Ui => ui,
            Kind::Push => push,
            Kind::Writer => writer,
            Kind::Gone => gone,
        }
    }

    /// Whether `kind` sticks at all.
    pub fn sticks(&self, kind: Kind) -> bool {
        self.of(kind).enabled
    }

    /// Milliseconds after its last use at which an entry of `kind` is forgotten.
    pub fn ttl(&self, kind: Kind) -> u64 {
        u64::try_from(self.of(kind).ttl.as_millis()).unwrap_or(u64::MAX)
    }

    /// Entries of `kind` that are kept in memory.
    pub fn entries(&self, kind: Kind) -> usize {
        self.of(kind).entries
    }
}

/// What the table and the store say of a key.
#[derive(Clone, Debug)]
pub enum Recalled {
    /// It sticks to a node.
    Known(Arc<Entry>),
    /// Nobody knows of it.
    Unknown,
    /// This door does not know of it, and the store could not be asked in time.
    Unsure,
}

/// Everything that sticks, as requests see it.
pub struct Sessions {
    terms: Terms,
    /// What this door calls itself.
    door: Arc<str>,
    memory: Arc<Memory>,
    store: Option<Arc<Store>>,
    words: Arc<Words>,
    /// The operator said something here that other doors should hear of soon.
    said: tokio::sync::Notify,
    doors: Doors,
    latest: census::Latest,
    metrics: Arc<SessionMetrics>,
    jobs: mpsc::Sender<Job>,
    /// Taken by the upkeep when it starts.
    queue: std::sync::Mutex<Option<mpsc::Receiver<Job>>>,
}

impl Sessions {
    /// Sessions as `sessions` and `affinity` say, with what `before` has in memory. Connects to nothing yet: see
    /// [`upkeep::start`].
    ///
    /// # Errors
    /// A certificate for the store that cannot be used, in words.
    pub fn new(
        sessions: &config::Sessions,
        affinity: &config::Affinity,
        before: Option<&Sessions>,
        metrics: Arc<SessionMetrics>,
    ) -> Result<Self, String> {
        let terms = Terms::new(affinity);
        let store = match &sessions.store {
            Some(_) => Some(Arc::new(Store::new(sessions, metrics.clone())?)),
            None => None,
        };
        let memory = match before {
            Some(before) => before.memory.clone(),
            None => Arc::new(Memory::new(&terms)),
        };
        let words = before.map_or_else(Arc::default, |before| before.words.clone());
        let (jobs, queue) = mpsc::channel(MOST_JOBS);
        Ok(Sessions {
            terms,
            door: sessions.door.as_str().into(),
            memory,
            store,
            words,
            said: tokio::sync::Notify::new(),
            doors: Doors::default(),
            latest: census::Latest::default(),
            metrics,
            jobs,
            queue: std::sync::Mutex::new(Some(queue)),
        })
    }

    /// Makes the table as large as these terms want it, once they are in force.
    pub fn in_force(&self) {
        self.memory.resize(&self.terms);
    }

    /// How long what sticks.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What this door calls itself.
    pub fn door(&self) -> &Arc<str> {
        &self.door
    }

    /// What operators said of nodes.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Says something of `node` for the operator; other doors hear of it in a moment.
    pub fn say(&self, node: &str, change: impl FnOnce(&mut Word)) {
        self.words.say(node, &self.door, change);
        self.said.notify_one();
    }

    /// The other doors.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// How many entries of `kind` this door has in memory.
    pub fn count(&self, kind: Kind) -> usize {
        self.memory.count(kind)
    }

    /// Drops from memory what was forgotten at any door.
    fn obey_forgotten(&self) {
        let words = self.words.all();
        for (key, entry) in self.memory.alive(&self.terms, entry::now()) {
            let forgotten = words.get(&*entry.node).map_or(0, |word| word.forgotten);
            if entry.bound <= forgotten {
                self.memory.remove_same(&key, &entry);
            }
        }
    }

    /// The store, where there is one.
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// The counters.
    pub fn metrics(&self) -> &SessionMetrics {
        &self.metrics
    }

    /// What this door's own table has for `key`, without waiting for anything.
    pub fn remembered(&self, key: &Key) -> Option<Arc<Entry>> {
        let now = entry::now();
        self.memory
            .get(key)
            .filter(|entry| entry.is_alive(self.terms.ttl(key.kind), now))
    }

    /// What sticks under `key`: from the table, else from the store within its budget.
    pub async fn recall(&self, key: Key) -> Recalled {
        if let Some(entry) = self.remembered(&key) {
            return Recalled::Known(entry);
        }
        self.ask(key).await
    }

    /// What the store has under `key`, within its budget, whatever this door remembers: where another door may know
    /// better. Without a store, nothing.
    pub async fn ask(&self, key: Key) -> Recalled {
        let Some(store) = &self.store else {
            return Recalled::Unknown;
        };
        match store.get(&key).await {
            Ok(Some(record)) => {
                let entry = Arc::new(Entry::from_record(record, entry::now()));
                self.memory.put(key, entry.clone());
                Recalled::Known(entry)
            }
            Ok(None) => Recalled::Unknown,
            Err(_) => Recalled::Unsure,
        }
    }

    /// Counts a request that named `key`, and lets the store know now and then, off the request's path.
    pub fn touch(&self, key: Key, entry: &Entry) {
        let now = entry::now();
        entry.touch(now);
        if self.store.is_some()
            && let Some(before) = entry.claim_refresh(now)
            && self.jobs.try_send(Job::Refresh(key)).is_err()
        {
            entry.claimed.store(before, Relaxed);
            self.metrics.dropped();
        }
    }

    /// Lets `key` stick to `node`. With `wait` the caller waits, within the budget, until the store has it, since the
    /// next request may come through another door at once.
    pub async fn bind(&self, key: Key, node: &Arc<str>, client: IpAddr, wait: bool) {
        let before = self.memory.get(&key);
        let network = Network::of(client);
        let entry = Arc::new(match before.as_deref() {
            Some(before) => before.moved(node, &self.door),
            None => Entry::new(key.kind, node, network, &self.door),
        });
        self.memory.put(key, entry.clone());
        let Some(store) = &self.store else { return };
        let now = entry::now();
        if wait
            && store
                .put(&key, &entry.record(), self.terms.ttl(key.kind))
                .await
                .is_ok()
        {
            entry.saved.store(now, Relaxed);
        } else if self.jobs.try_send(Job::Put(key)).is_err() {
            self.metrics.dropped();
        }
    }

    /// As [`forget`](Self::forget), where another door may know of it.
    pub fn erase(&self, key: &Key) {
        self.memory.remove(key);
        if self.store.is_some() && self.jobs.try_send(Job::Delete(*key)).is_err() {
            self.metrics.dropped();
        }
    }

    /// `key` is over: nothing sticks under it any more. What this door never knew costs the store nothing.
    pub fn forget(&self, key: &Key) {
        if self.memory.remove(key)
            && self.store.is_some()
            && self.jobs.try_send(Job::Delete(*key)).is_err()
        {
            self.metrics.dropped();
        }
    }
}
