//! What sticks to a node: uploads, sessions of the pages, and the operator's word, with two doors and a real Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod cost;
mod failover;
mod lag;
mod operator;
mod pages;
mod store;
mod uploads;
mod written;

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::cluster::Cluster;
use super::support::door::{Door, Plan, eventually};
use super::support::harbor::Dialect;
use super::support::redis::RedisServer;

/// Nothing here takes longer.
const SOON: Duration = Duration::from_secs(10);

/// The tables of a door that keeps sessions in `store`.
fn sessions(store: &str, door: &str) -> String {
    // A loaded test machine may take longer than the default to run both sides of a call.
    format!("[sessions]\nstore = \"{store}\"\ndoor = \"{door}\"\nbudget = \"250ms\"\n")
}

/// The address of a database of its own in a server.
fn database_8(redis: &RedisServer) -> String {
    format!("redis://{}/8", redis.address)
}

/// Two doors in front of the same nodes, with one store.
struct Pair {
    cluster: Cluster,
    b: Door,
    store: RedisServer,
}

impl Pair {
    async fn start() -> Self {
        let store = RedisServer::start();
        let at = database_8(&store);
        let door = |plan: &mut Plan| plan.more += &sessions(&at, "door-a");
        let cluster = Cluster::start_with(Dialect::Harbor2, 2, |_| {}, door).await;
        let b = other(&cluster, &sessions(&at, "door-b"));
        let pair = Pair { cluster, b, store };
        for door in [pair.a(), &pair.b] {
            store_is(door, true);
        }
        pair
    }

    fn a(&self) -> &Door {
        &self.cluster.door
    }

    /// Ends both doors and opens another one, with nothing but the store to go by. The rest has to be kept alive.
    fn reopened(self) -> (Door, impl Sized) {
        let Pair {
            mut cluster,
            mut b,
            store,
        } = self;
        for door in [&mut cluster.door, &mut b] {
            door.signal(Signal::SIGTERM);
            assert!(door.wait(SOON).success());
        }
        let c = other(&cluster, &sessions(&database_8(&store), "door-c"));
        store_is(&c, true);
        (c, (cluster, store))
    }
}

/// Another door in front of the same nodes.
fn other(cluster: &Cluster, more: &str) -> Door {
    let mut plan = Plan::fronting(cluster.nodes.iter().map(|node| node.url()));
    plan.more += more;
    let door = Door::start(&plan);
    door.settled();
    door
}

fn status(door: &Door) -> Value {
    serde_json::from_str(&door.ask("GET", "/api/v1/status").1).expect("JSON")
}

/// Waits until requests of `door` ask the store, or no longer.
fn store_is(door: &Door, up: bool) {
    let what = if up {
        "the store is there"
    } else {
        "the store is away"
    };
    eventually(what, SOON, || status(door)["sessions"]["store"]["up"] == up);
}

/// What `GET /api/v1/sessions` lists of a kind.
fn listed(door: &Door, kind: &str) -> Vec<Value> {
    let answer: Value = serde_json::from_str(&door.ask("GET", "/api/v1/sessions").1).expect("JSON");
    let all = answer["sessions"].as_array().expect("a list").clone();
    all.into_iter().filter(|one| one["kind"] == kind).collect()
}

/// What is listed of a kind once there are `count` of them. On a busy machine a write may outlast the budget that its
/// answer waited for; it comes all the same.
fn listed_once(door: &Door, kind: &str, count: usize) -> Vec<Value> {
    let what = format!("{count} of {kind} listed");
    eventually(&what, SOON, || listed(door, kind).len() == count);
    listed(door, kind)
}

/// The nodes that answered `count` requests of `class` through `door`, in their order. Lines of the log come in batches.
fn nodes_of(door: &Door, class: &str, count: usize) -> Vec<String> {
    let of_class = || -> Vec<String> {
        let lines = door.access();
        let of_class = lines.iter().filter(|line| line["class"] == class);
        of_class
            .map(|line| line["node"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    eventually("the lines of the log", SOON, || of_class().len() >= count);
    let nodes = of_class();
    assert_eq!(nodes.len(), count, "{class}: {nodes:?}");
    nodes
}
