//! The journal: what was written through this door, kept on disk until every storage that should have it does.
//!
//! It holds the last change of every reference ([`table`]), as lines in a file ([`file`]); only topologies whose storages
//! copy from each other have one. Requests ask one thing of it, [`Journal::behind`], and wait for it once, when a write was
//! accepted: [`Journal::keep`] returns when the disk has it.

pub mod entry;
pub mod file;
pub mod table;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use self::entry::Entry;
use self::file::Disk;
use self::table::{Line, Table};
use super::layout::Layout;
use crate::upstream::nodes::Nodes;

/// Lines beyond those that say what there is, after which the file is written anew.
const SURPLUS: usize = 1000;
/// What is over and other doors cannot be told of: without a store nobody asks.
const MOST_OVER: usize = 10_000;

/// What was done to a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// A manifest was accepted; its digest.
    Push(String),
    /// A manifest, a tag or a whole repository was deleted.
    Delete,
}

impl Deed {
    /// The word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Deed::Push(_) => "push",
            Deed::Delete => "delete",
        }
    }
}

/// One accepted change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was done.
    pub deed: Deed,
    /// `project/name`.
    pub repository: String,
    /// The tag or digest; empty: the whole repository.
    pub reference: String,
    /// The node that did it.
    pub node: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// An entry that is over: its key, its id and when it was made.
pub type Over = (String, String, u64);

/// What was written and is not known to be everywhere.
#[derive(Debug, Default)]
pub struct Journal {
    /// Entries that there are.
    pending: AtomicUsize,
    /// The nodes that lack something, by repository.
    lacking: RwLock<HashMap<String, Nodes>>,
    /// The node that took the last change, by project.
    latest: RwLock<HashMap<String, u64>>,
    table: Mutex<Table>,
    /// Locked after the table.
    disk: RwLock<Option<Disk>>,
    /// Lines in the file.
    lines: AtomicUsize,
    /// The storages for which somebody wants it run now.
    hurried: Mutex<BTreeSet<String>>,
    /// Rung when somebody wants it run now.
    bell: Notify,
    /// What is over and no other door has heard of: key, id and time of the entries.
    over: Mutex<Vec<Over>>,
}

impl Journal {
    /// Opens what is kept in `directory`; without this, nothing is kept. What could not be read there is told in words.
    ///
    /// # Errors
    /// What the disk says; that another process has it open.
    pub fn open(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut table = self.lock();
        let mut disk = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        let is_own = |disk: &Disk| disk.path == directory.join(file::NAME);
        if disk.as_ref().is_some_and(is_own) {
            return Ok(Vec::new());
        }
        let before = disk.take();
        if let Some(before) = before {
            before.close();
        }
        let (opened, damage) = Disk::open(directory, &mut table)?;
        self.lines.store(table.lines().len(), Relaxed);
        *disk = Some(opened);
        drop(disk);
        self.show_all(&table);
        Ok(damage)
    }

    /// Keeps what comes from here on in a file of this process's own: the journal in `directory` is another process's now.
    ///
    /// # Errors
    /// What the disk says; it is kept as before then.
    pub fn step_aside(&self, directory: &Path) -> io::Result<()> {
        let _table = self.lock();
        let mut disk = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        let before = disk.replace(Disk::beside(directory)?);
        if let Some(before) = before {
            before.close();
        }
        Ok(())
    }

