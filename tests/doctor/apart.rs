//! Nodes with data of their own: what must be made equal by hand, and whether pushes arrive.

use std::time::Duration;

use seawall::config;
use seawall::doctor::finding::Report;
use seawall::doctor::{self, Settings};

use super::site::{admin, codes, text};
use crate::support::apart::{Apart, pair_up};
use crate::support::harbor::{Dialect, HarborNode};

async fn examine(apart: &Apart, wait: Duration) -> Report {
    let nodes: Vec<&HarborNode> = apart.nodes.iter().collect();
    let text = text(&nodes, "topology = \"replicated\"")
        .replace("harbor.example", &apart.public.to_string());
    let config = config::parse(&text, "seawall.toml".as_ref()).unwrap();
    let settings = Settings { wait, ..admin() };
    doctor::examine(&config, &settings).await.unwrap()
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
