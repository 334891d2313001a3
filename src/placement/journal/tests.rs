#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// A layout of nodes `a`, `b` and `c`, most often with data of their own.
fn layout(topology: &str) -> Layout {
    let primary = match topology {
        "primary-replica" => "role = \"primary\"",
        _ => "",
    };
    crate::placement::layout::tests::layout(topology, &[primary, "", ""])
}

fn open_with(directory: &Path, topology: &str) -> (Journal, Vec<String>) {
    let journal = Journal::default();
    journal.adopt(Some(&layout(topology)), 1000);
    let damage = journal.open(directory).unwrap();
    (journal, damage)
}

fn open(directory: &Path) -> Journal {
    let (journal, damage) = open_with(directory, "replicated");
    assert!(damage.is_empty(), "{damage:?}");
    journal
}

fn push(repository: &str, reference: &str, digest: &str, at: u64) -> Change {
    Change {
        deed: Deed::Push(digest.to_owned()),
        repository: repository.to_owned(),
        reference: reference.to_owned(),
        node: "a".to_owned(),
        at,
    }
}

fn delete(repository: &str, reference: &str, at: u64) -> Change {
    Change {
        deed: Deed::Delete,
        ..push(repository, reference, "", at)
    }
}

fn all(journal: &Journal) -> Vec<Entry> {
    journal.read(|table| table.entries().cloned().collect())
}

fn text(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("changes.jsonl")).unwrap()
}

/// Once the writer has done what was asked of it so far.
async fn settled(journal: &Journal) {
    let add = |lines| journal.disk().as_ref().unwrap().add(lines);
    add(Vec::new()).await.ok();
    add(vec![Line::Over("none".to_owned())])
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    journal.keep(delete("p/r", "2", 6)).await.unwrap();
    let before = all(&journal);
    // The file as it is: nothing was closed or flushed on the way out.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(
        directory.path().join("changes.jsonl"),
        copy.path().join("changes.jsonl"),
    )
    .unwrap();
    let after = open(copy.path());
    assert_eq!(all(&after), before);
    assert_eq!(after.behind("p/r"), [1, 2].into_iter().collect());
}

#[tokio::test]
async fn only_the_owner_may_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let _journal = open(directory.path());
    let file = directory.path().join("changes.jsonl");
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_peer_is_behind_until_it_has_everything_of_a_repository() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    journal.keep(push("p/r", "2", "sha256:2", 5)).await.unwrap();
    for entry in all(&journal) {
        assert_eq!(journal.behind("p/r"), [1, 2].into_iter().collect());
        assert_eq!(journal.latest("p"), Some(crate::balance::hash(b"a")));
        journal.amend(&entry, |entry| entry.missing.retain(|store| store != "b"));
    }
    assert_eq!(journal.behind("p/r"), Nodes::only(2));
    assert_eq!(journal.behind("p/other"), Nodes::NONE);
    for entry in all(&journal) {
        journal.amend(&entry, |entry| entry.missing.clear());
    }
    assert_eq!(journal.behind("p/r"), Nodes::NONE);
    assert_eq!(journal.pending.load(Relaxed), 0);
    assert_eq!(journal.latest("p"), None);
}

#[tokio::test]
async fn a_peer_lacks_what_it_missed_and_not_what_it_has_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    assert_eq!(journal.lacks("p/r", "1"), [1, 2].into_iter().collect());
    assert_eq!(journal.lacks("p/r", "old"), Nodes::NONE);
    journal.keep(delete("p/r", "", 6)).await.unwrap();
    assert_eq!(journal.lacks("p/r", "old"), [1, 2].into_iter().collect());
}

#[tokio::test]
async fn the_last_deed_counts_and_what_was_there_before_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    journal.keep(push("p/r", "1", "sha256:2", 6)).await.unwrap();
    journal.keep(delete("p/r", "1", 7)).await.unwrap();
    let entries = all(&journal);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].deed, Deed::Delete);
    assert_eq!(entries[0].earlier, ["sha256:1", "sha256:2"]);
}

#[tokio::test]
async fn an_entry_that_was_replaced_meanwhile_is_not_cleared() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    let old = all(&journal).remove(0);
    journal.keep(push("p/r", "1", "sha256:2", 6)).await.unwrap();
    assert!(!journal.amend(&old, |entry| entry.missing.clear()));
    assert!(!journal.behind("p/r").is_empty());
}

