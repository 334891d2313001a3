//! What was found missing is brought: copied, or deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::carry::{self, Peer};
use super::feed::{AWAY, Feeder, PERSON};
use super::judge::Act;
use super::speak::{Speaker, Trouble};
use crate::config::Topology;
use crate::harbor::dialect::Dialect;
use crate::harbor::replication::content;
use crate::placement::journal::entry::{self, Entry, State};
use crate::placement::journal::{Change, Deed};
use crate::session::entry::now;

/// Repositories that are copied at the same time.
const ABREAST: usize = 4;

/// What is to be copied: entries with the digests that the source has, by repository.
pub type Carries = BTreeMap<String, Vec<(Entry, String)>>;

impl Feeder {
    /// Does what is to become of one entry, unless it is to be copied.
    pub(super) async fn act(&self, peer: &Speaker, entry: &Entry, act: Act) {
        let Entry {
            repository,
            reference,
            ..
        } = entry;
        let dialect = peer.dialect;
        let call = match act {
            Act::Done(why) => return self.over(entry, "found", why),
            Act::Carry(_) => return,
            Act::Follow(tag) => return self.follow(entry, tag).await,
            Act::Conflict(why) => {
                tracing::warn!(
                    repository,
                    reference,
                    storage = self.store,
                    why,
                    "a person must decide: see `seawall journal`"
                );
                self.means.metrics.reconciled("conflict");
                self.means
                    .journal()
                    .amend(entry, |entry| entry.conflict = Some(why));
                return;
            }
            Act::Stuck(_) if self.brings_more_of(repository) => {
                self.means.journal().progress(&entry.id, |progress| {
                    progress.due = now() + AWAY;
                    progress.why = "it may come with a tag of the repository".to_owned();
                });
                return;
            }
            Act::Stuck(why) => {
                let why = format!("{why}; or `seawall journal forget {}`", entry.id);
                tracing::warn!(
                    repository,
                    reference,
                    storage = self.store,
                    why,
                    "the journal cannot go on alone"
                );
                self.means.journal().progress(&entry.id, |progress| {
                    progress.state = State::Stuck;
                    progress.due = now() + PERSON;
                    progress.why = why;
                });
                return;
            }
            Act::Untag(digest) => content::delete_tag(dialect, repository, &digest, reference),
            Act::Remove(digest) if dialect == Dialect::Harbor2 => {
                content::delete_artifact(repository, &digest)
            }
            Act::Remove(digest) if entry.is_by_digest() => {
                // 1.x deletes by tag, and all tags of a digest at once.
                match peer.look_up(repository, &digest).await {
                    Ok(Some(artifact)) => match artifact.tags.first() {
                        Some(tag) => content::delete_tag(dialect, repository, &digest, &tag.name),
                        None => return,
                    },
                    Ok(None) => return self.over(entry, "found", "the peer lacks it, too"),
                    Err(trouble) => return self.failed(entry, &trouble),
                }
            }
            Act::Remove(digest) => content::delete_tag(dialect, repository, &digest, reference),
        };
        tracing::info!(node = %peer.node.name, repository, reference, "the journal replays a delete");
        match peer.ask(&call).await {
            Ok(_) => self.over(entry, "deleted", "it was deleted there, too"),
            Err(trouble) => self.failed(entry, &trouble),
        }
    }

    /// Whether some tag of a repository is still to be brought: the parts of an image for many platforms come with it.
    fn brings_more_of(&self, repository: &str) -> bool {
        self.means.journal().read(|table| {
            table.entries_of(repository).any(|entry| {
                entry.missing.contains(&self.store)
                    && entry.deed != Deed::Delete
                    && !entry.is_by_digest()
                    && matches!(entry.state(), State::Pending | State::Running)
            })
        })
    }

    /// An image without an entry of its own comes with a tag of it.
    async fn follow(&self, entry: &Entry, tag: String) {
        let id = entry::id(&entry.repository, &tag);
        let known = self.means.journal().read(|table| table.get(&id).is_some());
        if !known && let Deed::Push(_) = &entry.deed {
            let change = Change {
                deed: entry.deed.clone(),
                repository: entry.repository.clone(),
                reference: tag.clone(),
                node: entry.node.clone(),
                at: entry.at,
            };
            if let Err(error) = self.means.journal().keep_found(change).await {
                tracing::warn!(%error, "the journal could not keep what it found");
            }
        }
        self.means.journal().progress(&entry.id, |progress| {
            progress.due = now() + AWAY;
            progress.why = format!("it comes with the tag {tag}");
        });
    }

