//! The journal: what was written while a peer was away reaches it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod doors;
mod outage;
mod person;
mod trouble;

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::support::apart::Apart;
use super::support::client::until;
use super::support::door::{Door, Plan, eventually};
use super::support::harbor::{ACCOUNTS, DOCKER, Dialect, Dialer, HarborNode, RegistryClient, push};

/// Nothing here takes longer.
const SOON: Duration = Duration::from_secs(40);

/// The account that brings things to peers, and little patience with their own replication.
const ACCOUNT: &str = "[cluster.account]\nuser = \"admin\"\npassword = \"Harbor12345\"\n";
const QUICK: &str = "[journal]\ngrace = \"300ms\"\n";

/// A client of `door` that may push.
fn pusher(door: &Door) -> RegistryClient {
    let dialer = Dialer {
        from: IpAddr::from([127, 0, 0, 1]),
        agent: DOCKER.to_owned(),
    };
    let (user, password, _) = ACCOUNTS[0];
    RegistryClient::new(dialer, &door.url(), user, password)
}

/// Two nodes with data of their own behind a door that has an account.
async fn two(dialect: Dialect, more: &str) -> Apart {
    let (user, password, _) = ACCOUNTS[0];
    assert!(ACCOUNT.contains(user) && ACCOUNT.contains(password));
    Apart::start(
        dialect,
        2,
        |options| options.redis = None,
        |plan: &mut Plan| plan.more += more,
    )
    .await
}

/// What the door's journal has.
fn journal(door: &Door) -> Vec<Value> {
    let (status, body) = door.ask("GET", "/api/v1/journal");
    assert_eq!(status, 200, "{body}");
    let document: Value = serde_json::from_str(&body).unwrap();
    document["entries"].as_array().unwrap().clone()
}

/// Waits until nothing is missing anywhere.
fn reconciled(door: &Door) {
    eventually("nothing is missing", SOON, || journal(door).is_empty());
}

/// Which of two nodes has an image: the place of the writer of its project.
fn home(apart: &Apart, repository: &str, tag: &str) -> usize {
    let has = |place: &usize| apart.nodes[*place].has(repository, tag).is_some();
    (0..2).find(has).expect("somebody has it")
}

fn state(door: &Door, place: usize) -> String {
    let name = format!("harbor-{}", place + 1);
    door.node(&name)["state"].as_str().unwrap().to_owned()
}

/// Takes a node away, and waits until the door has noticed.
async fn away(apart: &Apart, place: usize) {
    apart.nodes[place].stop().await;
    let door = apart.door.as_ref().unwrap();
    eventually("it is noticed", SOON, || state(door, place) == "down");
}

fn root(node: &HarborNode) -> &'static str {
    match node.options().dialect {
        Dialect::Harbor2 => "/api/v2.0",
        _ => "/api",
    }
}

/// Policies and registries of a node that the journal made.
async fn left_behind(node: &HarborNode) -> Vec<String> {
    let mut names = Vec::new();
    let lists = match node.options().dialect {
        Dialect::Harbor15 => ["policies/replication", "targets"],
        _ => ["replication/policies", "registries"],
    };
    for list in lists {
        let path = format!("{}/{list}?page_size=100", root(node));
        let (_, all) = node.call("GET", &path, None).await;
        let all = all.as_array().into_iter().flatten();
        names.extend(
            all.filter_map(|one| one["name"].as_str())
                .filter(|name| name.starts_with("seawall-reconcile-"))
                .map(str::to_owned),
        );
    }
    names
}

/// Waits until nothing that the journal made is left at a node: it is cleared away after the last entry is over.
async fn swept(node: &HarborNode) {
    until("it is cleared away", SOON, async || {
        left_behind(node).await.is_empty()
    })
    .await;
}

/// How often a node was asked to run a policy.
fn run_by_hand(node: &HarborNode) -> usize {
    let all = node.log().entries();
    let asked = |target: &str| {
        target.ends_with("/replication/executions") || target.ends_with("/replications")
    };
    all.iter()
        .filter(|one| one.method == "POST" && asked(&one.target))
        .count()
}
