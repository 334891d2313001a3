//! The changes in memory: the last one of every reference, and who lacks it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use serde::{Deserialize, Serialize};

use super::entry::{self, Entry};
use super::{Change, Deed};
use crate::balance;
use crate::config::Topology;
use crate::placement::layout::{Layout, Store};
use crate::upstream::nodes::Nodes;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// An entry as it is from now on.
    Kept(Box<Entry>),
    /// The entry of that id is over.
    Over(String),
    /// A storage was well from some time on until another.
    Well(String, Span),
}

/// Times in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its beginning.
    pub since: u64,
    /// When it was last true.
    pub until: u64,
    /// The end of the span before; 0: there was none.
    #[serde(default)]
    pub before: u64,
}

/// Everything that is not known to be everywhere.
#[derive(Debug, Default)]
pub struct Table {
    /// By id.
    entries: BTreeMap<String, Entry>,
    /// Ids by repository.
    repositories: HashMap<String, BTreeSet<String>>,
    /// When each storage was last well.
    pub well: BTreeMap<String, Span>,
    /// The most entries; further ones are refused.
    pub most: usize,
    layout: Option<Layout>,
    projects: HashMap<String, Latest>,
}

/// The last change of a project that is not known to be everywhere.
#[derive(Debug, Default)]
struct Latest {
    /// Entries of the project.
    entries: usize,
    at: u64,
    /// The hash of the name of the node that took it.
    seed: u64,
}

/// Whether a storage must get what others have.
fn is_fed(layout: &Layout, store: &Store) -> bool {
    match layout.topology {
        Topology::Replicated => layout.stores.len() > 1,
        Topology::PrimaryReplica => !store.writes,
        Topology::Shared | Topology::Tiered => false,
    }
}

fn project(repository: &str) -> &str {
    repository.split('/').next().unwrap_or_default()
}

impl Table {
    /// Replaces the layout; only some topologies have anything to reconcile. `None`: nothing is kept.
    pub fn adopt(&mut self, layout: Option<&Layout>) {
        let feeds = |layout: &&Layout| layout.stores.iter().any(|store| is_fed(layout, store));
        self.layout = layout.filter(feeds).cloned();
    }

    /// Whether there is anything to reconcile in this layout.
    pub fn serves(&self) -> bool {
        self.layout.is_some()
    }

    /// The nodes of these storages.
    fn nodes_of(&self, stores: &BTreeSet<String>) -> Nodes {
        let layout = self.layout.iter();
        let all = layout.flat_map(|layout| &layout.stores);
        all.filter(|store| stores.contains(&store.name))
            .fold(Nodes::NONE, |all, store| all.with(store.nodes))
    }

    /// The nodes that lack one entry.
    pub fn lacking_entry(&self, id: &str) -> Option<Nodes> {
        let entry = self.entries.get(id)?;
        Some(self.nodes_of(&entry.missing))
    }

    /// The nodes that lack something of `repository`; `None` when nothing is known to be missing.
    pub fn lacking(&self, repository: &str) -> Option<Nodes> {
        let ids = self.repositories.get(repository)?;
        let entries = ids.iter().filter_map(|id| self.entries.get(id));
        Some(entries.fold(Nodes::NONE, |all, entry| {
            all.with(self.nodes_of(&entry.missing))
        }))
    }

    /// The same of all projects.
    pub fn latest_of_all(&self) -> impl Iterator<Item = (String, u64)> {
        let all = self.projects.iter();
        all.map(|(project, latest)| (project.clone(), latest.seed))
    }

