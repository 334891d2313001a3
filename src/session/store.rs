//! The store behind the table: one Redis, one watched by Sentinels, or a Cluster.
//!
//! Requests use whatever [`Link`](link::Link) there is, each call within the budget and one round trip. After a few
//! failures in a row the link is taken away and requests ask no more; the upkeep brings a new one. Only commands that
//! Redis 3 knows are used, since that is what Harbor's guide runs.

pub mod link;
mod sentinel;
mod shared;
pub mod trouble;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use redis::{Cmd, RedisError, Value};
use tokio::sync::Notify;

use super::entry::Record;
use super::key::Key;
use crate::config;
use crate::telemetry::metrics::SessionMetrics;
use link::{Dialer, Link};
use trouble::Trouble;

/// Failed calls in a row after which requests ask no more.
const PATIENCE: u32 = 3;
/// How long calls may take that no request waits for.
const OFF_PATH: Duration = Duration::from_secs(1);
/// How long it may take to go through a whole store.
const LISTING: Duration = Duration::from_secs(5);
/// Keys that one step of a scan looks at.
const SCAN_STEP: u32 = 500;

/// How the store is, for people.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Why it cannot be used; nothing when it can.
    pub trouble: Option<Trouble>,
    /// Since when.
    pub since: SystemTime,
    /// Whether the log has heard of the trouble.
    told: bool,
}

/// A store and what is known of it.
pub struct Store {
    address: String,
    prefix: String,
    budget: Duration,
    dialer: Dialer,
    link: ArcSwapOption<Link>,
    failures: AtomicU32,
    /// A call failed: a look at the link is due, although it may still serve.
    suspect: AtomicBool,
    /// It was there once.
    met: AtomicBool,
    /// Rung when the link is gone or in doubt.
    bell: Notify,
    condition: Mutex<Condition>,
    metrics: Arc<SessionMetrics>,
}

impl Store {
    /// The store of a configuration, not connected yet.
    ///
    /// # Errors
    /// Certificates that cannot be read or used, in words.
    pub fn new(sessions: &config::Sessions, metrics: Arc<SessionMetrics>) -> Result<Self, String> {
        let dialer = Dialer::new(sessions)?;
        Ok(Store {
            address: dialer.address(),
            prefix: sessions.prefix.clone(),
            budget: sessions.budget,
            dialer,
            link: ArcSwapOption::empty(),
            failures: AtomicU32::new(0),
            suspect: AtomicBool::new(false),
            met: AtomicBool::new(false),
            bell: Notify::new(),
            condition: Mutex::new(Condition {
                trouble: Some(Trouble::Connecting),
                since: SystemTime::now(),
                told: false,
            }),
            metrics,
        })
    }

    /// Its address without user and password.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What every key begins with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The most a request waits for it.
    pub fn budget(&self) -> Duration {
        self.budget
    }

