//! What a load test does, and what it says of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::run::{PASSWORD, at, cluster, left, requests, start, start_as, through};
use crate::support::door::eventually;
use crate::support::harbor::Dialect;

#[tokio::test(flavor = "multi_thread")]
async fn pulls_are_proved_and_nothing_is_left() {
    let cluster = cluster(Dialect::Harbor2, 2).await;
    let told = through(
        &cluster,
        "pull",
        &["--duration", "1s", "--images", "2", "--json"],
    )
    .done();
    let report = told.json();
    assert_eq!(report["target"], cluster.door.url());
    assert_eq!(report["scenario"], "pull");
    assert_eq!(report["errors"], serde_json::json!({}), "{report:#}");
    let operations = report["operations"].as_u64().unwrap();
    assert!(operations > 0);
    assert!(report["bytes"].as_u64().unwrap() > operations * 4 * 65_536);
    assert!(report["seconds"].as_f64().unwrap() >= 1.0);
    assert!(report["throughput"]["ops_per_s"].as_f64().unwrap() > 0.0);
    assert!(report["latency_ms"]["p50"].as_f64() <= report["latency_ms"]["max"].as_f64());
    assert_eq!(report["stages"]["manifest"]["count"], operations * 2);
    assert_eq!(report["stages"]["blob"]["count"], operations * 5);
    assert_eq!(left(&cluster), Vec::<String>::new());
    assert!(!told.err.contains("left behind"), "{}", told.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_take_over_the_shared_layers_and_clean_up() {
    let cluster = cluster(Dialect::Harbor2, 2).await;
    let told = through(
        &cluster,
        "push",
        &["--duration", "1s", "--images", "2", "--json"],
    )
    .done();
    let report = told.json();
    assert!(report["operations"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(report["errors"], serde_json::json!({}), "{report:#}");
    let requests = requests(&cluster);
    assert!(requests.iter().any(|line| line.contains("?mount=sha256")));
    let repositories = |line: &&String| line.starts_with("DELETE /api/") && line.contains("%252F");
    assert!(requests.iter().any(|line| repositories(&line)));
    assert_eq!(left(&cluster), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn harbor_1_is_loaded_and_swept_too() {
    let cluster = cluster(Dialect::Harbor1, 1).await;
    let told = through(
        &cluster,
        "mixed",
        &["--duration", "1s", "--json", "--quiet"],
    )
    .done();
    let report = told.json();
    assert_eq!(report["errors"], serde_json::json!({}), "{report:#}");
    assert_eq!(told.err, "", "nothing is left behind, and --quiet is quiet");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_at_a_rate_over_http_1() {
    let cluster = cluster(Dialect::Harbor2, 1).await;
    let more = [
        "--duration",
        "2s",
        "--rate",
        "10/s",
        "--push-share",
        "50%",
        "--http1",
        "--json",
    ];
    let report = through(&cluster, "mixed", &more).done().json();
    assert_eq!(report["errors"], serde_json::json!({}), "{report:#}");
    let count = |name: &str| report["by_operation"][name]["count"].as_u64().unwrap();
    assert!(count("pull") >= 5 && count("push") >= 5, "{report:#}");
    assert_eq!(
        report["operations"].as_u64().unwrap() + report["not_begun"].as_u64().unwrap(),
        20
    );
    let spoken = cluster.door.access();
    assert!(spoken.iter().any(|line| line["method"] == "PATCH"));
    assert_eq!(left(&cluster), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_repositories_of_the_project_are_left_alone() {
    let cluster = cluster(Dialect::Harbor2, 1).await;
    let keep = cluster.nodes[0]
        .options()
        .storage
        .join("docker/registry/v2/repositories/library/app/_manifests");
    std::fs::create_dir_all(&keep).unwrap();
    through(&cluster, "push", &["--duration", "500ms"]).done();
    assert!(keep.is_dir());
    let touched = requests(&cluster);
    let foreign = touched.iter().find(|line| {
        let path = line.contains("/v2/library/") || line.contains("/repositories/");
        path && !line.contains("seawall-bench-")
    });
    assert_eq!(foreign, None);
}

/// The file of a blob of at least `size` bytes.
fn blob(directory: &Path, size: u64) -> Option<PathBuf> {
    for entry in std::fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        let found = if path.is_dir() {
            blob(&path, size)
        } else {
            let is = entry.file_name() == "data" && entry.metadata().ok()?.len() >= size;
            is.then_some(path)
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_blob_is_told_apart() {
    let cluster = cluster(Dialect::Harbor2, 1).await;
    let arguments = at(&cluster);
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.extend(["--duration", "3s", "--images", "1", "--json"]);
    let run = start("pull", &arguments);
    let blobs = cluster.nodes[0]
        .options()
        .storage
        .join("docker/registry/v2/blobs");
    let mut found = None;
    eventually("a layer is there", Duration::from_secs(20), || {
        found = blob(&blobs, 65_536);
        found.is_some()
    });
    let file = found.unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let report = run.end().json();
    assert!(
        report["errors"]["digest mismatch"].as_u64().unwrap() > 0,
        "{report:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_targets_take_turns_and_end_with_ratios() {
    let cluster = cluster(Dialect::Harbor2, 1).await;
    let (ca, url) = (cluster.door.ca(), cluster.door.url());
    let page = cluster.door.directory().join("report.html");
    let arguments = [
        "--ca",
        ca.to_str().unwrap(),
        "--project",
        "library",
        "--duration",
        "2s",
        "--slice",
        "500ms",
        "--html",
        page.to_str().unwrap(),
        "--compare",
        &url,
        &url,
    ];
    let told = start("pull", &arguments).end().done();
    assert_eq!(told.out.matches("operations  ").count(), 2, "{}", told.out);
    assert!(told.out.contains("ops_per_s     ratio "), "{}", told.out);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("class=\"line target-1\""));
    assert_eq!(left(&cluster), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_an_error_and_no_secret_is_told() {
    let cluster = cluster(Dialect::Harbor2, 1).await;
    let page = cluster.door.directory().join("report.html");
    for (password, code) in [(PASSWORD, 0), ("wrong-Secret-9", 1)] {
        let arguments = at(&cluster);
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend([
            "--duration",
            "500ms",
            "--html",
            page.to_str().unwrap(),
            "--json",
        ]);
        let told = start_as("admin", password, "pull", &arguments).end();
        assert_eq!(told.code, Some(code), "{told:#?}");
        if code == 1 {
            assert_eq!(told.json()["errors"]["status 401"], 1, "{told:#?}");
            assert!(told.err.contains("is the password right"), "{told:#?}");
        }
        let page = std::fs::read_to_string(&page).unwrap();
        for output in [&told.out, &told.err, &page] {
            for secret in [password, "Bearer", "Basic ", "eyJ"] {
                assert!(!output.contains(secret), "{secret}: {output}");
            }
        }
    }
}
