//! Nodes with data of their own: what must be made equal by hand, and whether pushes arrive.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use seawall::config;
use seawall::doctor::finding::Report;
use seawall::doctor::{self, Settings};

use super::leaves::files;
use super::site::{admin, codes, text};
use crate::support::apart::{Apart, pair_up};
use crate::support::door::eventually;
use crate::support::harbor::{Dialect, HarborNode};

async fn examine(apart: &Apart, wait: Duration) -> Report {
    let nodes: Vec<&HarborNode> = apart.nodes.iter().collect();
    let text = text(&nodes, "topology = \"replicated\"")
        .replace("harbor.example", &apart.public.to_string());
    let config = config::parse(&text, "seawall.toml".as_ref()).unwrap();
    let settings = Settings { wait, ..admin() };
    let examined = doctor::examine(&config, &settings, std::future::pending());
    examined.await.unwrap().unwrap()
}

fn notes(report: &Report, text: &str) -> usize {
    report
        .notes
        .iter()
        .filter(|note| note.contains(text))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn separate_data_is_no_fault_and_pushes_are_seen_to_arrive() {
    for dialect in [Dialect::Harbor2, Dialect::Harbor1] {
        let apart = Apart::nodes(dialect, 2, |_| {}).await;
        pair_up(&[&apart.nodes[0], &apart.nodes[1]]).await;
        let report = examine(&apart, Duration::from_secs(60)).await;
        assert!(report.ok, "{report:#?}");
        assert_eq!(
            notes(&report, "pushed through harbor-1 arrived at harbor-2 after"),
            1,
            "{report:#?}"
        );
        assert_eq!(
            notes(&report, "pushed through harbor-2 arrived at harbor-1 after"),
            1,
            "{report:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_does_not_arrive_is_noted_and_taken_back() {
    let apart = Apart::nodes(Dialect::Harbor2, 2, |_| {}).await;
    let report = examine(&apart, Duration::from_millis(200)).await;
    assert!(report.ok, "{report:#?}");
    assert_eq!(
        notes(&report, "did not arrive at harbor-2 within 200ms"),
        1,
        "{report:#?}"
    );
    for node in &apart.nodes {
        let path = "/api/v2.0/projects/library/repositories/seawall-doctor";
        assert_eq!(node.call("GET", path, None).await.0, 404);
        let puts = node.log().entries().into_iter();
        assert_eq!(
            puts.filter(|one| one.method == "PUT" && one.target.contains("/manifests/"))
                .count(),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_keys_that_differ_are_a_warning_there() {
    let apart = Apart::nodes(Dialect::Harbor2, 2, |options| options.key = None).await;
    let report = examine(&apart, Duration::ZERO).await;
    assert_eq!(
        codes(&report),
        [("token-key-differs", "harbor-1,harbor-2".to_owned())],
        "{report:#?}"
    );
    assert_eq!(
        report.findings[0].severity,
        doctor::finding::Severity::Warning
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_interrupts_it_finds_nothing_left_either() {
    let apart = Apart::nodes(Dialect::Harbor2, 2, |_| {}).await;
    let nodes: Vec<&HarborNode> = apart.nodes.iter().collect();
    let directory = tempfile::tempdir().unwrap();
    let account =
        "topology = \"replicated\"\naccount = { user = \"admin\", password = \"Harbor12345\" }";
    let file = directory.path().join("seawall.toml");
    std::fs::write(&file, text(&nodes, account)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["doctor", "--wait", "600s", "-c"])
        .arg(&file)
        .spawn()
        .unwrap();
    let pushed = || {
        let heard = apart.nodes[0].log().entries();
        heard.iter().any(|one| {
            one.method == "PUT" && one.target.contains("/manifests/") && one.status == Some(201)
        })
    };
    eventually("a push", Duration::from_secs(30), pushed);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let repository = apart.nodes[0]
        .options()
        .storage
        .join("docker/registry/v2/repositories/library/seawall-doctor");
    assert_eq!(files(&repository), Vec::<String>::new());
}
