//! The probe account: useful when it is right, harmless when it is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::Duration;

use crate::support::cluster::Cluster;
use crate::support::door::{Door, Plan, eventually};
use crate::support::harbor::{Component, Dialect, HarborNode, Mode};

const SOON: Duration = Duration::from_secs(10);

fn account(password: &str) -> String {
    format!("[cluster.account]\nuser = \"robot$seawall\"\npassword = \"{password}\"\n")
}

fn tries(node: &HarborNode) -> usize {
    let entries = node.log().entries();
    entries
        .iter()
        .filter(|entry| entry.header("authorization").is_some())
        .count()
}

fn rounds(node: &HarborNode) -> usize {
    let entries = node.log().entries();
    entries
        .iter()
        .filter(|entry| entry.target == "/api/v2.0/health")
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_used_once_and_harms_nobody() {
    let cluster = Cluster::start_with(
        Dialect::Harbor2,
        2,
        |_| {},
        |plan| plan.more.push_str(&account("wrong")),
    )
    .await;
    eventually("ten rounds of probes", SOON, || {
        cluster.nodes.iter().all(|node| rounds(node) >= 10)
    });
    for node in &cluster.nodes {
        assert!(tries(node) <= 1, "{} tries", tries(node));
    }
    for name in ["harbor-1", "harbor-2"] {
        assert_eq!(cluster.door.node(name)["state"], "up");
    }
    assert!(cluster.door.said("the probe account was refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_a_dead_database_refuses_is_not_given_up() {
    let cluster = Cluster::start_with(
        Dialect::Harbor2,
        2,
        |_| {},
        |plan| plan.more.push_str(&account("Robot12345")),
    )
    .await;
    cluster.nodes[0].set(Component::Database, Mode::Down).await;
    eventually("the door knows", SOON, || {
        cluster.door.node("harbor-1")["components"]["database"]["status"] == "unhealthy"
    });
    cluster.nodes[0].set(Component::Database, Mode::Ok).await;
    let before = tries(&cluster.nodes[0]);
    eventually("it is used again", SOON, || {
        tries(&cluster.nodes[0]) > before + 3
    });
    assert!(!cluster.door.said("the probe account was refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_first_tried_on_a_dead_database_is_not_given_up() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let node = &cluster.nodes[0];
    node.set(Component::Database, Mode::Down).await;
    let mut plan = Plan::fronting([node.url()]);
    plan.more.push_str(&account("Robot12345"));
    let door = Door::start(&plan);
    eventually("it was tried", SOON, || tries(node) > 2);
    node.set(Component::Database, Mode::Ok).await;
    door.settled();
    let before = tries(node);
    eventually("it is used still", SOON, || tries(node) > before + 3);
    assert!(!door.said("the probe account was refused"));
}
