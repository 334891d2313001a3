//! What both sides of an entry have, asked and judged.

use super::judge::{Act, Seen, TOLERANCE, judge};
use super::speak::{Speaker, Trouble};
use crate::harbor::dialect::Dialect;
use crate::harbor::replication::content;
use crate::placement::journal::Deed;
use crate::placement::journal::entry::Entry;

/// Asks both sides, and judges. `away_since`: when the outage began in which the entry was made, if it was made in one.
///
/// # Errors
/// See [`Trouble`].
pub async fn look(
    source: &Speaker,
    peer: &Speaker,
    entry: &Entry,
    away_since: Option<u64>,
) -> Result<Act, Trouble> {
    let Entry {
        repository,
        reference,
        ..
    } = entry;
    if reference.is_empty() {
        return whole(source, peer, entry).await;
    }
    let (at_source, at_peer) = tokio::join!(
        source.look_up(repository, reference),
        peer.look_up(repository, reference)
    );
    let mut seen = Seen {
        source: at_source?,
        peer: at_peer?,
        source_has_peers: false,
        away_since,
    };
    if entry.deed == Deed::Delete
        && seen.source.is_none()
        && let Some(found) = &seen.peer
        && !entry.is_by_digest()
    {
        // Harbor 1 names artifacts by tag alone: the other tags of this one matter.
        if peer.dialect != Dialect::Harbor2
            && let Some(whole) = peer.look_up(repository, &found.digest).await?
        {
            let at = found.pushed_as(reference);
            let mut whole = whole;
            whole.tags.retain(|tag| tag.name != *reference);
            whole.tags.push(content::Tag {
                name: reference.clone(),
                pushed: at,
            });
            seen.peer = Some(whole);
        }
        if let Some(found) = &seen.peer {
            seen.source_has_peers = source.look_up(repository, &found.digest).await?.is_some();
        }
    }
    let act = judge(entry, &seen);
    Ok(match act {
        // Deleting one tag deletes them all there.
        Act::Untag(digest) if peer.dialect != Dialect::Harbor2 && seen.source_has_peers => {
            Act::Conflict(format!(
                "it was deleted at {}, and in Harbor 1 a delete at the peer would take the other tags of {digest} along",
                entry.node
            ))
        }
        act => act,
    })
}

/// A whole repository was deleted: what is older than that goes, and nothing that came later.
async fn whole(source: &Speaker, peer: &Speaker, entry: &Entry) -> Result<Act, Trouble> {
    let repository = &entry.repository;
    let Some(there) = peer.artifacts(repository, 0).await? else {
        return Ok(Act::Done("the peer lacks it, too"));
    };
    let here = source.artifacts(repository, 0).await?.unwrap_or_default();
    let late = |at: Option<u64>| at.is_none_or(|at| at > entry.at + TOLERANCE);
    if here.is_empty() {
        if there
            .iter()
            .any(|one| late(one.pushed) || one.tags.iter().any(|tag| late(tag.pushed)))
        {
            return Ok(Act::Conflict(format!(
                "the repository was deleted at {}, and the peer has what may have been pushed there later",
                entry.node
            )));
        }
        tracing::info!(node = %peer.node.name, repository, "the journal deletes a repository that was deleted elsewhere");
        peer.ask(&content::delete_repository(peer.dialect, repository))
            .await?;
        return Ok(Act::Done("it was deleted there, too"));
    }
    // It was pushed to anew: only what is gone at the source and old goes.
    for one in there {
        let kept = here.iter().any(|own| own.digest == one.digest);
        let newer = late(one.pushed) || one.tags.iter().any(|tag| late(tag.pushed));
        if kept || newer {
            continue;
        }
        let call = match (peer.dialect, one.tags.first()) {
            (Dialect::Harbor2, _) => content::delete_artifact(repository, &one.digest),
            (_, Some(tag)) => content::delete_tag(peer.dialect, repository, &one.digest, &tag.name),
            (_, None) => continue,
        };
        tracing::info!(node = %peer.node.name, repository, digest = one.digest, "the journal replays the delete of a repository");
        peer.ask(&call).await?;
    }
    Ok(Act::Done("what was old is deleted there, too"))
}
