//! A peer goes away, and comes back.

use super::*;
use crate::support::apart::pair_up;
use crate::support::redis::RedisServer;

/// What happens in every outage: one image is there before, others are pushed and that one is deleted while a peer is away.
struct Outage {
    apart: Apart,
    peer: usize,
    pushed: Vec<(String, String, String)>,
}

impl Outage {
    async fn begin(apart: Apart) -> Self {
        let door = apart.door.as_ref().unwrap();
        let client = pusher(door);
        let old = push(&client, "library/old", "1", "old").await.unwrap();
        let peer = 1 - home(&apart, "library/old", "1");
        let has = |repository: &str, tag: &str| apart.nodes[peer].has(repository, tag);
        eventually("the peer gets it", SOON, || {
            has("library/old", "1").is_some()
        });
        reconciled(door);
        away(&apart, peer).await;
        let mut pushed = Vec::new();
        for (repository, tag) in [
            ("library/new", "1"),
            ("library/new", "latest"),
            ("library/deep/er", "2.0"),
        ] {
            let digest = push(&client, repository, tag, tag).await.unwrap();
            pushed.push((repository.to_owned(), tag.to_owned(), digest));
        }
        assert_eq!(client.delete("library/old", &old).await, Ok(202));
        let missing = journal(door).len();
        assert!(missing >= 4, "{:#?}", journal(door));
        Outage {
            apart,
            peer,
            pushed,
        }
    }

    fn door(&self) -> &Door {
        self.apart.door.as_ref().unwrap()
    }

    async fn end(&mut self) {
        self.apart.nodes[self.peer].revive().await;
        reconciled(self.door());
        let (peer, writer) = (
            &self.apart.nodes[self.peer],
            &self.apart.nodes[1 - self.peer],
        );
        for (repository, tag, digest) in &self.pushed {
            assert_eq!(peer.has(repository, tag).as_ref(), Some(digest));
        }
        assert_eq!(peer.has("library/old", "1"), None);
        assert_eq!(writer.has("library/old", "1"), None);
        assert!(run_by_hand(writer) > 0);
        for node in [peer, writer] {
            swept(node).await;
        }
    }
}

