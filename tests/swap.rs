//! Certificates and configurations are replaced while transfers run, and the transfers do not notice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use nix::sys::signal::Signal;

use super::support::clients::image::sha256;
use super::support::clients::raw::{self, Piped, Protocol, Raw, finish, soon};
use super::support::cluster::Cluster;
use super::support::door::{Door, HOSTS, Plan, eventually};
use super::support::harbor::{Dialect, HarborNode};

const REFUSED: &str = "seawall_config_reloads_total{result=\"refused\"}";
const DONE: &str = "seawall_config_reloads_total{result=\"done\"}";

/// What is done to the door while a transfer runs.
#[derive(Clone, Copy)]
enum Change {
    Certificate,
    Signal,
    Command,
}

const CHANGES: [Change; 3] = [Change::Certificate, Change::Signal, Change::Command];

/// A metric's value; 0 while it is not there.
fn metric(door: &Door, name: &str) -> f64 {
    let (_, text) = door.ask("GET", "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok())
        .unwrap_or(0.0)
}

fn reload(door: &Door) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["reload", "--admin", &format!("http://{}", door.admin)])
        .output()
        .unwrap()
}

/// A configuration in which every node has another weight, so that something does change.
fn other(cluster: &Cluster) -> Plan {
    let mut plan = Plan::fronting(cluster.nodes.iter().map(HarborNode::url));
    plan.cluster = "balance = \"round-robin\"".to_owned();
    plan
}

/// Makes the change and waits until it is in force.
async fn make(change: Change, cluster: &Cluster) {
    let door = &cluster.door;
    match change {
        Change::Certificate => {
            let before = raw::shown(door).await;
            door.authority.issue(door.directory(), "door", &HOSTS);
            let began = Instant::now();
            while raw::shown(door).await == before {
                assert!(
                    began.elapsed() < Duration::from_secs(3),
                    "the old certificate is still shown"
                );
            }
        }
        Change::Signal => {
            door.rewrite(&other(cluster));
            let before = metric(door, DONE);
            door.signal(Signal::SIGHUP);
            eventually("a reload", Duration::from_secs(5), || {
                metric(door, DONE) > before
            });
        }
        Change::Command => {
            door.rewrite(&other(cluster));
            let told = reload(door);
            assert_eq!(told.status.code(), Some(0), "{told:?}");
        }
    }
}

async fn a_push_does_not_notice(protocol: Protocol) {
    for change in CHANGES {
        let cluster = Cluster::start(Dialect::Harbor2, 2).await;
        let mut client = Raw::connect(&cluster.door, protocol).await;
        let half = Bytes::from(vec![b'x'; 1 << 20]);
        let digest = format!("sha256:{}", sha256(&[half.clone(), half.clone()].concat()));
        let path = finish(&client.begin("library/swap").await, &digest);
        let (pipe, body) = Piped::new(2 << 20);
        let push = tokio::spawn(async move { client.send(Method::PUT, &path, body).await });
        soon("the first half", pipe.send(half.clone()))
            .await
            .unwrap();
        eventually("the node has the first half", raw::PATIENCE, || {
            arrived(&cluster) >= 1 << 20
        });
        make(change, &cluster).await;
        assert!(!push.is_finished());
        soon("the second half", pipe.send(half)).await.unwrap();
        drop(pipe);
        let answer = soon("the end", push).await.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
    }
}

/// Bytes of upload bodies that reached the nodes.
fn arrived(cluster: &Cluster) -> u64 {
    let entries = cluster.nodes.iter().flat_map(|node| node.log().entries());
    let puts = entries.filter(|entry| entry.method == "PUT");
    puts.map(|entry| entry.body).sum()
}

