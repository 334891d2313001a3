//! What was deleted stays so.

use super::{Two, puller, pulls, push, pusher};
use crate::support::door::eventually;

async fn everywhere(two: &Two, repository: &str, digest: &str) {
    for node in &two.apart.nodes {
        if node.has(repository, "1").is_none() {
            node.push(repository, "1", repository).await;
        }
        assert_eq!(node.has(repository, "1").as_deref(), Some(digest));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_deleted_at_its_writer_is_not_found_at_others() {
    let two = Two::start("replicated", 2, |_| String::new()).await;
    let (kept, gone) = ("library/kept", "library/deleted");
    for repository in [kept, gone] {
        let digest = push(&pusher(two.a()), repository, "1", repository)
            .await
            .unwrap();
        everywhere(&two, repository, &digest).await;
    }
    let digest = two.node(1).has(gone, "1").unwrap();
    assert_eq!(pusher(two.a()).delete(gone, &digest).await, Ok(202));
    for door in two.doors() {
        let client = puller(door);
        for _ in 0..10 {
            // By its tag, too, which nobody named when it was deleted.
            assert_eq!(client.digest(gone, "1").await, Ok(None));
            assert_eq!(client.digest(gone, &digest).await, Ok(None));
            pulls(&client, kept, "1").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_deleted_through_the_api_is_not_found_at_others() {
    let two = Two::start("replicated", 2, |_| String::new()).await;
    let repository = "library/deep/deleted";
    let digest = push(&pusher(two.a()), repository, "1", repository)
        .await
        .unwrap();
    everywhere(&two, repository, &digest).await;
    let client = pusher(two.a());
    let basic = client.basic();
    let url = format!(
        "{}/api/v2.0/projects/library/repositories/deep%252Fdeleted",
        two.a().url()
    );
    let lines = [("authorization", basic.as_str())];
    let answer = client
        .dialer
        .send(http::Method::DELETE, &url, &lines, "")
        .await;
    assert_eq!(answer.unwrap().status, 200);
    for door in two.doors() {
        assert_eq!(puller(door).digest(repository, "1").await, Ok(None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_pushed_again_is_there_again() {
    let two = Two::start("replicated", 2, |_| String::new()).await;
    let repository = "library/again";
    let digest = push(&pusher(two.a()), repository, "1", "again")
        .await
        .unwrap();
    let writer = two.home(repository, "1");
    assert_eq!(pusher(two.a()).delete(repository, &digest).await, Ok(202));
    push(&pusher(two.a()), repository, "1", "again")
        .await
        .unwrap();
    let other = two.node(3 - writer);
    other.push(repository, "1", "again").await;
    two.node(writer).stop().await;
    eventually("the other one is asked", super::SOON, || {
        two.a().node(&format!("harbor-{writer}"))["state"] == "down"
    });
    assert_eq!(
        puller(two.a()).digest(repository, &digest).await,
        Ok(Some(digest.clone()))
    );
}
