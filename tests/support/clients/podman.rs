//! `podman` with a storage of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::image::Image;
use super::{Told, program, run};
use crate::support::door::Door;

const LIMIT: Duration = Duration::from_secs(900);

/// A machine with podman on it.
pub struct Podman {
    directory: tempfile::TempDir,
    certificates: PathBuf,
    registry: String,
}

impl Podman {
    /// One that believes the door's authority.
    pub fn new(door: &Door) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificates = directory.path().join("certificates");
        std::fs::create_dir(&certificates).unwrap();
        std::fs::copy(door.ca(), certificates.join("ca.crt")).unwrap();
        std::fs::write(directory.path().join("auth.json"), "{}").unwrap();
        Podman {
            directory,
            certificates,
            registry: door.registry(),
        }
    }

    fn command(&self, act: &str) -> Command {
        let at = |name: &str| self.directory.path().join(name);
        let mut command = program("podman", "podman", LIMIT);
        command
            .env("REGISTRY_AUTH_FILE", at("auth.json"))
            .env("TMPDIR", self.directory.path())
            .arg("--root")
            .arg(at("root"))
            .arg("--runroot")
            .arg(at("runroot"))
            .arg("--tmpdir")
            .arg(at("tmp"))
            .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"])
            .args(["--events-backend", "none", act]);
        command
    }

    /// `podman login`.
    pub fn login(&self, user: &str, password: &str) -> Told {
        run(self
            .command("login")
            .arg("--cert-dir")
            .arg(&self.certificates)
            .args(["--username", user, "--password", password, &self.registry]))
    }

    /// Takes an image in without any registry; its id.
    pub fn take_in(&self, image: &Image) -> String {
        let told = run(self.command("pull").args(["--quiet", &image.source()])).done();
        told.word().to_owned()
    }

    /// `podman push` of an image id to `name` behind the door; the digest that the registry has.
    pub fn push(&self, id: &str, name: &str) -> String {
        self.try_push(id, name).done();
        std::fs::read_to_string(self.directory.path().join("digest")).unwrap()
    }

    /// The same, which may fail.
    pub fn try_push(&self, id: &str, name: &str) -> Told {
        run(self
            .command("push")
            .arg("--cert-dir")
            .arg(&self.certificates)
            .arg("--digestfile")
            .arg(self.directory.path().join("digest"))
            .args([id, &format!("docker://{}/{name}", self.registry)]))
    }

    /// `podman pull`; says the image's id.
    pub fn pull(&self, name: &str) -> Told {
        run(self
            .command("pull")
            .arg("--quiet")
            .arg("--cert-dir")
            .arg(&self.certificates)
            .arg(format!("docker://{}/{name}", self.registry)))
    }

    /// Whether an image is there.
    pub fn has(&self, name: &str) -> bool {
        let name = format!("{}/{name}", self.registry);
        run(self.command("image").args(["exists", &name])).ok
    }

    /// The id of an image.
    pub fn id(&self, name: &str) -> String {
        self.inspect(name, "{{.Id}}")
    }

    /// The digest of an image's manifest.
    pub fn digest(&self, name: &str) -> String {
        self.inspect(name, "{{.Digest}}")
    }

    fn inspect(&self, name: &str, format: &str) -> String {
        let mut command = self.command("image");
        let told = run(command
            .args(["inspect", "--format", format])
            .arg(format!("{}/{name}", self.registry)));
        told.done().word().to_owned()
    }

    /// Forgets every image.
    pub fn forget(&self) {
        run(self.command("rmi").args(["--all", "--force"])).done();
    }
}
