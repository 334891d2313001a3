//! One primary that feeds many.

use super::{SOON, Two, nodes_of, puller, pulls, push, pusher};
use crate::support::apart::replicate;
use crate::support::door::eventually;

async fn primary() -> Two {
    Two::start("primary-replica", 3, |number| {
        let role = if number == 1 { "primary" } else { "replica" };
        format!("role = \"{role}\"")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_serve_what_they_have_and_the_primary_the_rest() {
    let two = primary().await;
    for number in 1..=3 {
        two.node(number).push("library/all", "1", "all").await;
    }
    two.node(1).push("library/first", "1", "first").await;
    let client = puller(two.a());
    for _ in 0..6 {
        pulls(&client, "library/all", "1").await.unwrap();
    }
    let nodes = nodes_of(two.a(), "blob_read", 12);
    assert!(!nodes.contains(&"harbor-1".to_owned()), "{nodes:?}");
    pulls(&client, "library/first", "1").await.unwrap();
    let nodes = nodes_of(two.a(), "blob_read", 14);
    assert_eq!(nodes[12..], ["harbor-1", "harbor-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_primary_it_is_read_and_not_written() {
    let two = primary().await;
    two.node(2).push("library/read", "1", "read").await;
    two.node(1).stop().await;
    // Also by somebody who might push.
    for client in [puller(two.a()), pusher(two.a())] {
        for _ in 0..4 {
            pulls(&client, "library/read", "1").await.unwrap();
        }
    }
    let refused = push(&pusher(two.a()), "library/read", "2", "two").await;
    let said = refused.unwrap_err();
    assert!(said.contains("503") || said.contains("502"), "{said}");
    assert!(two.node(2).has("library/read", "2").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_replica_is_written_through_every_door() {
    let two = primary().await;
    replicate(two.node(2), two.node(3)).await;
    two.node(1).stop().await;
    assert_eq!(two.a().ask("POST", "/api/v1/nodes/nobody/promote").0, 409);
    let told = std::process::Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["node", "promote", "harbor-2", "--admin"])
        .arg(format!("http://{}", two.a().admin))
        .output()
        .unwrap();
    assert!(told.status.success(), "{told:?}");
    for door in two.doors() {
        eventually("the word is heard", SOON, || {
            door.node("harbor-2")["data"]["writes"] == true
                && door.node("harbor-1")["data"]["writes"] == false
        });
        let tag = format!("by-{}", door.address.port());
        push(&pusher(door), "library/promoted", &tag, &tag)
            .await
            .unwrap();
        assert!(two.node(2).has("library/promoted", &tag).is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_where_there_is_a_primary_can_one_be_promoted() {
    let two = Two::start("replicated", 2, |_| String::new()).await;
    let (status, said) = two.a().ask("POST", "/api/v1/nodes/harbor-1/promote");
    assert_eq!(status, 409, "{said}");
    assert!(said.contains("primary-replica"), "{said}");
}