    /// Takes in what processes that have ended kept beside the journal in `directory`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn gather(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut table = self.lock();
        let damage = file::gather(directory, &mut table)?;
        if let Some(disk) = self.disk().as_ref() {
            let lines = table.lines();
            self.lines.store(lines.len(), Relaxed);
            disk.anew(lines);
        }
        file::forget_beside(directory);
        self.show_all(&table);
        Ok(damage)
    }

    fn disk(&self) -> RwLockReadGuard<'_, Option<Disk>> {
        self.disk.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is kept on disk.
    pub fn is_open(&self) -> bool {
        self.disk().is_some()
    }

    /// Takes over where the nodes' data are; `None`: nothing is kept any more. At most `most` entries are kept.
    pub fn adopt(&self, layout: Option<&Layout>, most: usize) {
        let mut table = self.lock();
        table.adopt(layout);
        table.most = most;
        self.show_all(&table);
    }

    /// Keeps a change: when this returns it is on disk. In a layout without anything to reconcile it returns at once.
    ///
    /// # Errors
    /// What the disk says; that it is full.
    pub async fn keep(&self, change: Change) -> io::Result<()> {
        self.enter(change, false).await
    }

    /// Keeps what no journal saw.
    ///
    /// # Errors
    /// As [`Journal::keep`].
    pub async fn keep_found(&self, change: Change) -> io::Result<()> {
        self.enter(change, true).await
    }

    async fn enter(&self, change: Change, found: bool) -> io::Result<()> {
        let repository = change.repository.clone();
        let written = {
            let mut table = self.lock();
            let disk = self.disk();
            let Some(disk) = disk.as_ref() else {
                return Ok(());
            };
            let lines = table.enter(change, found)?;
            if lines.is_empty() {
                return Ok(());
            }
            self.show(&table, &repository);
            self.count(disk, &table, lines.len());
            // Under the lock, so that the file has them in the order of the table.
            disk.add(lines)
        };
        match written.await {
            Ok(written) => written,
            Err(_) => Err(io::Error::other("the writer of the journal has ended")),
        }
    }

    /// The nodes that lack something of `repository`, as far as is known here. Costs next to nothing.
    pub fn behind(&self, repository: &str) -> Nodes {
        if self.pending.load(Relaxed) == 0 {
            return Nodes::NONE;
        }
        let lacking = self.lacking.read().unwrap_or_else(PoisonError::into_inner);
        lacking.get(repository).copied().unwrap_or(Nodes::NONE)
    }

    /// The nodes that lack the last change of this very tag or digest, or of the whole repository. Costs next to nothing
    /// unless something of the repository is missing.
    pub fn lacks(&self, repository: &str, reference: &str) -> Nodes {
        if self.behind(repository).is_empty() {
            return Nodes::NONE;
        }
        let ids = [reference, ""].map(|reference| entry::id(repository, reference));
        let table = self.lock();
        ids.iter().fold(Nodes::NONE, |all, id| {
            all.with(table.lacking_entry(id).unwrap_or(Nodes::NONE))
        })
    }

    /// The hash of the name of the node that took the last change of `project` that is not known to be everywhere.
    pub fn latest(&self, project: &str) -> Option<u64> {
        if self.pending.load(Relaxed) == 0 {
            return None;
        }
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        latest.get(project).copied()
    }

    /// Looks at everything that there is.
    pub fn read<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.lock())
    }

    /// Changes how the attempts of an entry went; that is not kept on disk.
    pub fn progress(&self, id: &str, change: impl FnOnce(&mut entry::Progress)) {
        if let Some(entry) = self.lock().get_mut(id) {
            change(&mut entry.progress);
        }
    }

    /// Changes an entry, unless it is another one by now than `known`. One that nobody lacks any more is over. True when it
    /// was changed.
    pub fn amend(&self, known: &Entry, change: impl FnOnce(&mut Entry)) -> bool {
        let mut table = self.lock();
        let same = |old: &&Entry| old.at == known.at && old.deed == known.deed;
        let Some(mut entry) = table.get(&known.id).filter(same).cloned() else {
            return false;
        };
        let heard_of = entry.progress.shared || !entry.door.is_empty();
        change(&mut entry);
        entry.progress.shared = false;
        let own = entry.door.is_empty();
        let repository = entry.repository.clone();
        let line = if entry.missing.is_empty() {
            table.remove(&entry.id);
            let key = entry::key(&entry.repository, &entry.reference);
            let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
            if heard_of && over.len() < MOST_OVER {
                over.push((key, entry.id.clone(), entry.at));
            }
            Line::Over(entry.id)
        } else {
            table.put(entry.clone());
            Line::Kept(Box::new(entry))
        };
        self.show(&table, &repository);
        if let Some(disk) = self.disk().as_ref().filter(|_| own) {
            self.count(disk, &table, 1);
            disk.note(vec![line]);
        }
        true
    }

    /// Takes in an entry that another door keeps. Of two of one reference the later counts; when their doors did not see each
    /// other, a person must say which one is right. True when it was news.
    pub fn hear(&self, mut entry: Entry) -> bool {
        let mut table = self.lock();
        if let Some(old) = table.get(&entry.id) {
            entry.progress.clone_from(&old.progress);
            if *old == entry || entry.at < old.at || (old.door.is_empty() && entry.at == old.at) {
                return false;
            }
            entry.progress = entry::Progress::default();
            if let (Some(one), Some(two)) = (old.digest(), entry.digest())
                && one != two
                && old.store != entry.store
                && !entry.earlier.iter().any(|earlier| earlier == one)
            {
                entry.conflict = Some(format!(
                    "{one} was pushed to {} and {two} to {}, through doors that did not hear of each other",
                    old.node, entry.node
                ));
            }
        }
        let repository = entry.repository.clone();
        match &entry.deed {
            Deed::Push(digest) => drop(table.revive(&repository, digest, entry.at)),
            Deed::Delete if table.is_revived(&repository, &entry.reference, entry.at) => {
                return false;
            }
            Deed::Delete => {}
        }
        table.put(entry);
        self.show(&table, &repository);
        true
    }

    /// Another door says that what it knew of a reference until `at` is everywhere.
    pub fn over(&self, id: &str, at: u64) {
        let known = self.lock().get(id).filter(|entry| entry.at <= at).cloned();
        if let Some(entry) = known {
            self.amend(&entry, |entry| entry.missing.clear());
        }
    }

    /// Notes that a storage is well, or was.
    pub fn note_well(&self, store: &str, span: table::Span) {
        let mut table = self.lock();
        table.well.insert(store.to_owned(), span);
        if let Some(disk) = self.disk().as_ref() {
            self.count(disk, &table, 1);
            disk.note(vec![Line::Well(store.to_owned(), span)]);
        }
    }

    /// Wants everything tried now, whatever it waits for; `id`: only this.
    pub fn hurry(&self, id: Option<&str>) {
        let mut table = self.lock();
        let ids: Vec<String> = match id {
            Some(id) => vec![id.to_owned()],
            None => table.entries().map(|entry| entry.id.clone()).collect(),
        };
        let mut hurried = self.hurried.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            if let Some(entry) = table.get_mut(&id) {
                entry.progress.due = 0;
                entry.progress.hurried = true;
                hurried.extend(entry.missing.iter().cloned());
            }
        }
        drop(hurried);
        self.bell.notify_waiters();
    }

    /// Returns when somebody wants it run now.
    pub async fn hurried(&self) {
        self.bell.notified().await;
    }

    /// Takes an entry out, whoever lacks it. False: there is none.
    pub fn forget(&self, id: &str) -> bool {
        let known = self.lock().get(id).cloned();
        known.is_some_and(|entry| self.amend(&entry, |entry| entry.missing.clear()))
    }

    /// Everything is to be written to the store again.
    pub fn share_again(&self) {
        let mut table = self.lock();
        let ids: Vec<String> = table.entries().map(|entry| entry.id.clone()).collect();
        for id in ids {
            if let Some(entry) = table.get_mut(&id) {
                entry.progress.shared = false;
            }
        }
    }

    /// The store has this version of an entry.
    pub fn is_shared(&self, known: &Entry) {
        let mut table = self.lock();
        if let Some(entry) = table.get_mut(&known.id)
            && (entry.at, &entry.missing, &entry.conflict)
                == (known.at, &known.missing, &known.conflict)
        {
            entry.progress.shared = true;
        }
    }

    /// What is over and other doors have not heard of, at most `most` of it.
    pub fn take_over(&self, most: usize) -> Vec<Over> {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let count = over.len().min(most);
        over.drain(..count).collect()
    }

    /// Other doors could not hear of that.
    pub fn give_over(&self, back: impl IntoIterator<Item = Over>) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.extend(back);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts lines of the file, and has it written anew when most of them are over.
    fn count(&self, disk: &Disk, table: &Table, lines: usize) {
        let written = self.lines.fetch_add(lines, Relaxed) + lines;
        let alive = table.entries().len();
        if written > 2 * alive + SURPLUS {
            let lines = table.lines();
            self.lines.store(lines.len(), Relaxed);
            disk.anew(lines);
        }
    }

    /// Lets requests see what a repository's nodes lack.
    fn show(&self, table: &Table, repository: &str) {
        let mut lacking = self.lacking.write().unwrap_or_else(PoisonError::into_inner);
        match table.lacking(repository).filter(|nodes| !nodes.is_empty()) {
            Some(nodes) => drop(lacking.insert(repository.to_owned(), nodes)),
            None => drop(lacking.remove(repository)),
        }
        self.pending.store(lacking.len(), Relaxed);
        let project = repository.split('/').next().unwrap_or_default();
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        match table.latest(project) {
            Some(seed) => drop(latest.insert(project.to_owned(), seed)),
            None => drop(latest.remove(project)),
        }
    }

    fn show_all(&self, table: &Table) {
        let all = table.repositories();
        let all = all.filter_map(|name| Some((name.to_owned(), table.lacking(name)?)));
        let mut lacking = self.lacking.write().unwrap_or_else(PoisonError::into_inner);
        *lacking = all.filter(|(_, nodes)| !nodes.is_empty()).collect();
        self.pending.store(lacking.len(), Relaxed);
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        *latest = table.latest_of_all().collect();
    }
}
