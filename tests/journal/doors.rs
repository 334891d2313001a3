//! Several doors that share a store.

use super::*;
use crate::support::redis::RedisServer;

struct Pair {
    apart: Apart,
    b: Door,
    store: RedisServer,
}

async fn pair() -> Pair {
    let store = RedisServer::start();
    let mut apart = Apart::nodes(Dialect::Harbor2, 2, |options| options.redis = None).await;
    let plan = |door: &str| {
        let mut plan = apart.plan();
        plan.more += &format!(
            "{ACCOUNT}{QUICK}[sessions]\nstore = \"redis://{}/8\"\ndoor = \"{door}\"\nbudget = \"250ms\"\n",
            store.address
        );
        plan
    };
    let (a, b) = (plan("door-a"), plan("door-b"));
    let a = Door::start_at(&a, apart.public);
    let b = Door::start(&b);
    for door in [&a, &b] {
        door.settled();
        eventually("the store is there", SOON, || {
            door.said("the session store is there")
        });
    }
    apart.door = Some(a);
    Pair { apart, b, store }
}

/// Pushes through the first door while a peer is away; the place of the peer.
async fn outage(pair: &Pair) -> usize {
    let client = pusher(pair.apart.door.as_ref().unwrap());
    push(&client, "library/app", "1", "one").await.unwrap();
    let peer = 1 - home(&pair.apart, "library/app", "1");
    reconciled(pair.apart.door.as_ref().unwrap());
    away(&pair.apart, peer).await;
    for tag in ["2", "3", "4"] {
        push(&client, "library/app", tag, tag).await.unwrap();
    }
    peer
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_knows_what_a_peer_lacks_and_one_of_them_brings_it() {
    let mut pair = pair().await;
    let peer = outage(&pair).await;
    eventually("the other door hears of it", SOON, || {
        ["2", "3", "4"].iter().all(|tag| {
            journal(&pair.b)
                .iter()
                .any(|entry| entry["reference"] == *tag && entry["door"] == "door-a")
        })
    });
    let before = run_by_hand(&pair.apart.nodes[1 - peer]);
    pair.apart.nodes[peer].revive().await;
    for door in [pair.apart.door.as_ref().unwrap(), &pair.b] {
        reconciled(door);
    }
    for tag in ["2", "3", "4"] {
        assert!(pair.apart.nodes[peer].has("library/app", tag).is_some());
    }
    assert_eq!(
        run_by_hand(&pair.apart.nodes[1 - peer]),
        before + 1,
        "one run for one repository"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_brings_what_another_one_that_died_had_kept() {
    let mut pair = pair().await;
    let peer = outage(&pair).await;
    eventually("the other door hears of it", SOON, || {
        journal(&pair.b).len() >= 3
    });
    pair.apart.door.as_mut().unwrap().crash();
    pair.apart.nodes[peer].revive().await;
    reconciled(&pair.b);
    for tag in ["2", "3", "4"] {
        assert!(pair.apart.nodes[peer].has("library/app", tag).is_some());
    }
    // What the dead one has on disk is over, too.
    pair.apart.door.as_mut().unwrap().start_again();
    reconciled(pair.apart.door.as_ref().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgot_gets_everything_again() {
    let pair = pair().await;
    let _peer = outage(&pair).await;
    eventually("the other door hears of it", SOON, || {
        journal(&pair.b).len() >= 3
    });
    let keys = || {
        let output = pair
            .store
            .cli()
            .args(["-n", "8", "keys", "seawall:journal:*"])
            .output();
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .lines()
            .count()
    };
    let flushed = pair
        .store
        .cli()
        .args(["-n", "8", "flushdb"])
        .output()
        .unwrap();
    assert!(flushed.status.success());
    eventually("it is all there again", SOON, || keys() >= 3);
}
