//! What is to become of an entry, from what the two sides have. Pure: answers and times in, a verdict out.

use crate::harbor::replication::content::Artifact;
use crate::placement::journal::Deed;
use crate::placement::journal::entry::Entry;

/// Clocks that differ by less are taken for equal, in milliseconds.
pub const TOLERANCE: u64 = 2_000;

/// What the two sides have, with times by this door's clock.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What the reference is at the side that did it.
    pub source: Option<Artifact>,
    /// What it is at the peer.
    pub peer: Option<Artifact>,
    /// Whether the source has, by whatever name, what the peer has under the reference.
    pub source_has_peers: bool,
    /// When the outage of the peer began in which the entry was made, if it was made in one.
    pub away_since: Option<u64>,
}

/// What is to become of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing is to be done: why.
    Done(&'static str),
    /// The reference is to be copied; the digest that the source has now.
    Carry(String),
    /// This tag of the source points to it: with the tag, it comes along.
    Follow(String),
    /// The tag is to be removed from this artifact of the peer, which has others or is needed.
    Untag(String),
    /// This artifact is to be removed from the peer.
    Remove(String),
    /// A person must decide: why.
    Conflict(String),
    /// Only a person can go on: why.
    Stuck(String),
}

/// Judges an entry of a tag or digest.
pub fn judge(entry: &Entry, seen: &Seen) -> Act {
    match &entry.deed {
        Deed::Push(digest) if entry.is_by_digest() => pushed_digest(digest, seen),
        Deed::Push(digest) => pushed_tag(entry, digest, seen),
        Deed::Delete => deleted(entry, seen),
    }
}

fn pushed_digest(digest: &str, seen: &Seen) -> Act {
    let Some(source) = &seen.source else {
        return Act::Done("the side that took it has it no more");
    };
    if seen.peer.is_some() {
        return Act::Done("the peer has it");
    }
    match source.tags.first() {
        Some(tag) => Act::Follow(tag.name.clone()),
        None => Act::Stuck(format!(
            "{digest} has no tag, and the filters of Harbor's replication name tags: give it one, such as with `crane tag`"
        )),
    }
}

fn pushed_tag(entry: &Entry, digest: &str, seen: &Seen) -> Act {
    let (source, peer) = match (&seen.source, &seen.peer) {
        (None, None) => return Act::Done("neither side has it any more"),
        (None, Some(peer)) => {
            return Act::Conflict(format!(
                "{digest} was pushed to {} and is not there any more, though nobody deleted it here; the peer has {}",
                entry.node, peer.digest
            ));
        }
        (Some(source), None) => return Act::Carry(source.digest.clone()),
        (Some(source), Some(peer)) => (source, peer),
    };
    if source.digest == peer.digest {
        return Act::Done("the peer has it");
    }
    if entry.earlier.contains(&peer.digest) {
        return Act::Carry(source.digest.clone());
    }
    let changed = |when: &str| {
        Act::Conflict(format!(
            "both sides changed: {} has {}, the peer got {} {when}",
            entry.node, source.digest, peer.digest
        ))
    };
    match (peer.pushed_as(&entry.reference), seen.away_since) {
        (Some(pushed), _) if pushed > entry.at + TOLERANCE => changed("later"),
        (Some(pushed), Some(away)) if pushed > away + TOLERANCE => {
            changed("while this door could not reach it")
        }
        _ => Act::Carry(source.digest.clone()),
    }
}