    /// Takes in what was done, and says which lines that is in the file. No lines: nobody lacks anything.
    ///
    /// # Errors
    /// It is full.
    pub fn enter(&mut self, change: Change, found: bool) -> io::Result<Vec<Line>> {
        let Change {
            deed,
            repository,
            reference,
            node,
            at,
        } = change;
        let Some(layout) = &self.layout else {
            return Ok(Vec::new());
        };
        let own = layout.node(balance::hash(node.as_bytes()));
        let own = own.and_then(|index| layout.stores.get(layout.store_of(index)?));
        let Some(store) = own.map(|store| store.name.clone()) else {
            return Ok(Vec::new());
        };
        let id = entry::id(&repository, &reference);
        let others = layout.stores.iter();
        let missing: BTreeSet<String> = others
            .filter(|other| is_fed(layout, other) && other.name != store)
            .map(|other| other.name.clone())
            .collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        if !self.entries.contains_key(&id) && self.entries.len() >= self.most {
            let most = self.most;
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "the journal is full with {most} entries: bring the peers back, see `seawall journal`, or raise journal.most"
                ),
            ));
        }
        let mut lines = Vec::new();
        match &deed {
            Deed::Delete => lines.extend(self.overtake(&repository, &reference, at)),
            Deed::Push(digest) => lines.extend(self.revive(&repository, digest, at)),
        }
        let mut entry = Entry {
            id,
            repository,
            reference,
            deed,
            node,
            store,
            at,
            missing,
            earlier: Vec::new(),
            found,
            conflict: None,
            door: String::new(),
            progress: entry::Progress::default(),
        };
        if let Some(old) = self.entries.get(&entry.id) {
            entry.replaces(old);
        }
        lines.push(Line::Kept(Box::new(entry.clone())));
        self.put(entry);
        Ok(lines)
    }

    /// What a push does to an earlier delete of the very digest: it is over, since nobody shall be rid of that any more.
    pub(super) fn revive(&mut self, repository: &str, digest: &str, at: u64) -> Option<Line> {
        let id = entry::id(repository, digest);
        let old = self.entries.get(&id)?;
        if old.deed != Deed::Delete || old.at > at {
            return None;
        }
        self.remove(&id);
        Some(Line::Over(id))
    }

    /// Whether a digest was pushed again after `at`, when it was deleted.
    pub(super) fn is_revived(&self, repository: &str, digest: &str, at: u64) -> bool {
        let mut entries = self.entries_of(repository);
        entries.any(|entry| entry.at > at && entry.digest() == Some(digest))
    }

    /// What a delete does to earlier entries: with a repository goes all that is in it, with a digest every tag of it.
    fn overtake(&mut self, repository: &str, reference: &str, at: u64) -> Vec<Line> {
        let ids = self.repositories.get(repository).cloned();
        let mut lines = Vec::new();
        for id in ids.unwrap_or_default() {
            let Some(old) = self.entries.get(&id).filter(|old| old.at <= at) else {
                continue;
            };
            if reference.is_empty() && !old.reference.is_empty() {
                lines.push(Line::Over(id.clone()));
                self.remove(&id);
            } else if old.digest() == Some(reference) && old.reference != reference {
                let mut gone = old.clone();
                gone.deed = Deed::Delete;
                gone.at = at;
                gone.replaces(old);
                gone.progress = entry::Progress::default();
                lines.push(Line::Kept(Box::new(gone.clone())));
                self.put(gone);
            }
        }
        lines
    }

    /// Takes in what another table has, unless this one knows something later.
    pub fn merge(&mut self, other: Table) {
        for entry in other.entries.into_values() {
            let known = self.entries.get(&entry.id);
            if known.is_none_or(|known| known.at < entry.at) {
                self.put(entry);
            }
        }
        for (store, span) in other.well {
            self.well.entry(store).or_insert(span);
        }
    }

    /// Does what a line of the file says.
    pub fn apply(&mut self, line: Line) {
        match line {
            Line::Kept(entry) => self.put(*entry),
            Line::Over(id) => drop(self.remove(&id)),
            Line::Well(store, span) => drop(self.well.insert(store, span)),
        }
    }

    /// Every line that it takes to say what there is.
    pub fn lines(&self) -> Vec<Line> {
        let well = self.well.iter();
        let well = well.map(|(store, span)| Line::Well(store.clone(), *span));
        let own = self.entries.values().filter(|entry| entry.door.is_empty());
        well.chain(own.cloned().map(|entry| Line::Kept(Box::new(entry))))
            .collect()
    }

    /// Puts an entry in the place of the one with its id.
    pub fn put(&mut self, entry: Entry) {
        let ids = self.repositories.entry(entry.repository.clone());
        ids.or_default().insert(entry.id.clone());
        let latest = self.projects.entry(project(&entry.repository).to_owned());
        let latest = latest.or_default();
        if entry.at >= latest.at {
            latest.at = entry.at;
            latest.seed = balance::hash(entry.node.as_bytes());
        }
        let new = self.entries.insert(entry.id.clone(), entry).is_none();
        latest.entries += usize::from(new);
    }

    /// Takes one out.
    pub fn remove(&mut self, id: &str) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        if let Some(ids) = self.repositories.get_mut(&entry.repository) {
            ids.remove(id);
            if ids.is_empty() {
                self.repositories.remove(&entry.repository);
            }
        }
        let project = project(&entry.repository);
        if let Some(latest) = self.projects.get_mut(project) {
            latest.entries = latest.entries.saturating_sub(1);
            if latest.entries == 0 {
                self.projects.remove(project);
            }
        }
        Some(entry)
    }

    /// The hash of the name of the node that took the last change of a project.
    pub fn latest(&self, project: &str) -> Option<u64> {
        self.projects.get(project).map(|latest| latest.seed)
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// One of them, to change how its attempts went.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Entry> {
        self.entries.get_mut(id)
    }

    /// All of them, by id.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.values()
    }

    /// Those of one repository.
    pub fn entries_of(&self, repository: &str) -> impl Iterator<Item = &Entry> {
        let ids = self.repositories.get(repository).into_iter().flatten();
        ids.filter_map(|id| self.entries.get(id))
    }

    /// The repositories of which something is missing somewhere.
    pub fn repositories(&self) -> impl Iterator<Item = &str> {
        self.repositories.keys().map(String::as_str)
    }
}