async fn paired(dialect: Dialect, more: &str) -> Apart {
    let apart = two(dialect, more).await;
    pair_up(&[&apart.nodes[0], &apart.nodes[1]]).await;
    apart
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_meanwhile_reaches_the_peer_without_a_person() {
    for dialect in [Dialect::Harbor2, Dialect::Harbor1, Dialect::Harbor15] {
        let apart = paired(dialect, &format!("{ACCOUNT}{QUICK}")).await;
        let mut outage = Outage::begin(apart).await;
        outage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_crashed_in_between_still_knows_what_the_peer_lacks() {
    let apart = paired(Dialect::Harbor2, &format!("{ACCOUNT}{QUICK}")).await;
    let mut outage = Outage::begin(apart).await;
    let before = journal(outage.door()).len();
    let door = outage.apart.door.as_mut().unwrap();
    door.crash();
    door.start_again();
    assert_eq!(journal(door).len(), before);
    outage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_takes_over_has_the_journal_and_what_the_one_before_still_did() {
    let apart = paired(Dialect::Harbor2, &format!("{ACCOUNT}{QUICK}")).await;
    let mut outage = Outage::begin(apart).await;
    let before = journal(outage.door()).len();
    let mut elder = outage.apart.door.as_mut().unwrap().take_over();
    assert!(elder.wait(SOON).success());
    let door = outage.door();
    eventually("everything is there", SOON, || {
        journal(door).len() == before
    });
    let client = pusher(door);
    let digest = push(&client, "library/later", "1", "later").await.unwrap();
    outage
        .pushed
        .push(("library/later".to_owned(), "1".to_owned(), digest));
    outage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_needs_the_store() {
    let mut store = RedisServer::start();
    let sessions = format!("[sessions]\nstore = \"redis://{}/8\"\n", store.address);
    let apart = paired(Dialect::Harbor2, &format!("{ACCOUNT}{QUICK}{sessions}")).await;
    store.kill();
    let mut outage = Outage::begin(apart).await;
    outage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_know_nothing_of_each_other_are_introduced_for_the_time() {
    for dialect in [Dialect::Harbor2, Dialect::Harbor1, Dialect::Harbor15] {
        let apart = two(dialect, &format!("{ACCOUNT}{QUICK}")).await;
        let mut outage = Outage::begin(apart).await;
        outage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_got_it_in_time_is_trusted_though_the_writer_died() {
    let patient = "[journal]\ngrace = \"15s\"\n";
    let apart = paired(Dialect::Harbor2, &format!("{ACCOUNT}{patient}")).await;
    let door = apart.door.as_ref().unwrap();
    let client = pusher(door);
    push(&client, "library/app", "1", "one").await.unwrap();
    eventually("both have it", SOON, || {
        apart
            .nodes
            .iter()
            .all(|node| node.has("library/app", "1").is_some())
    });
    let entry = journal(door).remove(0);
    let writer = if entry["node"] == "harbor-1" { 0 } else { 1 };
    away(&apart, writer).await;
    reconciled(door);
    let found = client.digest("library/app", "1").await;
    assert_eq!(found, Ok(apart.nodes[1 - writer].has("library/app", "1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_journal_saw_is_found_when_the_door_starts() {
    let mut apart = two(Dialect::Harbor2, &format!("{ACCOUNT}{QUICK}")).await;
    apart.door.as_mut().unwrap().crash();
    let (a, b) = (&apart.nodes[0], &apart.nodes[1]);
    let one = a.push("library/unseen", "1", "one").await;
    let two = b.push("library/unseen", "2", "two").await;
    let same = a.push("library/same", "1", "same").await;
    b.push("library/same", "1", "same").await;
    apart.door.as_mut().unwrap().start_again();
    let (a, b) = (&apart.nodes[0], &apart.nodes[1]);
    eventually("both have both", SOON, || {
        b.has("library/unseen", "1") == Some(one.clone())
            && a.has("library/unseen", "2") == Some(two.clone())
    });
    assert_eq!(a.has("library/same", "1"), Some(same));
    reconciled(apart.door.as_ref().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_an_image_for_many_platforms_come_with_its_tag() {
    let mut apart = paired(Dialect::Harbor2, &format!("{ACCOUNT}{QUICK}")).await;
    let client = pusher(apart.door.as_ref().unwrap());
    let repository = "library/multi";
    push(&client, repository, "first", "first").await.unwrap();
    let peer = 1 - home(&apart, repository, "first");
    reconciled(apart.door.as_ref().unwrap());
    away(&apart, peer).await;
    // A part that only its digest names, as builders push them.
    let part = push(&client, repository, "part", "part").await.unwrap();
    let (content, kind) = client.manifest(repository, &part).await.unwrap();
    let (size, platform) = (
        content.len(),
        serde_json::json!({"architecture": "arm64", "os": "linux"}),
    );
    assert_eq!(client.delete(repository, &part).await, Ok(202));
    client
        .push_manifest(repository, &part, &kind, content)
        .await
        .unwrap();
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": list, "manifests": [
        {"mediaType": kind, "digest": part, "size": size, "platform": platform}]});
    client
        .push_manifest(repository, "all", list, index.to_string().into())
        .await
        .unwrap();
    let missing = journal(apart.door.as_ref().unwrap());
    assert!(
        missing
            .iter()
            .any(|entry| entry["reference"] == part.as_str()),
        "{missing:#?}"
    );
    apart.nodes[peer].revive().await;
    let door = apart.door.as_ref().unwrap();
    reconciled(door);
    assert_eq!(apart.nodes[peer].has(repository, &part), Some(part));
    assert!(!door.said("the journal cannot go on alone"));
}