fn deleted(entry: &Entry, seen: &Seen) -> Act {
    let Some(peer) = &seen.peer else {
        return Act::Done("the peer lacks it, too");
    };
    if seen.source.is_some() {
        return Act::Done("the side that deleted it has it again");
    }
    let by_digest = entry.is_by_digest();
    match peer.pushed_as(&entry.reference) {
        Some(pushed) if pushed > entry.at + TOLERANCE => {
            return Act::Conflict(format!(
                "it was deleted at {}, and {} was pushed to the peer later",
                entry.node, peer.digest
            ));
        }
        None if !by_digest && !entry.earlier.contains(&peer.digest) => {
            return Act::Conflict(format!(
                "it was deleted at {}; the peer has {} and does not tell since when",
                entry.node, peer.digest
            ));
        }
        _ => {}
    }
    if by_digest {
        return Act::Remove(peer.digest.clone());
    }
    let alone = peer.tags.iter().all(|tag| tag.name == entry.reference);
    if alone && !seen.source_has_peers {
        Act::Remove(peer.digest.clone())
    } else {
        Act::Untag(peer.digest.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::harbor::replication::content::Tag;

    const AT: u64 = 1_000_000;

    fn entry(reference: &str, deed: Deed) -> Entry {
        let text = format!(
            r#"{{"id":"x","repository":"p/r","reference":"{reference}","deed":"delete","node":"a","store":"a",
            "at":{AT},"missing":["b"],"earlier":["sha256:0"]}}"#
        );
        Entry {
            deed,
            ..serde_json::from_str(&text).unwrap()
        }
    }

    fn push() -> Entry {
        entry("1", Deed::Push("sha256:1".to_owned()))
    }

    fn artifact(digest: &str, tags: &[&str], pushed: u64) -> Option<Artifact> {
        let tag = |name: &&str| Tag {
            name: (*name).to_owned(),
            pushed: Some(pushed),
        };
        Some(Artifact {
            digest: digest.to_owned(),
            pushed: Some(pushed),
            tags: tags.iter().map(tag).collect(),
        })
    }

    fn seen(source: Option<Artifact>, peer: Option<Artifact>) -> Seen {
        Seen {
            source,
            peer,
            ..Seen::default()
        }
    }

    fn is_conflict(act: &Act) -> bool {
        matches!(act, Act::Conflict(_))
    }

    #[test]
    fn what_the_peer_lacks_is_carried_and_what_it_has_is_not() {
        let one = || artifact("sha256:1", &["1"], AT);
        let carry = Act::Carry("sha256:1".to_owned());
        assert_eq!(judge(&push(), &seen(one(), None)), carry);
        assert!(matches!(judge(&push(), &seen(one(), one())), Act::Done(_)));
    }

    #[test]
    fn an_older_image_of_the_peer_is_replaced_and_a_newer_one_is_a_conflict() {
        let one = || artifact("sha256:1", &["1"], AT);
        let at_peer = |pushed| judge(&push(), &seen(one(), artifact("sha256:9", &["1"], pushed)));
        assert_eq!(at_peer(AT - 60_000), Act::Carry("sha256:1".to_owned()));
        assert!(is_conflict(&at_peer(AT + 60_000)));
    }

    #[test]
    fn what_the_peer_got_while_it_was_away_from_us_is_a_conflict() {
        let mut seen = seen(
            artifact("sha256:1", &["1"], AT),
            artifact("sha256:9", &["1"], AT - 10_000),
        );
        seen.away_since = Some(AT - 60_000);
        assert!(is_conflict(&judge(&push(), &seen)));
        seen.away_since = Some(AT - 5_000);
        assert!(!is_conflict(&judge(&push(), &seen)));
    }

    #[test]
    fn a_late_copy_of_an_earlier_push_is_no_conflict() {
        let late = artifact("sha256:0", &["1"], AT + 60_000);
        let act = judge(&push(), &seen(artifact("sha256:1", &["1"], AT), late));
        assert_eq!(act, Act::Carry("sha256:1".to_owned()));
    }

    #[test]
    fn what_somebody_moved_at_the_source_since_is_carried_as_it_is_now() {
        let act = judge(
            &push(),
            &seen(artifact("sha256:2", &["1"], AT + 5_000), None),
        );
        assert_eq!(act, Act::Carry("sha256:2".to_owned()));
    }

    #[test]
    fn what_is_gone_at_the_source_alone_is_never_deleted_at_the_peer() {
        let act = judge(
            &push(),
            &seen(None, artifact("sha256:0", &["1"], AT - 60_000)),
        );
        assert!(is_conflict(&act));
        assert!(matches!(judge(&push(), &seen(None, None)), Act::Done(_)));
    }

    #[test]
    fn a_digest_comes_with_a_tag_or_not_at_all() {
        let entry = entry("sha256:1", Deed::Push("sha256:1".to_owned()));
        let act = |tags: &[&str]| judge(&entry, &seen(artifact("sha256:1", tags, AT), None));
        assert_eq!(act(&["t"]), Act::Follow("t".to_owned()));
        assert!(matches!(act(&[]), Act::Stuck(why) if why.contains("crane tag")));
    }

    #[test]
    fn a_delete_is_replayed_only_while_the_source_lacks_it() {
        let entry = entry("1", Deed::Delete);
        let old = || artifact("sha256:0", &["1"], AT - 60_000);
        let remove = Act::Remove("sha256:0".to_owned());
        assert_eq!(judge(&entry, &seen(None, old())), remove);
        assert!(matches!(judge(&entry, &seen(old(), old())), Act::Done(_)));
        assert!(matches!(judge(&entry, &seen(None, None)), Act::Done(_)));
    }

    #[test]
    fn a_delete_never_takes_what_was_pushed_to_the_peer_later() {
        for reference in ["1", "sha256:9"] {
            let later = artifact("sha256:9", &["1"], AT + 60_000);
            let act = judge(&entry(reference, Deed::Delete), &seen(None, later));
            assert!(is_conflict(&act), "{reference}");
        }
    }

    #[test]
    fn a_tag_that_goes_leaves_what_other_names_need() {
        let entry = entry("1", Deed::Delete);
        let untag = Act::Untag("sha256:0".to_owned());
        let two = artifact("sha256:0", &["1", "2"], AT - 60_000);
        assert_eq!(judge(&entry, &seen(None, two)), untag);
        let mut needed = seen(None, artifact("sha256:0", &["1"], AT - 60_000));
        needed.source_has_peers = true;
        assert_eq!(judge(&entry, &needed), untag);
    }

    #[test]
    fn without_times_only_what_this_journal_knows_is_deleted() {
        let timeless = |digest: &str| {
            let mut artifact = artifact(digest, &["1"], 0).unwrap();
            artifact.tags.iter_mut().for_each(|tag| tag.pushed = None);
            artifact.pushed = None;
            Some(artifact)
        };
        let entry = entry("1", Deed::Delete);
        let known = judge(&entry, &seen(None, timeless("sha256:0")));
        assert_eq!(known, Act::Remove("sha256:0".to_owned()));
        assert!(is_conflict(&judge(
            &entry,
            &seen(None, timeless("sha256:9"))
        )));
    }
}