#[tokio::test]
async fn with_a_digest_go_its_tags_and_with_a_repository_all_that_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    journal.keep(push("p/r", "2", "sha256:2", 5)).await.unwrap();
    journal.keep(delete("p/r", "sha256:1", 6)).await.unwrap();
    let deeds: Vec<_> = all(&journal)
        .into_iter()
        .map(|entry| (entry.reference, entry.deed.name()))
        .collect();
    assert!(deeds.contains(&("1".to_owned(), "delete")), "{deeds:?}");
    assert!(deeds.contains(&("2".to_owned(), "push")), "{deeds:?}");
    journal.keep(delete("p/r", "", 7)).await.unwrap();
    let left = all(&journal);
    assert_eq!((left.len(), left[0].reference.as_str()), (1, ""));
}

#[tokio::test]
async fn shared_storage_and_tiers_have_nothing_to_reconcile() {
    for topology in ["shared", "tiered"] {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = open_with(directory.path(), topology);
        journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
        assert!(all(&journal).is_empty(), "{topology}");
    }
}

#[tokio::test]
async fn a_primary_is_never_behind_its_replicas() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_with(directory.path(), "primary-replica");
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    assert_eq!(journal.behind("p/r"), [1, 2].into_iter().collect());
}

#[tokio::test]
async fn a_full_journal_says_so_and_still_takes_news_of_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.adopt(Some(&layout("replicated")), 1);
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    let refused = journal.keep(push("p/r", "2", "sha256:2", 6)).await;
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::StorageFull);
    journal.keep(push("p/r", "1", "sha256:3", 7)).await.unwrap();
}

#[tokio::test]
async fn a_line_that_was_cut_off_is_told_and_nothing_else_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    let before = all(&journal);
    drop(journal);
    let path = directory.path().join("changes.jsonl");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(b"{\"kept\":{\"id\":\"x").unwrap();
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(&path, other.path().join("changes.jsonl")).unwrap();
    let (journal, damage) = open_with(other.path(), "replicated");
    assert_eq!(all(&journal), before);
    assert_eq!(damage.len(), 1);
    assert!(damage[0].contains("changes.jsonl:2: "), "{damage:?}");
    let kept = std::fs::read_to_string(other.path().join("changes.damaged")).unwrap();
    assert!(kept.ends_with("{\"id\":\"x"), "{kept}");
}

#[tokio::test]
async fn a_second_process_does_not_get_the_same_file() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path());
    let second = Journal::default();
    let error = second.open(directory.path()).unwrap_err();
    assert!(error.to_string().contains("another Seawall"), "{error}");
}

#[tokio::test]
async fn what_is_over_does_not_fill_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    let line = text(directory.path()).len();
    for at in 6..2006 {
        let span = table::Span {
            until: at,
            ..table::Span::default()
        };
        journal.note_well("b", span);
    }
    settled(&journal).await;
    assert!(text(directory.path()).len() < (SURPLUS + 100) * line);
    let copy = tempfile::tempdir().unwrap();
    std::fs::write(copy.path().join("changes.jsonl"), text(directory.path())).unwrap();
    let after = open(copy.path());
    assert_eq!(all(&after), all(&journal));
    assert_eq!(after.read(|table| table.well["b"].until), 2005);
}

#[tokio::test]
async fn callers_at_the_same_time_all_get_their_lines_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Arc::new(open(directory.path()));
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..64 {
        let journal = journal.clone();
        callers.spawn(async move {
            let change = push("p/r", &number.to_string(), "sha256:1", 5);
            journal.keep(change).await.unwrap();
        });
    }
    callers.join_all().await;
    assert_eq!(text(directory.path()).lines().count(), 64);
}

#[tokio::test]
async fn pushes_through_doors_that_did_not_hear_of_each_other_are_left_to_a_person() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(push("p/r", "1", "sha256:1", 5)).await.unwrap();
    let mut other = all(&journal).remove(0);
    other.deed = Deed::Push("sha256:2".to_owned());
    (other.node, other.store) = ("b".to_owned(), "b".to_owned());
    (other.door, other.at) = ("two".to_owned(), 6);
    assert!(journal.hear(other.clone()));
    assert!(all(&journal)[0].conflict.is_some());
    other.earlier.push("sha256:1".to_owned());
    other.at = 7;
    assert!(journal.hear(other));
    assert_eq!(all(&journal)[0].conflict, None);
}

