//! A push that is followed at once by pulls: whoever asks, at whichever door, sees it.

use super::{Two, puller, pulls, push, pusher};
use crate::support::apart::{pair_up, replicate};
use crate::support::harbor::HarborNode;

/// Pushes a tag again and again through one door, and pulls it at once through both, by tag and by digest.
async fn follow(two: &Two) {
    let (a, b) = (puller(two.a()), puller(&two.b));
    let repository = "library/followed";
    for (round, door) in (0..4).zip(two.doors().into_iter().cycle()) {
        let digest = push(
            &pusher(door),
            repository,
            "latest",
            &format!("round {round}"),
        )
        .await;
        let digest = digest.unwrap();
        for pull in 0..13 {
            for client in [&a, &b] {
                let reference = if pull % 2 == 0 { "latest" } else { &digest };
                let found = pulls(client, repository, reference).await;
                assert_eq!(found.as_ref(), Ok(&digest), "round {round}, pull {pull}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn masters_that_replicate_show_a_push_at_once() {
    let two = Two::start("replicated", 2, |_| String::new()).await;
    pair_up(&two.apart.nodes.iter().collect::<Vec<_>>()).await;
    follow(&two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn masters_that_do_not_replicate_show_a_push_at_once() {
    let two = Two::start("replicated", 3, |_| String::new()).await;
    follow(&two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_shows_its_push_before_its_replicas_have_it() {
    let two = Two::start("primary-replica", 3, |number| {
        let role = if number == 1 { "primary" } else { "replica" };
        format!("role = \"{role}\"")
    })
    .await;
    let nodes: Vec<&HarborNode> = two.apart.nodes.iter().collect();
    replicate(nodes[0], nodes[1]).await;
    follow(&two).await;
    assert!(two.node(1).has("library/followed", "latest").is_some());
    assert!(two.node(3).has("library/followed", "latest").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_city_shows_what_was_pushed_to_headquarters() {
    let two = Two::start("tiered", 3, |number| format!("tier = {}", number - 1)).await;
    follow(&two).await;
    assert_eq!(two.home("library/followed", "latest"), 3);
}
