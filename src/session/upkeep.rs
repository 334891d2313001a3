//! What no request waits for: connecting to the store, writing behind, hearing of other doors, sweeping.
//!
//! All of it runs on the control runtime. A job that finds the store away is not lost: the table has the truth, and
//! everything that the store may lack is written again once there is a new link.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use redis::Value;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::Sessions;
use super::doors::{Document, Report};
use super::entry::{self, Entry};
use super::key::Key;
use super::store::Store;
use super::store::trouble::Trouble;

/// From one exchange with the other doors to the next.
const EVERY: Duration = Duration::from_secs(1);
/// The first pause after a failed try to connect; doubled up to [`EVERY`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Exchanges between two sweeps of the table.
const SWEEP_EVERY: u32 = 60;

/// What is to be done in the store.
#[derive(Clone, Copy, Debug)]
pub enum Job {
    /// Write what the table has.
    Put(Key),
    /// Tell it of requests, and hear what other doors told.
    Refresh(Key),
    /// It is over.
    Delete(Key),
}

/// How this door is, at the moment of the call.
pub type Reporter = Arc<dyn Fn() -> Report + Send + Sync>;

/// The tasks behind `sessions`; they end when the set is dropped. Call it once for each [`Sessions`].
pub fn start(sessions: &Arc<Sessions>, report: Reporter) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let Some(store) = sessions.store.clone() else {
        let sessions = sessions.clone();
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(EVERY * SWEEP_EVERY).await;
                sessions.memory.sweep(&sessions.terms, entry::now());
            }
        });
        return tasks;
    };
    let queue = sessions
        .queue
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take();
    let behind = Arc::new(Behind {
        sessions: sessions.clone(),
        store: store.clone(),
        linked: AtomicU64::new(entry::now()),
        again: Notify::new(),
    });
    if let Some(queue) = queue {
        tasks.spawn(behind.clone().work(queue));
    }
    tasks.spawn(behind.clone().restore());
    tasks.spawn(behind.keep(report));
    tasks.spawn(async move { store.follow().await });
    tasks
}

struct Behind {
    sessions: Arc<Sessions>,
    store: Arc<Store>,
    /// When the link was made: what was saved before may be gone from a store that failed.
    linked: AtomicU64,
    /// Rung when everything may have to be written again.
    again: Notify,
}

impl Behind {
    /// Keeps a link, and exchanges with the other doors through it.
    async fn keep(self: Arc<Self>, report: Reporter) {
        let mut pause = FIRST_PAUSE;
        let mut turns = 0_u32;
        loop {
            if self.store.is_doubtful() {
                match self.store.relink(&self.probe()).await {
                    Ok(()) => {
                        pause = FIRST_PAUSE;
                        self.linked.store(entry::now(), Relaxed);
                        self.again.notify_one();
                    }
                    Err(_) => {
                        pause = (pause * 2).min(EVERY);
                        if !self.store.is_up() {
                            self.sessions.doors.deaf();
                        }
                    }
                }
            }
            let rest = if self.store.is_up() {
                // A trouble is noted where it is found; the next turn looks at the link.
                let _ = self.exchange(&report).await;
                EVERY
            } else {
                pause
            };
            if turns.is_multiple_of(SWEEP_EVERY) {
                self.sessions
                    .memory
                    .sweep(&self.sessions.terms, entry::now());
            }
            turns = turns.wrapping_add(1);
            // Doors that lost the store together must not come back together.
            let rest = rest.mul_f32(0.75 + fastrand::f32() / 2.0);
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.store.doubted() => {}
                () = self.sessions.said.notified() => {}
            }
        }
    }

    /// A write of no consequence: it fails wherever a real one would.
    fn probe(&self) -> redis::Cmd {
        let name = format!("{}probe:{}", self.store.prefix(), self.sessions.door);
        let mut probe = redis::cmd("SETEX");
        probe.arg(name).arg(60).arg("probe");
        probe
    }

    async fn exchange(&self, report: &Reporter) -> Result<(), Trouble> {
        let name = format!("{}doors", self.store.prefix());
        let mut document = match self.store.call(redis::cmd("GET").arg(&name)).await {
            Ok(Value::Nil) => Document::default(),
            Ok(Value::BulkString(bytes)) => Document::read(&bytes).unwrap_or_else(|| {
                self.sessions.metrics.damaged();
                Document::default()
            }),
            Ok(_) | Err(Trouble::Foreign) => {
                self.sessions.metrics.damaged();
                Document::default()
            }
            Err(trouble) => return Err(trouble),
        };
        let words = &self.sessions.words;
        if words.take(&document.words) {
            self.sessions.obey_forgotten();
        }
        document.words = words.all();
        let (door, now) = (&self.sessions.door, Instant::now());
        self.sessions
            .doors
            .exchange(&mut document, door, &report(), entry::now(), now);
        let value = document.to_value();
        self.store
            .call(redis::cmd("SET").arg(&name).arg(value))
            .await
            .map(drop)
    }

    /// Does the jobs that requests leave behind.
    async fn work(self: Arc<Self>, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.recv().await {
            match job {
                Job::Put(key) => {
                    if let Some(entry) = self.sessions.memory.get(&key) {
                        self.put(key, &entry).await;
                    }
                }
                Job::Refresh(key) => self.refresh(key).await,
                // It may have begun anew meanwhile.
                Job::Delete(key) if self.sessions.memory.get(&key).is_some() => {}
                Job::Delete(key) => drop(self.store.delete_behind(&key).await),
            }
        }
    }

    /// Writes again, after a new link, what the store may have lost or never got.
    async fn restore(self: Arc<Self>) {
        loop {
            self.again.notified().await;
            let linked = self.linked.load(Relaxed);
            for (key, entry) in self
                .sessions
                .memory
                .alive(&self.sessions.terms, entry::now())
            {
                if !self.store.is_up() {
                    break;
                }
                if entry.saved.load(Relaxed) < linked {
                    self.refresh(key).await;
                }
            }
        }
    }

    async fn put(&self, key: Key, entry: &Entry) {
        let now = entry::now();
        let ttl = self.sessions.terms.ttl(key.kind);
        let left = ttl.saturating_sub(now.saturating_sub(entry.last()));
        let saved = match self.store.put_behind(&key, &entry.record(), left).await {
            Ok(()) => now,
            // As if it had never been there, so that the next link gets it.
            Err(_) => 0,
        };
        entry.saved.store(saved, Relaxed);
    }

    async fn refresh(&self, key: Key) {
        let Some(entry) = self.sessions.memory.get(&key) else {
            return;
        };
        let may_be_lost = entry.saved.load(Relaxed) < self.linked.load(Relaxed);
        match self.store.read_behind(&key).await {
            Ok(Some(record)) if record.bound > entry.bound => {
                let newer = Entry::from_record(record, entry::now());
                self.sessions.memory.put(key, Arc::new(newer));
            }
            Ok(Some(record)) => {
                entry.merge(&record);
                self.put(key, &entry).await;
            }
            Ok(None) if may_be_lost => self.put(key, &entry).await,
            // It was there, and the store did not fail since: another door saw its end.
            Ok(None) => self.sessions.memory.remove_same(&key, &entry),
            Err(_) => entry.saved.store(0, Relaxed),
        }
    }
}
