//! What a reload keeps, and what it changes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::Duration;

use super::support::client;
use super::support::clients::raw::{Entrance, Protocol, Raw, soon};
use super::support::cluster::Cluster;
use super::support::door::{Door, Plan, eventually};
use super::support::harbor::{Dialect, HarborNode};
use super::support::origin::{Origin, Then, before};
use super::support::ports;

const KEPT: &str = "/v2/library/kept/manifests/latest";

fn reload(door: &Door, plan: &Plan) {
    door.rewrite(plan);
    let (status, told) = door.ask("POST", "/api/v1/reload");
    assert_eq!(status, 200, "{told}");
}

fn plan(cluster: &Cluster) -> Plan {
    Plan::fronting(cluster.nodes.iter().map(HarborNode::url))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_comes_and_goes_and_its_connections_stay() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let second = ports::free();
    let mut more = plan(&cluster);
    more.more.push_str(&format!(
        "[[listen]]\naddress = \"{second}\"\n[[listen.certificate]]\nchain = \"door.pem\"\nkey = \"door-key.pem\"\n"
    ));
    assert!(TcpStream::connect(second).is_err());
    reload(&cluster.door, &more);
    let entrance = Entrance::at(second, &cluster.door);
    let connected = soon("a connection", Raw::at(&entrance, Protocol::Http1));
    let mut client = connected.await.expect("the new listener");
    client.push("library/app", vec![1; 1000].into()).await;
    reload(&cluster.door, &plan(&cluster));
    eventually("nobody listens there", Duration::from_secs(10), || {
        TcpStream::connect(second).is_err()
    });
    client.push("library/app", vec![2; 1000].into()).await;
    let mut first = Raw::connect(&cluster.door, Protocol::Http2).await;
    first.push("library/app", vec![3; 1000].into()).await;
}

/// A metric's line without its value, and the value.
fn counted(door: &Door, start: &str) -> f64 {
    let (_, text) = door.ask("GET", "/metrics");
    let lines = text.lines().filter(|line| line.starts_with(start));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_counters_health_and_the_connections_of_clients() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    let door = &cluster.door;
    let mut client = Raw::connect(door, Protocol::Http2).await;
    client.push("library/app", vec![1; 1000].into()).await;
    let requests = "seawall_requests_total{class=\"upload_finish\"";
    let before = (counted(door, requests), door.node("harbor-1"));
    let mut other = plan(&cluster);
    other.cluster = "balance = \"round-robin\"".to_owned();
    other.keys = vec!["weight = 5".to_owned()];
    reload(door, &other);
    let after = door.node("harbor-1");
    assert!(counted(door, requests) >= before.0);
    assert_eq!(after["state"], "up");
    assert_eq!(after["weight"], 5);
    for (name, component) in before.1["components"].as_object().unwrap() {
        assert_eq!(&after["components"][name], component, "{name}");
    }
    client.push("library/app", vec![2; 1000].into()).await;
    assert!(!client.ended.is_finished());
    assert!(counted(door, requests) >= before.0 + 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_the_connections_to_nodes() {
    let origin = Origin::start(|talk| {
        talk.hear_all();
        talk.answer("200 OK", "", "well");
        Then::Next
    });
    let door = before(&origin);
    let mut client = client::Raw::to(&door).await;
    let connections = || -> BTreeSet<usize> {
        let heard = origin.heard();
        let ours = heard.iter().filter(|heard| heard.target() == KEPT);
        ours.map(|heard| heard.connection).collect()
    };
    for turn in 0..6 {
        let answer = client
            .ask(format!("GET {KEPT} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        assert_eq!(answer.status, 200);
        if turn % 2 == 1 {
            let (status, told) = door.ask("POST", "/api/v1/reload");
            assert_eq!(status, 200, "{told}");
        }
    }
    assert_eq!(connections().len(), 1, "{:?}", connections());
}
