//! The clients that people use, each with state of its own in a directory that goes away with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod browser;
pub mod docker;
pub mod image;
pub mod podman;
pub mod raw;
pub mod skopeo;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a client said when it ended.
#[derive(Debug)]
pub struct Told {
    /// Whether it ended with status 0.
    pub ok: bool,
    /// Its exit code; 124 when it ran out of time.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Told {
    /// Fails the test unless the client was content.
    #[track_caller]
    pub fn done(self) -> Self {
        assert!(self.ok, "the client failed: {self:#?}");
        self
    }

    /// Standard output without the blanks around it.
    pub fn word(&self) -> &str {
        self.out.trim()
    }
}

/// A program of a Debian package that ends by itself, or is killed after `limit`.
///
/// # Panics
/// If it is not installed: these tests prove something with it or fail.
pub fn program(name: &str, package: &str, limit: Duration) -> Command {
    program_in(None, name, package, limit)
}

/// The same in a network namespace.
pub fn program_in(namespace: Option<&str>, name: &str, package: &str, limit: Duration) -> Command {
    demand(name, package);
    let mut command = within(namespace, "timeout");
    command
        .args(["--kill-after=5", &limit.as_secs().to_string(), name])
        .stdin(Stdio::null());
    command
}

/// A program that runs in a network namespace, or where the test does.
pub fn within(namespace: Option<&str>, name: &str) -> Command {
    let Some(namespace) = namespace else {
        return Command::new(name);
    };
    // `ip netns exec` would give it another /sys, without the control groups that docker needs.
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}"));
    command.arg(name);
    command
}

/// A registry that clients speak to from elsewhere than the test.
pub struct Far<'a> {
    /// The network namespace of the clients.
    pub namespace: &'a str,
    /// `host:port`.
    pub registry: &'a str,
    /// The PEM file of the authority that they trust.
    pub ca: &'a Path,
}

/// Fails the test if a program is missing.
pub fn demand(name: &str, package: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(name).is_file());
    assert!(
        found || Path::new(name).is_absolute() && Path::new(name).is_file(),
        "`{name}` is needed for this test and is not installed: apt-get install {package}"
    );
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Told {
    let output = command.output().expect("a command that can be started");
    Told {
        ok: output.status.success(),
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
