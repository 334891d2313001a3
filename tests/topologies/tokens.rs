//! Nodes whose tokens are good at their own node alone.

use super::{Two, puller, pulls, push, pusher};
use crate::support::apart::Apart;
use crate::support::harbor::Dialect;

async fn strangers(dialect: Dialect) -> Two {
    let apart = Apart::nodes(dialect, 2, |node| node.key = None).await;
    Two::of(apart, "replicated", |_| String::new())
}

async fn push_and_pull(two: &Two) {
    for (round, door) in (0..6).zip(two.doors().into_iter().cycle()) {
        let repository = format!("library/keys-{round}");
        let digest = push(&pusher(door), &repository, "1", &repository)
            .await
            .unwrap();
        for client in [puller(two.a()), puller(&two.b)] {
            assert_eq!(pulls(&client, &repository, "1").await.as_ref(), Ok(&digest));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_pulls_work_although_the_token_keys_differ() {
    push_and_pull(&strangers(Dialect::Harbor2).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_with_registries_that_verify_tokens_themselves() {
    push_and_pull(&strangers(Dialect::Harbor1).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_two_repositories_comes_from_the_one_pushed_to() {
    let two = strangers(Dialect::Harbor2).await;
    push(&pusher(two.a()), "library/base", "1", "base")
        .await
        .unwrap();
    let client = pusher(two.a());
    let basic = client.basic();
    let lines = [("authorization", basic.as_str())];
    let query = "service=harbor-registry&scope=repository:private/base:pull&scope=repository:library/app:pull,push";
    let url = format!("{}/service/token?{query}", two.a().url());
    let answer = client
        .dialer
        .send(http::Method::GET, &url, &lines, "")
        .await
        .unwrap();
    let given: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let mut bearing = pusher(two.a());
    bearing.given = Some(format!("Bearer {}", given["token"].as_str().unwrap()));
    push(&bearing, "library/app", "1", "app").await.unwrap();
}
