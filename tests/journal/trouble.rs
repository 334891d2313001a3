//! What does not go as it should.

use super::*;
use crate::support::apart::pair_up;
use crate::support::harbor::Switch;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_nodes_brought_themselves_is_not_run_again() {
    let apart = two(
        Dialect::Harbor2,
        &format!("{ACCOUNT}[journal]\ngrace = \"10s\"\n"),
    )
    .await;
    pair_up(&[&apart.nodes[0], &apart.nodes[1]]).await;
    let door = apart.door.as_ref().unwrap();
    push(&pusher(door), "library/app", "1", "one")
        .await
        .unwrap();
    eventually("both have it", SOON, || {
        apart
            .nodes
            .iter()
            .all(|node| node.has("library/app", "1").is_some())
    });
    reconciled(door);
    for node in &apart.nodes {
        assert_eq!(run_by_hand(node), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_on_both_sides_is_left_to_a_person() {
    let mut apart = two(Dialect::Harbor2, &format!("{ACCOUNT}{QUICK}")).await;
    apart.door.as_mut().unwrap().crash();
    let one = apart.nodes[0].push("library/app", "1", "one").await;
    let two = apart.nodes[1].push("library/app", "1", "two").await;
    apart.door.as_mut().unwrap().start_again();
    let door = apart.door.as_ref().unwrap();
    eventually("it is shown", SOON, || {
        journal(door)
            .iter()
            .any(|entry| entry["state"] == "conflict")
    });
    let entry = journal(door).remove(0);
    let why = entry["why"].as_str().unwrap();
    assert!(why.contains(&one) && why.contains(&two), "{why}");
    assert_eq!(door.ask("POST", "/api/v1/journal").0, 200);
    // A push that comes later has its turn, and the conflict has none.
    push(&pusher(door), "library/other", "1", "other")
        .await
        .unwrap();
    eventually("the other one is brought", SOON, || {
        journal(door).len() == 1
    });
    for (node, digest) in apart.nodes.iter().zip([&one, &two]) {
        assert_eq!(node.has("library/app", "1").as_ref(), Some(digest));
    }
    let metrics = door.ask("GET", "/metrics").1;
    assert!(
        metrics.contains("seawall_journal_entries{state=\"conflict\"} 1"),
        "{metrics}"
    );
    let path = format!("/api/v1/journal?id={}", entry["id"].as_str().unwrap());
    assert_eq!(door.ask("DELETE", &path).0, 200);
    assert!(journal(door).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replication_that_fails_is_tried_again_and_says_why() {
    let apart = two(Dialect::Harbor2, &format!("{ACCOUNT}{QUICK}")).await;
    let door = apart.door.as_ref().unwrap();
    let client = pusher(door);
    push(&client, "library/app", "1", "one").await.unwrap();
    let writer = home(&apart, "library/app", "1");
    reconciled(door);
    let peer = &apart.nodes[1 - writer];
    peer.switch(Switch::ReadOnly, true).await;
    push(&client, "library/app", "2", "two").await.unwrap();
    eventually("it says why", SOON, || {
        journal(door)
            .iter()
            .any(|entry| entry["attempts"].as_u64() >= Some(1))
    });
    let entry = journal(door).remove(0);
    assert!(!entry["why"].as_str().unwrap().is_empty(), "{entry}");
    swept(&apart.nodes[writer]).await;
    peer.switch(Switch::ReadOnly, false).await;
    assert_eq!(door.ask("POST", "/api/v1/journal").0, 200);
    reconciled(door);
    assert!(peer.has("library/app", "2").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crashed_door_left_at_a_node_is_cleared_away() {
    let apart = two(Dialect::Harbor2, &format!("{ACCOUNT}{QUICK}")).await;
    let door = apart.door.as_ref().unwrap();
    push(&pusher(door), "library/app", "1", "one")
        .await
        .unwrap();
    let writer = home(&apart, "library/app", "1");
    reconciled(door);
    let node = &apart.nodes[writer];
    swept(node).await;
    let peer = format!("harbor-{}", 2 - writer);
    let name = format!(
        "seawall-reconcile-{}-",
        seawall::placement::journal::entry::id(&peer, "")
    );
    let registry = serde_json::json!({"name": format!("{name}peer"), "type": "harbor", "url": apart.nodes[1 - writer].url()});
    let registry = node.make("/api/v2.0/registries", registry).await;
    let policy = serde_json::json!({"name": format!("{name}0"), "dest_registry": {"id": registry}, "enabled": true,
        "trigger": {"type": "manual"}, "filters": []});
    node.make("/api/v2.0/replication/policies", policy).await;
    push(&pusher(door), "library/app", "2", "two")
        .await
        .unwrap();
    reconciled(door);
    swept(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_never_had_a_repository_is_not_fed_with_it() {
    let apart = Apart::start(
        Dialect::Harbor2,
        2,
        |options| options.redis = None,
        |plan| {
            plan.more += &format!("{ACCOUNT}{QUICK}");
            plan.cluster = "topology = \"primary-replica\"\n".to_owned();
            plan.keys = vec![
                "role = \"primary\"".to_owned(),
                "role = \"replica\"".to_owned(),
            ];
        },
    )
    .await;
    let door = apart.door.as_ref().unwrap();
    let (primary, replica) = (&apart.nodes[0], &apart.nodes[1]);
    let digest = primary.push("library/fed", "1", "one").await;
    replica.push("library/fed", "1", "one").await;
    let client = pusher(door);
    let newer = push(&client, "library/fed", "2", "two").await.unwrap();
    push(&client, "library/strange", "1", "three")
        .await
        .unwrap();
    reconciled(door);
    assert_eq!(replica.has("library/fed", "1"), Some(digest));
    assert_eq!(replica.has("library/fed", "2"), Some(newer));
    assert_eq!(replica.has("library/strange", "1"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_refused_is_left_alone_and_a_person_is_told_what_to_run() {
    let wrong = ACCOUNT.replace("admin", "nobody");
    let mut apart = two(Dialect::Harbor2, &format!("{wrong}{QUICK}")).await;
    let client = pusher(apart.door.as_ref().unwrap());
    push(&client, "library/app", "1", "one").await.unwrap();
    let peer = 1 - home(&apart, "library/app", "1");
    away(&apart, peer).await;
    push(&client, "library/app", "2", "two").await.unwrap();
    apart.nodes[peer].revive().await;
    let door = apart.door.as_ref().unwrap();
    eventually("a person is told", SOON, || {
        journal(door).iter().any(|entry| {
            entry["state"] == "stuck" && entry["why"].as_str().unwrap().contains("policy")
        })
    });
    for node in &apart.nodes {
        let entries = node.log().entries();
        let ours = entries.iter().filter(|one| {
            one.header("user-agent")
                .is_some_and(|agent| agent.starts_with("seawall/"))
        });
        let refused = ours.filter(|one| one.status == Some(401)).count();
        assert_eq!(refused, 0, "the probes alone find out");
    }
}
