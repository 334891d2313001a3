//! The journals of several doors, kept alike through the store of sessions.
//!
//! Each door writes what it keeps, and what is over, under a name of its own for every reference; a small document tells the
//! others that there is news. A store that lost its data gets everything again.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Means;
use crate::placement::journal::Deed;
use crate::placement::journal::entry::{self, Entry};
use crate::session::entry::now as entry_now;
use crate::session::key::{Key, Kind};
use crate::session::store::Store;
use crate::session::store::trouble::Trouble;

/// From one exchange to the next.
const EVERY: Duration = Duration::from_secs(2);
/// Entries that one exchange writes; the rest has the next one.
const MOST_AT_ONCE: usize = 2000;
/// Entries that news name.
const MOST_NAMED: usize = 500;
/// Entries of other doors that are read.
const MOST: usize = 100_000;
/// What nobody has touched for so long is forgotten, in seconds.
const KEPT: u64 = 30 * 86_400;
/// That something is over, other doors hear for so long, in seconds. One that comes later asks the nodes itself.
const OVER: u64 = 600;
/// What every entry's name begins with, behind the prefix.
const NAMES: &str = "journal:";
/// The name of the document that tells of news.
const NEWS: &str = "journals";

/// What one door has written lately.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct News {
    /// When, by its clock; grows with every news.
    at: u64,
    /// The same of its last news; 0: it wrote more than it names.
    before: u64,
    /// The keys that it wrote since.
    names: Vec<String>,
}

/// What stands under the name of a reference.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Copy {
    Kept(Box<Entry>),
    /// What was known of the entry until this time is over.
    Over {
        id: String,
        at: u64,
    },
}

/// Exchanges for ever.
pub async fn run(means: Arc<Means>) {
    let mut sharer = Sharer {
        door: means.sessions.door().to_string(),
        known: BTreeMap::new(),
        listened: false,
        spoke: false,
        bound: None,
        means,
    };
    let mut layout = sharer.means.layout();
    loop {
        // Another node may have been made the primary.
        let current = sharer.means.layout();
        if !Arc::ptr_eq(&layout, &current) {
            let most = sharer.means.config.most;
            sharer.means.journal().adopt(Some(&current), most);
            layout = current;
        }
        sharer.keep_bound().await;
        if let Some(store) = sharer.means.sessions.store().cloned()
            && store.is_up()
        {
            // A trouble is noted where it is found; the next turn goes on.
            let _ = sharer.exchange(&store).await;
        }
        let jitter = 0.75 + fastrand::f32() / 2.0;
        tokio::time::sleep(EVERY.mul_f32(jitter)).await;
    }
}

struct Sharer {
    means: Arc<Means>,
    door: String,
    /// Which news of each other door were the last that were heard.
    known: BTreeMap<String, u64>,
    /// Everything that other doors keep was read once.
    listened: bool,
    /// The store has had news of ours.
    spoke: bool,
    /// When pushes were last bound to the nodes that have them.
    bound: Option<Instant>,
}

impl Sharer {
    async fn exchange(&mut self, store: &Store) -> Result<(), Trouble> {
        let news = store.document(NEWS).await?;
        let mut news: BTreeMap<String, News> = news
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        // Our word is gone: so may everything else be.
        if self.spoke && !news.contains_key(&self.door) {
            self.means.journal().share_again();
        }
        let written = self.write(store).await?;
        if !written.is_empty() || !news.contains_key(&self.door) {
            let before = news.get(&self.door).map_or(0, |mine| mine.at);
            let mine = News {
                at: entry_now().max(before + 1),
                // A door that cannot be told all of it looks for itself.
                before: if written.len() > MOST_NAMED {
                    0
                } else {
                    before
                },
                names: written.into_iter().take(MOST_NAMED).collect(),
            };
            news.insert(self.door.clone(), mine);
            let value = serde_json::to_string(&news).unwrap_or_else(|_| "{}".to_owned());
            store.write_document(NEWS, &value, KEPT).await?;
            self.spoke = true;
        }
        self.hear(store, &news).await
    }