    /// How it is.
    pub fn condition(&self) -> Condition {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Condition> {
        self.condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether requests ask it at the moment.
    pub fn is_up(&self) -> bool {
        self.link.load().is_some()
    }

    /// What stands under `key`, within the budget.
    ///
    /// # Errors
    /// Why it could not be asked.
    pub async fn get(&self, key: &Key) -> Result<Option<Record>, Trouble> {
        let value = self
            .ask(redis::cmd("GET").arg(key.name(&self.prefix)))
            .await;
        self.read(key, value)
    }

    /// Writes `record` under `key` for `ttl` milliseconds, within the budget.
    ///
    /// # Errors
    /// Why it may not have been written.
    pub async fn put(&self, key: &Key, record: &Record, ttl: u64) -> Result<(), Trouble> {
        self.ask(&setex(&key.name(&self.prefix), ttl, record))
            .await
            .map(drop)
    }

    /// One call of a request.
    async fn ask(&self, command: &Cmd) -> Result<Value, Trouble> {
        let link = self.link.load_full().ok_or(Trouble::Connecting)?;
        let began = Instant::now();
        let answer = tokio::time::timeout(self.budget, link.call(command)).await;
        self.metrics.took(began.elapsed());
        self.judge(answer.map_err(|_| Trouble::Slow(self.budget)))
    }

    /// The same without a request that waits; used by the upkeep.
    pub(super) async fn call(&self, command: &Cmd) -> Result<Value, Trouble> {
        let link = self.link.load_full().ok_or(Trouble::Connecting)?;
        let answer = tokio::time::timeout(OFF_PATH, link.call(command)).await;
        self.judge(answer.map_err(|_| Trouble::Slow(OFF_PATH)))
    }

    /// What stands under `key`, for the upkeep.
    pub(super) async fn read_behind(&self, key: &Key) -> Result<Option<Record>, Trouble> {
        let value = self
            .call(redis::cmd("GET").arg(key.name(&self.prefix)))
            .await;
        self.read(key, value)
    }

    /// Writes for the upkeep.
    pub(super) async fn put_behind(
        &self,
        key: &Key,
        record: &Record,
        ttl: u64,
    ) -> Result<(), Trouble> {
        self.call(&setex(&key.name(&self.prefix), ttl, record))
            .await
            .map(drop)
    }

    /// Deletes for the upkeep.
    pub(super) async fn delete_behind(&self, key: &Key) -> Result<(), Trouble> {
        self.call(redis::cmd("DEL").arg(key.name(&self.prefix)))
            .await
            .map(drop)
    }

    fn read(&self, key: &Key, value: Result<Value, Trouble>) -> Result<Option<Record>, Trouble> {
        let bytes = match value {
            Ok(Value::Nil) => return Ok(None),
            Ok(Value::BulkString(bytes)) => bytes,
            // Something else stands under a key of ours: a stranger wrote it.
            Ok(_) | Err(Trouble::Foreign) => Vec::new(),
            Err(trouble) => return Err(trouble),
        };
        let record = Record::from_value(&bytes, key.kind);
        if record.is_none() {
            self.metrics.damaged();
        }
        Ok(record)
    }

    /// The names of all keys that begin with the prefix, at most `most`. For the operator's listing alone: it goes
    /// through the whole database.
    ///
    /// # Errors
    /// Why it could not be read to the end.
    pub(super) async fn names(&self, most: usize) -> Result<Vec<String>, Trouble> {
        self.names_like("*", most).await
    }

    async fn names_like(&self, pattern: &str, most: usize) -> Result<Vec<String>, Trouble> {
        let link = self.link.load_full().ok_or(Trouble::Connecting)?;
        let pattern = format!("{}{pattern}", self.prefix);
        tokio::time::timeout(LISTING, link.scan(&pattern, SCAN_STEP, most))
            .await
            .map_err(|_| Trouble::Slow(LISTING))?
            .map_err(|error| Trouble::of(&error))
    }

    fn judge(&self, answer: Result<Result<Value, RedisError>, Trouble>) -> Result<Value, Trouble> {
        let trouble = match answer {
            Ok(Ok(value)) => {
                if self.failures.load(Relaxed) != 0 {
                    self.failures.store(0, Relaxed);
                }
                return Ok(value);
            }
            Ok(Err(error)) => Trouble::of(&error),
            Err(trouble) => trouble,
        };
        if trouble == Trouble::Foreign {
            return Err(trouble);
        }
        let failures = self.failures.fetch_add(1, Relaxed) + 1;
        if failures >= PATIENCE || trouble.is_lasting(self.dialer.is_cluster()) {
            self.lose(trouble.clone());
        } else if !self.suspect.swap(true, Relaxed) {
            self.bell.notify_one();
        }
        Err(trouble)
    }

    /// Takes the link away; requests ask no more until there is another.
    pub(super) fn lose(&self, trouble: Trouble) {
        if self.link.swap(None).is_some() {
            self.metrics.store_up(false);
            // The log hears of it if the next try fails, too: a link that broke is no news.
            let mut condition = self.lock();
            condition.trouble = Some(trouble);
            condition.since = SystemTime::now();
            drop(condition);
            self.bell.notify_one();
        }
    }

    /// Notes how it is; the log hears of every change, once.
    fn note(&self, trouble: Option<Trouble>) {
        let mut condition = self.lock();
        let told = condition.told;
        let known = condition
            .trouble
            .as_ref()
            .zip(trouble.as_ref())
            .is_some_and(|(old, new)| told && old.is_like(new));
        match &trouble {
            None if told || !self.met.swap(true, Relaxed) => {
                tracing::info!(store = self.address, "the session store is there");
            }
            Some(trouble) if !known => {
                tracing::warn!(store = self.address, reason = %trouble, "the session store cannot be used; sessions stick by this door's own memory meanwhile");
            }
            _ => {}
        }
        if condition.trouble.is_some() != trouble.is_some() {
            condition.since = SystemTime::now();
        }
        condition.told = trouble.is_some();
        condition.trouble = trouble;
    }

    /// Connects anew and, if that works and a write is answered within the budget, lets requests use it.
    ///
    /// # Errors
    /// Why not; it is noted already.
    pub(super) async fn relink(&self, probe: &Cmd) -> Result<(), Trouble> {
        self.suspect.store(false, Relaxed);
        match self.try_link(probe).await {
            Ok(link) => {
                self.failures.store(0, Relaxed);
                self.link.store(Some(Arc::new(link)));
                self.metrics.store_up(true);
                self.note(None);
                Ok(())
            }
            Err(trouble) => {
                // A link that still answers some calls is better than none: a Cluster may miss a part of itself.
                if !self.is_up() {
                    self.note(Some(trouble.clone()));
                }
                Err(trouble)
            }
        }
    }

    async fn try_link(&self, probe: &Cmd) -> Result<Link, Trouble> {
        let link = self.dialer.connect().await?;
        // The first call may find caches cold; what requests would wait is what the second one takes.
        for last in [false, true] {
            let began = Instant::now();
            let answer = tokio::time::timeout(OFF_PATH, link.call(probe)).await;
            match answer {
                Ok(Ok(_)) if last && began.elapsed() > self.budget => {
                    return Err(Trouble::Slow(self.budget));
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(Trouble::of(&error)),
                Err(_) => return Err(Trouble::Slow(OFF_PATH)),
            }
        }
        Ok(link)
    }

    /// Whether a new link is due.
    pub(super) fn is_doubtful(&self) -> bool {
        !self.is_up() || self.suspect.load(Relaxed)
    }

    /// Returns when a link that was there is gone or in doubt.
    pub(super) async fn doubted(&self) {
        // Whoever has no link is busy getting one and needs no bell.
        if !self.is_up() {
            std::future::pending::<()>().await;
        }
        while !self.is_doubtful() {
            self.bell.notified().await;
        }
    }

    /// Hears from Sentinels of another master until dropped; never returns where there are none.
    pub(super) async fn follow(&self) {
        self.dialer
            .switches(|| self.lose(Trouble::Connecting))
            .await;
    }
}

/// `SETEX`: a value with its time to live is one command, in every version.
fn setex(name: &str, ttl: u64, record: &Record) -> Cmd {
    let mut command = redis::cmd("SETEX");
    command
        .arg(name)
        .arg((ttl / 1000).max(1))
        .arg(record.to_value());
    command
}
