//! The same part of every node, and every node at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client::{get, request, until};
use crate::support::cluster::Cluster;
use crate::support::door::eventually;
use crate::support::harbor::{Component, Dialect, Mode};

const SOON: Duration = Duration::from_secs(8);

async fn all_bad(part: Component, mode: Mode) -> Cluster {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    for node in &cluster.nodes {
        node.set(part, mode).await;
    }
    eventually("the door knows of both", SOON, || {
        ["harbor-1", "harbor-2"]
            .iter()
            .all(|name| cluster.door.node(name)["components"][part.name()]["status"] == "unhealthy")
    });
    cluster
}

/// A request goes to some node rather than being refused for what all nodes may be wrong about.
async fn still_sent(cluster: &Cluster, target: &str) {
    let answer = get(&cluster.door, target).await;
    let reached = cluster.nodes.iter().any(|node| {
        node.log()
            .entries()
            .iter()
            .any(|entry| entry.target == target)
    });
    assert!(reached, "{target}: {}", answer.head);
}

async fn degraded(cluster: &Cluster) {
    let (status, body) = cluster.door.ask("GET", "/readyz");
    let word: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &word["status"]),
        (200, &Value::from("degraded")),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_that_are_all_dead_are_asked_all_the_same() {
    let cluster = all_bad(Component::Registry, Mode::Down).await;
    degraded(&cluster).await;
    still_sent(&cluster, "/v2/library/app/manifests/all").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_dead_for_all_is_no_reason_to_refuse() {
    let cluster = all_bad(Component::Database, Mode::Down).await;
    degraded(&cluster).await;
    still_sent(&cluster, "/v2/library/app/manifests/all").await;
    still_sent(&cluster, "/api/v2.0/systeminfo?seen=1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_dead_for_all_is_no_reason_to_refuse_a_push() {
    let cluster = all_bad(Component::Redis, Mode::Down).await;
    let target = "/v2/library/all/blobs/uploads/";
    let answer = request(&cluster.door, "POST", target, "").await;
    assert_eq!(answer.status, 401, "{}", answer.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_node_everybody_is_told_quickly_in_their_own_words() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    for node in &cluster.nodes {
        node.stop().await;
    }
    for seen in [false, true] {
        if seen {
            eventually("the door knows", SOON, || {
                cluster.door.ask("GET", "/readyz").0 == 503
            });
        }
        for (target, words) in [
            (
                "/v2/library/app/manifests/1",
                "{\"errors\":[{\"code\":\"UNAVAILABLE\"",
            ),
            (
                "/api/v2.0/projects",
                "{\"errors\":[{\"code\":\"UNAVAILABLE\"",
            ),
            ("/harbor/projects", "<!doctype html>"),
        ] {
            let begun = Instant::now();
            let answer = get(&cluster.door, target).await;
            assert!(begun.elapsed() < Duration::from_secs(1), "{target}");
            assert_eq!(answer.status, 503, "{target}");
            assert!(answer.header("retry-after").is_some(), "{target}");
            let kind = if words.starts_with('<') {
                "text/html"
            } else {
                "application/json"
            };
            assert!(
                answer.header("content-type").unwrap().starts_with(kind),
                "{target}"
            );
            let text = answer.text().to_lowercase();
            assert!(text.starts_with(&words.to_lowercase()), "{target}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_probe_is_enough_to_be_back_when_nobody_else_is_there() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 2).await;
    for node in &cluster.nodes {
        node.stop().await;
    }
    eventually("nobody is there", SOON, || {
        cluster.door.ask("GET", "/readyz").0 == 503
    });
    cluster.nodes[1].revive().await;
    let door = &cluster.door;
    until("the service is back", Duration::from_secs(2), async || {
        get(door, "/v2/").await.status == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_costs_pulls_nothing() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    cluster.nodes[0].stop().await;
    for _ in 0..30 {
        let answer = get(&cluster.door, "/v2/").await;
        assert_eq!(answer.status, 401, "{}", answer.head);
    }
}
