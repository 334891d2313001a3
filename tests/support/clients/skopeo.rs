//! `skopeo` with an authentication file of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::image::Image;
use super::{Far, Told, program_in, run};
use crate::support::door::Door;

/// What a transfer may take, retries included.
const LIMIT: Duration = Duration::from_secs(600);

/// A user of skopeo. Clones of a logged-in one are logged in.
pub struct Skopeo {
    directory: tempfile::TempDir,
    certificates: PathBuf,
    registry: String,
    namespace: Option<String>,
}

impl Skopeo {
    /// One who believes the door's authority and is not logged in.
    pub fn new(door: &Door) -> Self {
        Self::believing(&door.ca(), door.registry(), None)
    }

    /// The same far away.
    pub fn far(far: &Far<'_>) -> Self {
        let namespace = Some(far.namespace.to_owned());
        Self::believing(far.ca, far.registry.to_owned(), namespace)
    }

    fn believing(ca: &Path, registry: String, namespace: Option<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificates = directory.path().join("certificates");
        std::fs::create_dir(&certificates).unwrap();
        std::fs::copy(ca, certificates.join("ca.crt")).unwrap();
        std::fs::write(directory.path().join("auth.json"), "{}").unwrap();
        Skopeo {
            directory,
            certificates,
            registry,
            namespace,
        }
    }

    fn command(&self, act: &str) -> Command {
        let namespace = self.namespace.as_deref();
        let mut command = program_in(namespace, "skopeo", "skopeo", LIMIT);
        command
            .arg(act)
            .arg("--authfile")
            .arg(self.directory.path().join("auth.json"));
        command
    }

    /// `skopeo login`.
    pub fn login(&self, user: &str, password: &str) -> Told {
        run(self
            .command("login")
            .arg("--cert-dir")
            .arg(&self.certificates)
            .args(["--username", user, "--password", password, &self.registry]))
    }

    /// Copies an image to `name` behind the door, as it is, with so many retries of its own.
    pub fn push(&self, image: &Image, name: &str, retries: u32) -> Told {
        run(self
            .command("copy")
            .args(["--preserve-digests", "--retry-times", &retries.to_string()])
            .arg("--dest-cert-dir")
            .arg(&self.certificates)
            .arg(image.source())
            .arg(format!("docker://{}/{name}", self.registry)))
    }

    /// Copies `name` from behind the door to the new directory `to`.
    pub fn pull(&self, name: &str, to: &Path, retries: u32) -> Told {
        run(self
            .command("copy")
            .args(["--preserve-digests", "--retry-times", &retries.to_string()])
            .arg("--src-cert-dir")
            .arg(&self.certificates)
            .arg(format!("docker://{}/{name}", self.registry))
            .arg(format!("dir:{}", to.display())))
    }
}
