//! `seawall bench` as a process.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::cluster::Cluster;
use crate::support::door::Plan;
use crate::support::harbor::{Dialect, Options, Timing};

/// No run in these tests takes longer.
const LIMIT: Duration = Duration::from_secs(60);
/// The password that must be in no output.
pub const PASSWORD: &str = "Harbor12345";

/// What a run said when it ended.
#[derive(Debug)]
pub struct Told {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Told {
    /// The report of `--json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Fails the test unless it ended well.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }
}

/// A running load test; killed when dropped.
pub struct Running {
    child: Child,
    out: Option<JoinHandle<String>>,
    err: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    _files: tempfile::TempDir,
}

/// Starts `seawall bench SCENARIO` with small images at whatever `arguments` name.
pub fn start(scenario: &str, arguments: &[&str]) -> Running {
    start_as("admin", PASSWORD, scenario, arguments)
}

/// The same with an account; an empty name for none.
pub fn start_as(user: &str, password: &str, scenario: &str, arguments: &[&str]) -> Running {
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("password");
    std::fs::write(&secret, format!("{password}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.args(["bench", scenario]).args(arguments);
    command.args(["--layer-size", "64KiB", "--seed", "7"]);
    if !user.is_empty() {
        command
            .args(["--user", user, "--password-file"])
            .arg(&secret);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let err: Arc<Mutex<String>> = Arc::default();
    let keep = err.clone();
    Running {
        child,
        out: Some(std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        })),
        err,
        reader: Some(std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                let text = String::from_utf8_lossy(buffer.get(..count).unwrap());
                keep.lock().unwrap().push_str(&text);
            }
        })),
        _files: files,
    }
}

impl Running {
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Whether it said this on stderr.
    pub fn said(&self, text: &str) -> bool {
        self.err.lock().unwrap().contains(text)
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Told {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "{:?}", self.err.lock().unwrap());
            std::thread::sleep(Duration::from_millis(10));
        };
        self.reader.take().unwrap().join().unwrap();
        Told {
            code: status.code(),
            out: self.out.take().unwrap().join().unwrap(),
            err: self.err.lock().unwrap().clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A cluster whose nodes and door are as patient as real ones: a load test takes every core there is, and what is slow
/// then is not broken.
pub async fn cluster(dialect: Dialect, count: usize) -> Cluster {
    let node = |options: &mut Options| {
        let real = Timing::real();
        options.timing = Timing {
            poll: Timing::quick().poll,
            ..real
        };
    };
    let door = |plan: &mut Plan| {
        plan.more =
            "[health]\ninterval = \"200ms\"\ntimeout = \"10s\"\ndoctor = false\n".to_owned();
    };
    Cluster::start_with(dialect, count, node, door).await
}

/// The arguments that every run at a door needs.
pub fn at(cluster: &Cluster) -> Vec<String> {
    let ca: PathBuf = cluster.door.ca();
    let url = cluster.door.url();
    ["--ca", ca.to_str().unwrap(), "--project", "library", &url]
        .map(str::to_owned)
        .to_vec()
}

/// A run at a door to its end.
pub fn through(cluster: &Cluster, scenario: &str, more: &[&str]) -> Told {
    let arguments = at(cluster);
    let arguments = arguments.iter().map(String::as_str);
    start(
        scenario,
        &arguments.chain(more.iter().copied()).collect::<Vec<_>>(),
    )
    .end()
}

/// Repositories of load tests that the registry's files still hold.
pub fn left(cluster: &Cluster) -> Vec<String> {
    let storage = &cluster.nodes.first().unwrap().options().storage;
    let library = storage.join("docker/registry/v2/repositories/library");
    let found = std::fs::read_dir(library).into_iter().flatten().flatten();
    let mut left = Vec::new();
    for run in found {
        for repository in std::fs::read_dir(run.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            // What is left without manifests is no repository any more; the registry keeps its empty places.
            if repository.path().join("_manifests").is_dir() {
                left.push(repository.path().display().to_string());
            }
        }
    }
    left
}

/// Requests that reached any node, as `METHOD target`.
pub fn requests(cluster: &Cluster) -> Vec<String> {
    let logs = cluster.nodes.iter().flat_map(|node| node.log().entries());
    logs.map(|entry| format!("{} {}", entry.method, entry.target))
        .collect()
}
