//! How a load test ends: early, at once, in vain, or not at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::run::{at, cluster, left, requests, start, through};
use crate::support::cluster::Cluster;
use crate::support::door::eventually;
use crate::support::harbor::{Component, Dialect, Mode};

/// A run of minutes that has begun to pull.
fn pulling(cluster: &Cluster) -> super::run::Running {
    let arguments = at(cluster);
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.extend(["--duration", "5m", "--images", "1", "--json"]);
    let run = start("pull", &arguments);
    eventually("pulls", Duration::from_secs(20), || {
        let requests = requests(cluster);
        let pulls = requests
            .iter()
            .filter(|line| line.starts_with("GET /v2/library"));
        pulls.count() > 50
    });
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_gives_a_report_and_cleans_up() {
    let cluster = cluster(Dialect::Harbor2, 1).await;
    let run = pulling(&cluster);
    run.signal(Signal::SIGINT);
    let told = run.end().done();
    let report = told.json();
    assert_eq!(report["interrupted"], true);
    assert!(report["operations"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(report["errors"], serde_json::json!({}), "{report:#}");
    assert_eq!(left(&cluster), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_ctrl_c_ends_at_once_and_says_what_is_left() {
    let cluster = cluster(Dialect::Harbor2, 1).await;
    let run = pulling(&cluster);
    cluster.nodes[0].set(Component::Registry, Mode::Hung).await;
    run.signal(Signal::SIGINT);
    eventually("it begins to end", Duration::from_secs(10), || {
        run.said("ending")
    });
    run.signal(Signal::SIGINT);
    let told = run.end();
    assert_eq!(told.code, Some(1), "{told:#?}");
    assert!(
        told.err.contains("left behind: library/seawall-bench-"),
        "{told:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_is_an_error_by_its_status() {
    let cluster = cluster(Dialect::Harbor2, 1).await;
    cluster.nodes[0].set(Component::Registry, Mode::Down).await;
    let told = through(&cluster, "pull", &["--duration", "1s", "--json"]);
    assert_eq!(told.code, Some(1), "{told:#?}");
    let errors = &told.json()["errors"];
    assert!(
        errors["status 502"] == 1 || errors["status 503"] == 1,
        "{told:#?}"
    );
}

#[test]
fn nobody_listening_is_an_error_of_the_connection() {
    let url = format!("http://{}", crate::support::ports::free());
    let told = start("pull", &["--project", "x", "--json", &url]).end();
    assert_eq!(told.code, Some(1), "{told:#?}");
    assert_eq!(told.json()["errors"]["connect"], 1, "{told:#?}");
}

#[test]
fn wrong_usage_ends_with_2() {
    let url = "https://localhost:1";
    for arguments in [
        vec!["pull"],
        vec!["pull", url],
        vec!["pull", "--project", "x"],
        vec!["dance", url, "--project", "x"],
        vec!["pull", url, "--project", "X y"],
        vec!["pull", "localhost", "--project", "x"],
        vec!["pull", url, "--project", "x", "--rate", "5"],
        vec!["pull", url, "--project", "x", "--push-share", "20%"],
        vec!["pull", url, "--project", "x", "--layers", "1"],
        vec!["pull", url, "--project", "x", "--user", "u"],
        vec![
            "pull",
            url,
            "--project",
            "x",
            "--user",
            "u",
            "--password-file",
            "/nowhere",
        ],
        vec!["pull", url, "--project", "x", "--ca", "/nowhere"],
        vec!["pull", url, "--project", "x", "--duration", "0s"],
        vec!["pull", url, "--project", "x", "--compare", url],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
            .arg("bench")
            .args(&arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
}
