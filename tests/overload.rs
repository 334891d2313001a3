//! More clients than places, and more than the system has files for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod room;
mod storm;

use std::process::Command;

use http::{Method, StatusCode, header};
use http_body_util::BodyExt;

use super::support::clients::raw::{self, Entrance, Piped, Protocol, Raw, soon};
use super::support::cluster::Cluster;
use super::support::door::eventually;
use super::support::harbor::Dialect;

async fn full(connections: usize) -> (Cluster, Vec<Raw>) {
    let limited = |plan: &mut super::support::door::Plan| {
        plan.more
            .push_str(&format!("[limits]\nconnections = {connections}\n"));
    };
    let cluster = Cluster::start_with(Dialect::Harbor2, 1, |_| {}, limited).await;
    let mut held = Vec::new();
    for _ in 0..connections {
        held.push(Raw::connect(&cluster.door, Protocol::Http1).await);
    }
    (cluster, held)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_too_many_is_told_to_come_again_and_operators_get_their_answers() {
    let (cluster, mut held) = full(2).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut extra = Raw::connect(&cluster.door, protocol).await;
        let asked = extra.send(Method::GET, "/v2/", Piped::empty());
        let answer = soon("an answer", asked).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key(header::RETRY_AFTER));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["errors"][0]["code"], "UNAVAILABLE");
        soon("its end", extra.ended).await.unwrap().unwrap();
    }
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/status"] {
        assert_eq!(cluster.door.ask("GET", path).0, 200, "{path}");
    }
    // Those who have a place go on.
    held[0].push("library/app", vec![1; 1000].into()).await;
    drop(held);
    eventually("there is room again", raw::PATIENCE, || {
        cluster
            .door
            .ask("GET", "/metrics")
            .1
            .lines()
            .any(|line| line.starts_with("seawall_connections{") && line.ends_with(" 0"))
    });
    let mut next = Raw::connect(&cluster.door, Protocol::Http2).await;
    next.push("library/app", vec![2; 1000].into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_a_moment_for_a_place_gets_it() {
    let (cluster, mut held) = full(1).await;
    let entrance = Entrance::of(&cluster.door);
    let waiting = tokio::spawn(async move { Raw::at(&entrance, Protocol::Http1).await });
    drop(held.pop());
    let mut served = soon("a place", waiting).await.unwrap().unwrap();
    served.push("library/app", vec![3; 1000].into()).await;
}

/// Lets the door have so many files from now on.
fn limit(pid: u32, files: usize) {
    let status = Command::new("prlimit")
        .args(["--pid", &pid.to_string()])
        .arg(format!("--nofile={files}:"))
        .status();
    assert!(status.expect("util-linux is installed").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_without_files_pauses_and_goes_on_when_it_has_some() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let door = &cluster.door;
    let files = std::fs::read_dir(format!("/proc/{}/fd", door.pid()))
        .unwrap()
        .count();
    limit(door.pid(), files + 10);
    let entrance = Entrance::of(door);
    let mut held = Vec::new();
    for _ in 0..40 {
        let entrance = entrance.clone();
        held.push(tokio::spawn(async move {
            Raw::at(&entrance, Protocol::Http1).await
        }));
    }
    eventually("it has no files", raw::PATIENCE, || {
        door.said("cannot accept connections for now")
    });
    let served = held.iter().filter(|one| one.is_finished()).count();
    assert!(served < 40, "all were served");
    // Whoever waited is served when files are there again; nobody was lost.
    limit(door.pid(), 1000);
    for one in held {
        let mut one = soon("a connection", one).await.unwrap().unwrap();
        let asked = one.send(Method::GET, "/v2/", Piped::empty());
        soon("an answer", asked).await.unwrap();
    }
    door.settled();
    let mut next = Raw::connect(door, Protocol::Http2).await;
    next.push("library/app", vec![4; 1000].into()).await;
    assert_eq!(door.ask("GET", "/readyz").0, 200);
}

#[test]
fn a_door_takes_no_more_connections_than_the_system_has_files_for() {
    let directory = tempfile::tempdir().unwrap();
    let free = || super::support::ports::free().to_string();
    let mut command = Command::new("prlimit");
    command
        .arg("--nofile=356:356")
        .arg(env!("CARGO_BIN_EXE_seawall"))
        .args(["run", "--node", "http://127.0.0.1:1", "--listen", &free()])
        .args(["--admin", &free(), "--state-dir"])
        .arg(directory.path());
    let mut door = super::support::door::Process::from(&mut command);
    door.says("\"listening\"");
    assert!(door.said("\"connections\":50"), "{:#?}", door.log());
}