proptest! {
    #[test]
    fn a_file_read_back_is_the_table(deeds in prop::collection::vec((0..4_u8, 0..3_u8, 0..4_u8, 0..3_u8), 0..40)) {
        let mut table = Table::default();
        table.most = 100;
        table.adopt(Some(&layout("replicated")));
        let mut read = Table::default();
        for (at, (repository, reference, what, node)) in (1..).zip(deeds) {
            let reference = ["", "1", "sha256:0"][usize::from(reference)];
            let deed = match what {
                0 | 1 => Deed::Delete,
                digest => Deed::Push(format!("sha256:{digest}")),
            };
            let node = ["a", "b", "c"][usize::from(node)].to_owned();
            let change = Change { deed, repository: format!("p/{repository}"), reference: reference.to_owned(), node, at };
            for line in table.enter(change, false).unwrap() {
                let text = serde_json::to_string(&line).unwrap();
                read.apply(serde_json::from_str(&text).unwrap());
            }
        }
        prop_assert_eq!(read.lines(), table.lines());
    }

    #[test]
    fn no_line_makes_it_panic(text: Vec<u8>) {
        let _ = serde_json::from_slice::<Line>(&text);
    }
}

#[tokio::test]
async fn what_is_pushed_again_is_not_to_be_deleted_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(delete("p/app", "sha256:1", 1)).await.unwrap();
    journal
        .keep(push("p/app", "1", "sha256:1", 2))
        .await
        .unwrap();
    assert!(journal.lacks("p/app", "sha256:1").is_empty());
    assert!(!journal.lacks("p/app", "1").is_empty());
    let copy = tempfile::tempdir().unwrap();
    let file = "changes.jsonl";
    std::fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
    assert_eq!(all(&open(copy.path())).len(), 1);
}

#[tokio::test]
async fn what_is_pushed_again_at_another_door_is_not_to_be_deleted_any_more() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, there) = (open(here.path()), open(there.path()));
    here.keep(delete("p/app", "sha256:1", 1)).await.unwrap();
    there.keep(push("p/app", "1", "sha256:1", 2)).await.unwrap();
    let (deleted, pushed) = (all(&here), all(&there));
    for entry in deleted {
        assert!(!there.hear(entry));
    }
    for entry in pushed {
        assert!(here.hear(entry));
    }
    for journal in [here, there] {
        assert!(journal.lacks("p/app", "sha256:1").is_empty());
        assert!(!journal.lacks("p/app", "1").is_empty());
    }
}

#[tokio::test]
async fn what_a_process_keeps_while_another_has_the_journal_is_gathered_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let elder = open(directory.path());
    elder.keep(push("p/r", "1", "sha256:1", 1)).await.unwrap();
    elder.step_aside(directory.path()).unwrap();
    let heir = open(directory.path());
    elder.keep(push("p/r", "2", "sha256:2", 2)).await.unwrap();
    heir.keep(push("p/r", "3", "sha256:3", 3)).await.unwrap();
    assert_eq!((all(&elder).len(), all(&heir).len()), (2, 2));
    // The file beside is of this very process here: another one would find it by its lock.
    let own = directory
        .path()
        .join(format!("changes.{}.jsonl", std::process::id()));
    let others = directory.path().join("changes.1.jsonl");
    std::fs::copy(&own, &others).unwrap();
    heir.gather(directory.path()).unwrap();
    assert_eq!(all(&heir).len(), 3);
    assert!(!others.exists());
    assert!(own.exists(), "whoever holds it still writes it");
}

#[tokio::test]
async fn a_process_that_lost_its_heir_goes_on_with_everything() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.keep(push("p/r", "1", "sha256:1", 1)).await.unwrap();
    journal.step_aside(directory.path()).unwrap();
    journal.keep(push("p/r", "1", "sha256:9", 2)).await.unwrap();
    journal.open(directory.path()).unwrap();
    journal.keep(push("p/r", "2", "sha256:2", 3)).await.unwrap();
    settled(&journal).await;
    let text = text(directory.path());
    assert!(
        text.contains("sha256:9") && text.contains("sha256:2"),
        "{text}"
    );
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 2, "the journal and its lock");
}