    /// Reads what other doors say is new.
    async fn hear(&mut self, store: &Store, news: &BTreeMap<String, News>) -> Result<(), Trouble> {
        let others = news.iter().filter(|(door, _)| **door != self.door);
        let unheard = |(door, news): &(&String, &News)| self.known.get(*door) != Some(&news.at);
        let fresh: Vec<(String, News)> = others
            .filter(unheard)
            .map(|(door, news)| (door.clone(), news.clone()))
            .collect();
        let follows = |(door, news): &(String, News)| {
            news.before > 0 && self.known.get(door) == Some(&news.before)
        };
        if fresh.iter().all(follows) && self.listened {
            let names = fresh.iter().flat_map(|(_, news)| &news.names);
            for name in names {
                self.read(store, &format!("{NAMES}{name}")).await?;
            }
        } else {
            for name in store.documents(NAMES, MOST).await? {
                self.read(store, &name).await?;
            }
            self.listened = true;
        }
        let heard = fresh.into_iter().map(|(door, news)| (door, news.at));
        self.known.extend(heard);
        Ok(())
    }

    /// Writes what the store does not have and the others should know; the names of what was written. While all is well,
    /// the nodes' own replication brings it within moments, and nobody needs to hear of it.
    async fn write(&self, store: &Store) -> Result<Vec<String>, Trouble> {
        let journal = self.means.journal();
        let mut written = Vec::new();
        let over = journal.take_over(MOST_AT_ONCE);
        for (at, (name, id, when)) in over.iter().enumerate() {
            let copy = Copy::Over {
                id: id.clone(),
                at: *when,
            };
            if let Err(trouble) = put(store, name, &copy, OVER).await {
                journal.give_over(over.into_iter().skip(at));
                return Err(trouble);
            }
            written.push(name.clone());
        }
        let layout = self.means.layout();
        let stores = layout.stores.iter().enumerate();
        let away = stores.filter(|(place, _)| self.means.well(*place).next().is_none());
        let away: Vec<&str> = away.map(|(_, store)| store.name.as_str()).collect();
        let patience = self.means.config.grace + EVERY * 3;
        let old =
            entry_now().saturating_sub(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
        let unshared: Vec<Entry> = journal.read(|table| {
            let own = table.entries().filter(|entry| {
                entry.door.is_empty()
                    && !entry.progress.shared
                    && (entry.at <= old
                        || entry
                            .missing
                            .iter()
                            .any(|store| away.contains(&store.as_str())))
            });
            own.take(MOST_AT_ONCE).cloned().collect()
        });
        for known in &unshared {
            let copy = Copy::Kept(Box::new(Entry {
                door: self.door.clone(),
                ..known.clone()
            }));
            let name = entry::key(&known.repository, &known.reference);
            put(store, &name, &copy, KEPT).await?;
            journal.is_shared(known);
            written.push(name);
        }
        Ok(written)
    }

    /// Reads one entry of another door.
    async fn read(&self, store: &Store, name: &str) -> Result<(), Trouble> {
        let Some(bytes) = store.document(name).await? else {
            return Ok(());
        };
        match serde_json::from_slice(&bytes) {
            Ok(Copy::Kept(entry)) => {
                let sound = !entry.door.is_empty()
                    && entry.id == entry::id(&entry.repository, &entry.reference);
                // What this door said itself, it has.
                if sound && entry.door != self.door {
                    self.means.journal().hear(*entry);
                }
            }
            Ok(Copy::Over { id, at }) => self.means.journal().over(&id, at),
            Err(_) => self.means.sessions.metrics().damaged(),
        }
        Ok(())
    }

    /// Reads of what was pushed stick to the node that has it for as long as a peer lacks it.
    async fn keep_bound(&mut self) {
        let ttl = self.means.settled_after;
        if self.bound.is_some_and(|when| when.elapsed() < ttl / 3) {
            return;
        }
        self.bound = Some(Instant::now());
        let sessions = &self.means.sessions;
        if !sessions.terms().sticks(Kind::Push) {
            return;
        }
        let most = sessions.terms().entries(Kind::Push);
        let pushed: BTreeMap<String, String> = self.means.journal().read(|table| {
            let entries = table.entries().filter(|entry| entry.deed != Deed::Delete);
            let pushed = entries.map(|entry| (entry.repository.clone(), entry.node.clone()));
            pushed.take(most).collect()
        });
        for (repository, node) in pushed {
            let key = Key::new(Kind::Push, &repository);
            match sessions.remembered(&key) {
                Some(entry) => sessions.touch(key, &entry),
                None => {
                    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                    sessions.bind(key, &node.into(), nobody, false).await;
                }
            }
        }
    }
}

async fn put(store: &Store, name: &str, copy: &Copy, seconds: u64) -> Result<(), Trouble> {
    let value = serde_json::to_string(copy).unwrap_or_else(|_| "{}".to_owned());
    let name = format!("{NAMES}{name}");
    store.write_document(&name, &value, seconds).await
}