async fn a_pull_does_not_notice(protocol: Protocol) {
    // More than all the buffers on the way together.
    let blob = Bytes::from(vec![b'y'; 48 << 20]);
    for change in CHANGES {
        let cluster = Cluster::start(Dialect::Harbor2, 2).await;
        let mut client = Raw::connect(&cluster.door, protocol).await;
        let digest = client.push("library/swap", blob.clone()).await;
        let path = format!("/v2/library/swap/blobs/{digest}");
        let answer = soon("the head", client.send(Method::GET, &path, Piped::empty())).await;
        let mut body = answer.unwrap().into_body();
        let mut whole = BytesMut::new();
        let first = soon("a frame", body.frame()).await.unwrap().unwrap();
        whole.extend_from_slice(first.data_ref().unwrap());
        make(change, &cluster).await;
        let lines = cluster.door.access();
        let running = lines.iter().all(|line| line["class"] != "blob_read");
        assert!(running, "the pull was over before the change");
        while let Some(frame) = soon("a frame", body.frame()).await {
            whole.extend_from_slice(frame.unwrap().data_ref().unwrap());
        }
        assert_eq!(format!("sha256:{}", sha256(&whole)), digest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_http_1_does_not_notice_a_new_certificate_or_configuration() {
    a_push_does_not_notice(Protocol::Http1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_http_2_does_not_notice_a_new_certificate_or_configuration() {
    a_push_does_not_notice(Protocol::Http2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_over_http_1_does_not_notice_a_new_certificate_or_configuration() {
    a_pull_does_not_notice(Protocol::Http1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_over_http_2_does_not_notice_a_new_certificate_or_configuration() {
    a_pull_does_not_notice(Protocol::Http2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_goes_on_when_its_node_is_taken_out_of_the_configuration() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    let mut client = Raw::connect(&cluster.door, Protocol::Http1).await;
    let half = Bytes::from(vec![b'z'; 1 << 20]);
    let digest = format!("sha256:{}", sha256(&[half.clone(), half.clone()].concat()));
    let path = finish(&client.begin("library/gone").await, &digest);
    let (pipe, body) = Piped::new(2 << 20);
    let push = tokio::spawn(async move { client.send(Method::PUT, &path, body).await });
    soon("the first half", pipe.send(half.clone()))
        .await
        .unwrap();
    eventually("the node has the first half", raw::PATIENCE, || {
        arrived(&cluster) >= 1 << 20
    });
    let idle = cluster.nodes.iter().find(|node| {
        let entries = node.log().entries();
        entries.iter().all(|entry| entry.method != "PUT")
    });
    let mut plan = Plan::fronting([idle.unwrap().url()]);
    plan.nodes
        .iter_mut()
        .for_each(|(name, _)| "other".clone_into(name));
    cluster.door.rewrite(&plan);
    assert_eq!(reload(&cluster.door).status.code(), Some(0));
    soon("the second half", pipe.send(half)).await.unwrap();
    drop(pipe);
    let answer = soon("the end", push).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_keeps_the_old_one_and_says_why() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let door = &cluster.door;
    let mut plan = Plan::fronting(cluster.nodes.iter().map(HarborNode::url));
    plan.more = "[health]\nintervall = \"200ms\"\n".to_owned();
    door.rewrite(&plan);
    let told = reload(door);
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(78), "{told:?}");
    for word in ["seawall.toml:", "intervall", "interval"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    assert!((metric(door, REFUSED) - 1.0).abs() < f64::EPSILON);
    eventually("the log says why", Duration::from_secs(5), || {
        let lines = door.log();
        lines
            .iter()
            .any(|line| line.contains("the old one stays") && line.contains("intervall"))
    });
    let mut client = Raw::connect(door, Protocol::Http1).await;
    let answer = soon(
        "an answer",
        client.send(Method::GET, "/v2/", Piped::empty()),
    )
    .await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_refused_on_a_signal_too() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let door = &cluster.door;
    std::fs::write(door.directory().join("seawall.toml"), "this is = = no TOML").unwrap();
    door.signal(Signal::SIGHUP);
    eventually("the refusal is counted", Duration::from_secs(5), || {
        metric(door, REFUSED) > 0.0
    });
    let mut client = Raw::connect(door, Protocol::Http1).await;
    let answer = soon(
        "an answer",
        client.send(Method::GET, "/v2/", Piped::empty()),
    )
    .await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_does_not_fit_its_key_is_not_shown() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let door = &cluster.door;
    let before = raw::shown(door).await;
    std::fs::write(door.directory().join("door.pem"), "no certificate").unwrap();
    eventually("the log says so", Duration::from_secs(5), || {
        door.said("certificate files changed but cannot be used")
    });
    assert_eq!(raw::shown(door).await, before);
}
