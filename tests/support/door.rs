//! A real Seawall process in front of real nodes, with a throw-away certificate authority.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::certs::Authority;
use super::ports;

/// What clients may call the door.
pub const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "0.0.0.0"];

/// Waits until `holds`, or fails the test with `what` after `limit`.
pub fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What goes into the configuration besides the listener, the nodes and the admin address.
pub struct Plan {
    /// `(name, url)` of each node.
    pub nodes: Vec<(String, String)>,
    /// Further tables, as TOML text.
    pub more: String,
    /// Further keys of the `[[listen]]` table.
    pub listen: String,
    /// Keys of `[cluster]`.
    pub cluster: String,
    /// Further keys of each node, in their order.
    pub keys: Vec<String>,
}

impl Plan {
    /// Fronts `nodes` (by URL) with probes quick enough for tests.
    pub fn fronting<S: Into<String>>(nodes: impl IntoIterator<Item = S>) -> Self {
        let nodes = nodes
            .into_iter()
            .zip(1..)
            .map(|(url, at)| (format!("harbor-{at}"), url.into()))
            .collect();
        Plan {
            nodes,
            more: "[health]\ninterval = \"200ms\"\ntimeout = \"1s\"\ndoctor = false\n".to_owned(),
            listen: String::new(),
            cluster: String::new(),
            keys: Vec::new(),
        }
    }
}

/// The process of a Seawall; killed when dropped.
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// A running Seawall.
pub struct Door {
    process: Process,
    /// Where clients connect by TLS.
    pub address: SocketAddr,
    /// Where operators ask.
    pub admin: SocketAddr,
    /// The authority that signed its certificate.
    pub authority: Authority,
    directory: tempfile::TempDir,
}

impl Process {
    /// Starts one with the configuration in `file`, and does not wait for it.
    pub fn start(file: &Path, more: &[&str]) -> Self {
        Self::from(
            Command::new(env!("CARGO_BIN_EXE_seawall"))
                .args(["run", "-c"])
                .arg(file)
                .args(more),
        )
    }

