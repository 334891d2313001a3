//! What is left behind: nothing.

use std::path::Path;

use super::site::{Fault, Site, admin, codes, examine};
use crate::support::harbor::Dialect;
use crate::support::redis;

/// Files below a directory, by their paths.
pub fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().to_string_lossy().into_owned());
        }
    }
    found
}

async fn nothing_is_left(dialect: Dialect, faults: &[Fault]) {
    let site = Site::start(dialect, 1).await;
    let other = site.node("harbor-2", faults).await;
    let report = examine(&[&site.nodes[0], &other], &admin()).await;
    assert_eq!(codes(&report).len(), faults.len(), "{report:#?}");
    // It did push, and log in.
    let heard = site.nodes[0].log().entries();
    let did = |method: &str, part: &str| {
        heard
            .iter()
            .any(|one| one.method == method && one.target.contains(part))
    };
    assert!(did("POST", "/v2/library/seawall-doctor/blobs/uploads/") && did("POST", "/login"));
    for storage in ["storage", "other-storage"] {
        let repositories = site.path(storage).join("docker/registry/v2/repositories");
        // No upload, no link to a blob or manifest.
        assert_eq!(files(&repositories), Vec::<String>::new());
    }
    // No session. How much of an upload arrived is Harbor's own note, and goes by itself.
    let mut keys = redis::keys(site.redis.address, 0, "*");
    keys.retain(|key| !key.starts_with("upload:"));
    assert_eq!(keys, Vec::<String>::new());
    assert!(!site.path("storage").join("projects.jsonl").exists());
    assert!(
        report.notes.iter().all(|note| !note.contains(" keeps ")),
        "{:#?}",
        report.notes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_blobs_and_sessions_are_gone_again_in_harbor_2() {
    nothing_is_left(Dialect::Harbor2, &[]).await;
    nothing_is_left(Dialect::Harbor2, &[Fault::HttpSecret, Fault::Storage]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_blobs_and_sessions_are_gone_again_in_harbor_1() {
    nothing_is_left(Dialect::Harbor1, &[]).await;
    nothing_is_left(Dialect::Harbor1, &[Fault::HttpSecret, Fault::Storage]).await;
    nothing_is_left(Dialect::Harbor15, &[]).await;
}