    /// Has everything copied that this storage lacks.
    pub(super) async fn carry(&self, source: &Speaker, peer: &Speaker, mut carries: Carries) {
        let Some(account) = self.means.account() else {
            return;
        };
        let nodes = self.means.layout().nodes_of(self.place);
        let nodes = nodes
            .places()
            .filter_map(|place| self.means.cluster.members().get(place));
        let own = peer.node.endpoint(true).url().clone();
        let others = nodes.map(|node| node.endpoint(true).url().clone());
        let to = Peer {
            store: &self.store,
            urls: std::iter::once(own).chain(others).collect(),
            user: &account.user,
            password: account.password.expose(),
        };
        let all = |trouble: &Trouble, carries: &Carries| {
            for (entry, _) in carries.values().flatten() {
                self.failed(entry, trouble);
            }
        };
        let policies = match carry::tidy(source, &to).await {
            Ok(policies) => policies,
            Err(trouble) => return all(&trouble, &carries),
        };
        if self.means.layout().topology == Topology::PrimaryReplica {
            let remotes = carry::list_remotes(source).await.unwrap_or_default();
            let fed: BTreeSet<u64> = remotes
                .iter()
                .filter(|one| to.is(one))
                .map(|one| one.id)
                .collect();
            let mut kept = BTreeMap::new();
            for (repository, entries) in carries {
                let named = policies
                    .iter()
                    .any(|one| one.enabled && fed.contains(&one.to) && one.copies(&repository));
                // One that cannot be asked is asked again.
                if named || !matches!(peer.artifacts(&repository, u64::MAX).await, Ok(None)) {
                    kept.insert(repository, entries);
                    continue;
                }
                for (entry, _) in &entries {
                    self.over(entry, "not_fed", "this replica never had the repository");
                }
            }
            carries = kept;
        }
        let way = match carry::open(source, &to).await {
            Ok(way) => way,
            Err(trouble) => return all(&trouble, &carries),
        };
        let carries: Vec<_> = carries.into_iter().collect();
        for some in carries.chunks(ABREAST) {
            let copies = some.iter().map(|(repository, entries)| {
                self.copy(source, peer, &to, &way, repository, entries)
            });
            futures_util::future::join_all(copies).await;
        }
        carry::close(source, way).await;
    }

    /// Copies what is missing of one repository, and looks whether it has arrived.
    async fn copy(
        &self,
        source: &Speaker,
        peer: &Speaker,
        to: &Peer<'_>,
        way: &carry::Way,
        repository: &str,
        entries: &[(Entry, String)],
    ) {
        let journal = self.means.journal();
        for (entry, _) in entries {
            journal.progress(&entry.id, |progress| progress.state = State::Running);
        }
        let tags: Vec<&str> = entries
            .iter()
            .map(|(entry, _)| entry.reference.as_str())
            .collect();
        let began = Instant::now();
        let copied = carry::copy(source, to, way, repository, &tags).await;
        let took = began.elapsed();
        for (entry, digest) in entries {
            // Whatever Harbor says: what counts is what the peer has. One of several may have failed alone.
            let arrived = peer.look_up(repository, &entry.reference).await;
            match (&copied, arrived) {
                (_, Ok(Some(found))) if found.digest == *digest => {
                    tracing::info!(
                        repository,
                        tag = entry.reference,
                        storage = self.store,
                        ?took,
                        "the journal brought an image to a storage"
                    );
                    self.over(entry, "copied", "it was copied");
                }
                (Err(trouble), _) => self.failed(entry, trouble),
                (Ok(()), Err(trouble)) => self.failed(entry, &trouble),
                (Ok(()), Ok(found)) => {
                    let has = found.map_or_else(|| "nothing".to_owned(), |found| found.digest);
                    let what = format!("{has} instead of {digest} after the replication");
                    let said = Trouble::Said(
                        peer.node.name.to_string(),
                        what,
                        format!("{repository}:{}", entry.reference),
                    );
                    self.failed(entry, &said);
                }
            }
        }
    }
}
