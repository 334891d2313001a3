//! What was stored before a recording began, written straight into a registry's files.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::labels::Labels;
use super::trace::Scenario;

/// The smallest configuration that the registry can turn into the oldest manifest format.
const CONFIG: &str = r#"{"architecture":"amd64","os":"linux","config":{},"history":[{"created":"2026-01-02T03:04:05Z","created_by":"test"}],"rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}"#;

/// Hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Writes what the recording takes for granted: whatever is named by digest or tag, was not made by the recording
/// itself and was not unknown when it was first asked for.
pub fn seed(scenario: &Scenario, storage: &Path, labels: &mut Labels) {
    let mut made: HashSet<String> = HashSet::new();
    for record in &scenario.records {
        let (path, query) = record.path.split_once('?').unwrap_or((&record.path, ""));
        if record.method == "PUT" && record.status == 201 {
            made.extend(label_in(query));
            if let Some((_, tag)) = path.split_once("/manifests/") {
                made.insert(tag.to_owned());
            }
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            continue;
        };
        if let Some((name, reference)) = rest.split_once("/manifests/") {
            if record
                .content
                .as_ref()
                .is_some_and(|c| c.contains("artifact "))
            {
                manifest(storage, name, "other", None, None, labels);
            }
            let unknown = record.status == 404 || name.starts_with("nosuch");
            if record.method != "PUT" && !unknown && !made.contains(reference) {
                let kind = record
                    .answered("content-type")
                    .filter(|_| record.status == 200);
                manifest(
                    storage,
                    name,
                    reference,
                    kind,
                    record.answered("docker-content-digest"),
                    labels,
                );
                made.insert(reference.to_owned());
            }
        } else if let Some((name, digest)) = rest.split_once("/blobs/sha256:") {
            let Some(label) = label_in(digest) else {
                continue;
            };
            let elsewhere = record.status == 404
                && record.method == "HEAD"
                && record.answered("docker-distribution-api-version").is_some();
            if made.contains(&label) || (record.status == 404 && !elsewhere) {
                continue;
            }
            let name = if elsewhere { "library/elsewhere" } else { name };
            blob(storage, name, &label, labels);
            if !elsewhere {
                made.insert(label);
            }
        } else if record.status == 201 && query.contains("mount=") {
            let from = query
                .split("from=")
                .nth(1)
                .unwrap_or_default()
                .split('&')
                .next()
                .unwrap_or_default();
            if let Some(label) = label_in(query) {
                blob(storage, &from.replace("%2F", "/"), &label, labels);
                made.insert(label);
            }
        }
    }
}

fn label_in(text: &str) -> Option<String> {
    let after = text.split_once("{digest")?.1;
    Some(format!("digest{}", after.split('}').next()?))
}

/// What the blob of a name holds.
pub fn content(label: &str) -> Vec<u8> {
    label.bytes().cycle().take(70_000).collect()
}

/// Stores a blob and links it in a repository.
pub fn blob(storage: &Path, repository: &str, label: &str, labels: &mut Labels) {
    let hex = store(storage, &content(label));
    labels.set(label, &hex);
    link(
        &root(storage)
            .join("repositories")
            .join(repository)
            .join("_layers/sha256")
            .join(&hex),
        &hex,
    );
}

fn manifest(
    storage: &Path,
    repository: &str,
    reference: &str,
    kind: Option<&str>,
    digest: Option<&str>,
    labels: &mut Labels,
) {
    let oldest = kind.is_some_and(|kind| !kind.ends_with("+json"));
    let kind = kind
        .filter(|kind| kind.ends_with("+json"))
        .unwrap_or("application/vnd.docker.distribution.manifest.v2+json");
    let config = store(storage, CONFIG.as_bytes());
    let layer = store(storage, &[0x1f, 0x8b, 0x08]);
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{{"mediaType":"application/vnd.docker.container.image.v1+json","size":{},"digest":"sha256:{config}"}},"layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":3,"digest":"sha256:{layer}"}}]}}"#,
        CONFIG.len()
    );
    let hex = store(storage, text.as_bytes());
    let manifests = root(storage)
        .join("repositories")
        .join(repository)
        .join("_manifests");
    link(&manifests.join("revisions/sha256").join(&hex), &hex);
    for hex in [&config, &layer] {
        link(
            &manifests.with_file_name("_layers").join("sha256").join(hex),
            hex,
        );
    }
    // The oldest format is made on the fly and has a digest of its own.
    let digest = digest.filter(|_| !oldest);
    for label in [digest.and_then(label_in), label_in(reference)]
        .into_iter()
        .flatten()
    {
        labels.set(&label, &hex);
    }
    if !reference.contains(':') {
        link(
            &manifests.join("tags").join(reference).join("current"),
            &hex,
        );
        link(
            &manifests
                .join("tags")
                .join(reference)
                .join("index/sha256")
                .join(&hex),
            &hex,
        );
    }
}

fn root(storage: &Path) -> std::path::PathBuf {
    storage.join("docker/registry/v2")
}

fn store(storage: &Path, content: &[u8]) -> String {
    let hex = sha256(content);
    let directory = root(storage)
        .join("blobs/sha256")
        .join(&hex[..2])
        .join(&hex);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("data"), content).unwrap();
    hex
}

fn link(directory: &Path, hex: &str) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("link"), format!("sha256:{hex}")).unwrap();
}
