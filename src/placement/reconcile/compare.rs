//! What no journal saw: found by comparing when the tags of two storages were pushed.
//!
//! What only one side got lately becomes an entry; what both got is an entry where one side knows both, else a conflict. A
//! tag that one side lacks is never taken for deleted.

use std::collections::BTreeMap;

use super::Means;
use super::speak::{Speaker, Trouble};
use crate::config::Topology;
use crate::harbor::dialect::Dialect;
use crate::harbor::replication::content;
use crate::placement::gone;
use crate::placement::journal::entry::{self, Entry};
use crate::placement::journal::{Change, Deed};

/// How far back a comparison goes at most, in milliseconds.
pub const AT_START: u64 = 24 * 3_600_000;
/// Repositories of one storage that are looked at.
const MOST_REPOSITORIES: usize = 2000;

/// A tag with its repository.
type Name = (String, String);

/// What a tag was pushed as, and when.
struct Pushed {
    digest: String,
    at: u64,
}

/// Compares the storage at `place` with every other one that is well, as far as things changed after `since`. Another one
/// that returns later is compared then. False: it is not known yet how to speak to one of them.
///
/// # Errors
/// Why a side could not be asked.
pub async fn compare(means: &Means, place: usize, since: u64) -> Result<bool, Trouble> {
    let layout = means.layout();
    let writes = |place: usize| layout.stores.get(place).is_some_and(|store| store.writes);
    let others = (0..layout.stores.len()).filter(|other| *other != place);
    // Nothing goes from one replica to another.
    let both = layout.topology == Topology::Replicated;
    let others = others.filter(|other| both || writes(*other) || writes(place));
    let Some(one) = means.speaker(place) else {
        return Ok(false);
    };
    let mut sides = Vec::new();
    for other in others {
        match means.speaker(other) {
            Some(speaker) => sides.push((other, speaker)),
            None if means.well(other).next().is_some() => return Ok(false),
            None => {}
        }
    }
    if sides.is_empty() {
        return Ok(true);
    }
    if one.dialect == Dialect::Harbor15 {
        tracing::info!(
            "the storages are not compared: Harbor 1.5 does not tell when an image was pushed"
        );
        return Ok(true);
    }
    let here = lately(&one, since).await?;
    for (other, two) in sides {
        let there = lately(&two, since).await?;
        let pair = Pair {
            means,
            one: &one,
            two: &two,
        };
        let (may_take, may_give) = (both || writes(other), both || writes(place));
        let mut found = 0;
        for (name, pushed) in &here {
            match there.get(name) {
                Some(theirs) if theirs.digest == pushed.digest => {}
                Some(theirs) if both => found += pair.differ(name, pushed, theirs).await?,
                _ if may_give => found += pair.lacks(&one, &two, name, pushed).await?,
                _ => {}
            }
        }
        for (name, pushed) in &there {
            if may_take && !here.contains_key(name) {
                found += pair.lacks(&two, &one, name, pushed).await?;
            }
        }
        tracing::info!(
            one = %one.node.name, two = %two.node.name, found, looked_at = here.len() + there.len(),
            "the storages were compared for what no journal saw"
        );
    }
    Ok(true)
}

struct Pair<'p> {
    means: &'p Means,
    one: &'p Speaker,
    two: &'p Speaker,
}

impl Pair<'_> {
    /// Something that `from` got lately and the other side did not.
    async fn lacks(
        &self,
        from: &Speaker,
        to: &Speaker,
        name: &Name,
        pushed: &Pushed,
    ) -> Result<usize, Trouble> {
        if self.is_known(name, &pushed.digest) || self.is_gone(name, &pushed.digest).await {
            return Ok(0);
        }
        let has = to.look_up(&name.0, &name.1).await?;
        if has.is_some_and(|has| has.digest == pushed.digest) {
            return Ok(0);
        }
        self.found(from, name, pushed, |_| {}).await;
        Ok(1)
    }

    /// Something that both got, each another one. Who has both is ahead.
    async fn differ(&self, name: &Name, ours: &Pushed, theirs: &Pushed) -> Result<usize, Trouble> {
        if self.is_known(name, &ours.digest) || self.is_known(name, &theirs.digest) {
            return Ok(0);
        }
        let one_has = self.one.look_up(&name.0, &theirs.digest).await?.is_some();
        let two_has = self.two.look_up(&name.0, &ours.digest).await?.is_some();
        let (from, pushed, other) = match (one_has, two_has) {
            (false, true) => (self.two, theirs, ours),
            _ => (self.one, ours, theirs),
        };
        let ahead = one_has != two_has;
        let why = format!(
            "both sides changed: {} has {}, {} has {}",
            self.one.node.name, ours.digest, self.two.node.name, theirs.digest
        );
        self.found(from, name, pushed, |entry| {
            entry.earlier.push(other.digest.clone());
            entry.conflict = (!ahead).then_some(why);
        })
        .await;
        Ok(1)
    }

    /// Whether the journal has something of the tag, of its digest or of the whole repository: that counts.
    fn is_known(&self, (repository, tag): &Name, digest: &str) -> bool {
        let ids = [tag, digest, ""].map(|reference| entry::id(repository, reference));
        let journal = self.means.journal();
        journal.read(|table| ids.iter().any(|id| table.get(id).is_some()))
    }

    /// Whether it was deleted through a door not long ago.
    async fn is_gone(&self, (repository, tag): &Name, digest: &str) -> bool {
        let sessions = &self.means.sessions;
        gone::is_gone(sessions, repository, tag).await
            || gone::is_gone(sessions, repository, digest).await
    }

    async fn found(
        &self,
        from: &Speaker,
        name: &Name,
        pushed: &Pushed,
        mark: impl FnOnce(&mut Entry),
    ) {
        let (repository, reference) = name.clone();
        tracing::info!(repository, tag = reference, node = %from.node.name, "no journal saw this: it is one side's alone");
        let journal = self.means.journal();
        let kept = journal.keep_found(Change {
            deed: Deed::Push(pushed.digest.clone()),
            repository,
            reference,
            node: from.node.name.to_string(),
            at: pushed.at,
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "the journal could not keep what it found");
        }
        let id = entry::id(&name.0, &name.1);
        if let Some(entry) = journal.read(|table| table.get(&id).cloned()) {
            journal.amend(&entry, mark);
        }
    }
}

/// The tags of a node that were pushed after `since`. One that is on its way to the others becomes an entry like any push.
async fn lately(side: &Speaker, since: u64) -> Result<BTreeMap<Name, Pushed>, Trouble> {
    let mut tags = BTreeMap::new();
    let mut looked_at = 0;
    for project in side.projects().await? {
        let call = |page| content::repositories(side.dialect, &project, page);
        for repository in side.pages(call, content::repositories_listed).await? {
            looked_at += 1;
            if looked_at > MOST_REPOSITORIES {
                tracing::warn!(
                    node = %side.node.name, most = MOST_REPOSITORIES,
                    "only the first repositories are compared: what no journal saw of the others stays unknown"
                );
                return Ok(tags);
            }
            let artifacts = side.artifacts(&repository, since).await?;
            for artifact in artifacts.into_iter().flatten() {
                for tag in &artifact.tags {
                    if let Some(at) = tag.pushed.filter(|at| *at >= since) {
                        let digest = artifact.digest.clone();
                        tags.insert(
                            (repository.clone(), tag.name.clone()),
                            Pushed { digest, at },
                        );
                    }
                }
            }
        }
    }
    Ok(tags)
}