    /// Starts `command`, which may take another way to a Seawall.
    pub fn from(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("seawall starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().expect("its log"));
        let keep = lines.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                keep.lock().unwrap().push(line);
            }
        });
        Process { child, lines }
    }

    /// Waits until it has said `text`.
    pub fn says(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.said(text) {
            if let Ok(Some(status)) = self.child.try_wait() {
                // What it said last may still be on its way.
                std::thread::sleep(Duration::from_millis(100));
                assert!(
                    self.said(text),
                    "seawall ended with {status}: {:#?}",
                    self.log()
                );
            }
            assert!(
                Instant::now() < deadline,
                "seawall does not say {text}: {:#?}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it logged so far.
    pub fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Whether any line of its log has `text` in it.
    pub fn said(&self, text: &str) -> bool {
        let lines = self.lines.lock().unwrap();
        lines.iter().any(|line| line.contains(text))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it lives");
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("it was ours") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "seawall did not end: {:#?}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let lines = self.log();
            let from = lines.len().saturating_sub(60);
            eprintln!(
                "the last lines of process {}:\n{}",
                self.pid(),
                lines[from..].join("\n")
            );
        }
    }
}

impl Door {
    /// Starts one and returns when it says that it listens.
    pub fn start(plan: &Plan) -> Self {
        let address = ports::free();
        Self::start_at(plan, address)
    }

    /// The same at an address that the nodes know already as their public one.
    pub fn start_at(plan: &Plan, address: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the door");
        let authority = Authority::new(directory.path());
        authority.issue(directory.path(), "door", &HOSTS);
        let admin = ports::free();
        let file = directory.path().join("seawall.toml");
        std::fs::write(&file, config(plan, address, admin)).expect("a configuration");
        let mut process = Process::start(&file, &[]);
        process.says("\"listening\"");
        Door {
            process,
            address,
            admin,
            authority,
            directory,
        }
    }

    /// Kills it at once, without a chance to write anything.
    pub fn crash(&mut self) {
        self.process.child.kill().expect("it lives");
        self.process.child.wait().expect("it was ours");
    }

    /// Starts it again where it was, with the files that it left; its log begins anew.
    pub fn start_again(&mut self) {
        self.process = Process::start(&self.file(), &[]);
        self.process.says("\"listening\"");
    }

    /// Starts another process that takes over. From here on the door is that one; what comes back is the one before.
    pub fn take_over(&mut self) -> Process {
        let mut heir = self.heir();
        heir.says("took over");
        let mut elder = std::mem::replace(&mut self.process, heir);
        // Until then it may accept one more client, and send it away.
        elder.says("draining");
        elder
    }

    /// Starts another process that is to take over, and does not wait for it.
    pub fn heir(&self) -> Process {
        Process::start(&self.file(), &["--take-over"])
    }

    /// Its configuration.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("seawall.toml")
    }

    /// `https://host:port`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// `host:port`, as image names begin.
    pub fn registry(&self) -> String {
        self.address.to_string()
    }

    /// The PEM file of the authority that clients must trust.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The directory with its configuration (`seawall.toml`) and certificate (`door.pem`, `door-key.pem`).
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Everything it logged so far.
    pub fn log(&self) -> Vec<String> {
        self.process.log()
    }

    /// Whether any line of its log has `text` in it.
    pub fn said(&self, text: &str) -> bool {
        self.process.said(text)
    }

    /// The access log so far.
    pub fn access(&self) -> Vec<Value> {
        let lines = self.log();
        let parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line.get("method").is_some()).collect()
    }

    /// Writes another configuration over the one it runs with; takes effect on reload.
    pub fn rewrite(&self, plan: &Plan) {
        std::fs::write(self.file(), config(plan, self.address, self.admin))
            .expect("a configuration");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        self.process.wait(limit)
    }

    /// A request to its admin listener: status and body.
    pub fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).expect("the admin listener");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.admin
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .expect("a status");
        let body = text
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned())
            .unwrap_or_default();
        (status, body)
    }

    /// What `GET /api/v1/nodes` says of one node.
    pub fn node(&self, name: &str) -> Value {
        let nodes: Value = serde_json::from_str(&self.ask("GET", "/api/v1/nodes").1).expect("JSON");
        let found = nodes
            .as_array()
            .and_then(|all| all.iter().find(|node| node["name"] == name));
        found
            .cloned()
            .unwrap_or_else(|| panic!("no node {name}: {nodes}"))
    }

    /// Waits until every node is known and `up`.
    pub fn settled(&self) -> &Self {
        eventually("all nodes up", Duration::from_secs(15), || {
            let nodes: Value =
                serde_json::from_str(&self.ask("GET", "/api/v1/nodes").1).expect("JSON");
            nodes.as_array().is_some_and(|all| {
                all.iter()
                    .all(|node| node["state"] == "up" && !node["dialect"].is_null())
            })
        });
        self
    }

    /// Memory that it holds, in bytes: what is resident but for the pages of the program's own file, of which a debug build
    /// has many.
    pub fn memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let line = status
            .lines()
            .find(|line| line.starts_with("RssAnon:"))
            .expect("resident size");
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<u64>().ok())
            .expect("a number")
            * 1024
    }
}

fn config(plan: &Plan, address: SocketAddr, admin: SocketAddr) -> String {
    let mut text = format!(
        "state_dir = \"state\"\n[[listen]]\naddress = \"{address}\"\n{}\n\
         [[listen.certificate]]\nchain = \"door.pem\"\nkey = \"door-key.pem\"\n\
         [admin]\naddress = \"{admin}\"\n[cluster]\npublic_url = \"https://{address}\"\n{}\n",
        plan.listen, plan.cluster
    );
    let none = std::iter::repeat(String::new());
    for ((name, url), keys) in plan.nodes.iter().zip(plan.keys.iter().cloned().chain(none)) {
        let node = format!("[[cluster.node]]\nname = \"{name}\"\nurl = \"{url}\"\n{keys}");
        let _ = writeln!(text, "{node}");
    }
    text + &plan.more
}
