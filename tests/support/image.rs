//! Small images, and skopeo to carry them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::door::Door;

/// `sha256:…` of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// An image as a directory that skopeo reads.
pub struct Image {
    pub directory: tempfile::TempDir,
    /// The digest of its manifest.
    pub digest: String,
}

impl Image {
    /// One with layers of these sizes; `salt` makes it unlike others.
    pub fn new(salt: &str, sizes: &[usize]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(directory.path().join(name), bytes).unwrap();
        };
        let keep = |bytes: &[u8], kind: &str| -> Value {
            let digest = digest(bytes);
            write(digest.strip_prefix("sha256:").unwrap(), bytes);
            json!({"mediaType": kind, "size": bytes.len(), "digest": digest})
        };
        let mut diffs = Vec::new();
        let layers: Vec<Value> = sizes
            .iter()
            .map(|size| {
                let bytes: Vec<u8> = salt.bytes().cycle().take(*size).collect();
                diffs.push(digest(&bytes));
                // Stored, not squeezed, so that a layer is as large as asked for.
                let mut pack = GzEncoder::new(Vec::new(), Compression::none());
                pack.write_all(&bytes).unwrap();
                let packed = pack.finish().unwrap();
                keep(&packed, "application/vnd.docker.image.rootfs.diff.tar.gzip")
            })
            .collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"salt": salt}},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": keep(config.to_string().as_bytes(), "application/vnd.docker.container.image.v1+json"),
            "layers": layers,
        })
        .to_string();
        write("manifest.json", manifest.as_bytes());
        write("version", b"Directory Transport Version: 1.1\n");
        let digest = digest(manifest.as_bytes());
        Image { directory, digest }
    }

    /// Pushes it through a door as the administrator.
    pub fn push(&self, door: &Door, name: &str) -> Output {
        let certificates = trust(door);
        skopeo(
            Command::new("skopeo")
                .args(["--insecure-policy", "copy", "--retry-times", "0"])
                .args(["--dest-creds", "admin:Harbor12345", "--dest-cert-dir"])
                .arg(certificates.path())
                .arg(format!("dir:{}", self.directory.path().display()))
                .arg(format!("docker://{}/{name}", door.registry())),
        )
    }
}

/// Pulls an image through a door; the digest of its manifest.
pub fn pull(door: &Door, name: &str) -> Result<String, String> {
    let certificates = trust(door);
    let to = tempfile::tempdir().unwrap();
    let output = skopeo(
        Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--retry-times", "0"])
            .args(["--src-creds", "admin:Harbor12345", "--src-cert-dir"])
            .arg(certificates.path())
            .arg(format!("docker://{}/{name}", door.registry()))
            .arg(format!("dir:{}", to.path().display())),
    );
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(digest(
        &std::fs::read(to.path().join("manifest.json")).unwrap(),
    ))
}

fn trust(door: &Door) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let copy: &Path = &directory.path().join("ca.crt");
    std::fs::copy(door.ca(), copy).unwrap();
    directory
}

fn skopeo(command: &mut Command) -> Output {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("skopeo");
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}
