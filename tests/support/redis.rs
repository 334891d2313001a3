//! Real Redis for tests: one server, one as old as the guide's, with TLS and users, behind Sentinels, as a Cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cluster;
mod monitor;
mod old;
mod sentinels;
mod wire;

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::certs::Authority;
use super::ports;

pub use cluster::RedisCluster;
pub use monitor::Monitor;
pub use sentinels::Sentinels;
pub use wire::{calls, command, keys, ttl, value};

/// Whoever has keys keeps them in memory, and gives them to a replica without waiting for others.
const DATA: &str = "save \"\"\nappendonly no\nrepl-diskless-sync-delay 0\n";

/// A running `redis-server` without persistence; it dies with this value.
pub struct RedisServer {
    child: Option<Child>,
    hung: AtomicBool,
    directory: tempfile::TempDir,
    arguments: Vec<String>,
    tls: bool,
    /// Where it listens.
    pub address: SocketAddr,
}

impl RedisServer {
    /// Starts one on a free port and returns when it accepts connections.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments, for every time it is started.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::launch(DATA, arguments)
    }

    /// The same with further lines of its configuration file, e.g. `user seawall on >secret ~* +@all`.
    pub fn configured(lines: &str) -> Self {
        Self::launch(&format!("{DATA}{lines}\n"), &[])
    }

    /// One that speaks TLS alone, by a certificate for `127.0.0.1` and `localhost`. Clients need none.
    pub fn with_tls(authority: &Authority, lines: &str) -> Self {
        let mut server = Self::idle();
        let directory = server.directory.path();
        authority.publish(directory);
        authority.issue(directory, "redis", &["127.0.0.1", "localhost"]);
        server.tls = true;
        server.configure(&format!("{DATA}{lines}\n"));
        server.revive();
        server
    }

    /// One that has no command that Redis 3.0 had not. Newer options of old commands, such as KEEPTTL of SET, stay.
    pub fn as_of_3() -> Self {
        let mut server = Self::start();
        let newer = old::newer_than_3(server.address);
        let lines = newer
            .iter()
            .map(|name| format!("rename-command {name} \"\"\n"));
        server.configure(&format!("{DATA}{}", lines.collect::<String>()));
        server.revive();
        server
    }

    fn launch(lines: &str, arguments: &[&str]) -> Self {
        let mut server = Self::idle();
        server.arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        server.configure(lines);
        server.revive();
        server
    }

    fn idle() -> Self {
        Self {
            child: None,
            hung: AtomicBool::new(false),
            directory: tempfile::tempdir().expect("a directory for redis"),
            arguments: Vec::new(),
            tls: false,
            address: ports::free(),
        }
    }

    /// Writes the configuration for the next start.
    fn configure(&self, lines: &str) {
        let port = self.address.port();
        let directory = self.directory.path().display();
        let listen = if self.tls {
            format!(
                "port 0\ntls-port {port}\ntls-auth-clients no\n\
                 tls-cert-file {directory}/redis.pem\ntls-key-file {directory}/redis-key.pem\n"
            )
        } else {
            format!("port {port}\n")
        };
        let text = format!("bind 127.0.0.1\ndir {directory}\n{listen}{lines}");
        std::fs::write(self.directory.path().join("redis.conf"), text).expect("a configuration");
    }

    /// `redis://…/0`, as nodes are told.
    pub fn url(&self) -> String {
        self.url_of(0)
    }

    /// The same for another database; `rediss://…` if it speaks TLS.
    pub fn url_of(&self, db: u8) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://{}/{db}", self.address)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it lives").id()
    }

    /// The PEM file of the authority to trust, for a server with TLS.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// `redis-cli` for this server, without a command yet.
    pub fn cli(&self) -> Command {
        let mut cli = Command::new("redis-cli");
        let port = self.address.port().to_string();
        cli.args(["--no-auth-warning", "-h", "127.0.0.1", "-p", &port]);
        if self.tls {
            cli.arg("--tls").arg("--cacert").arg(self.ca());
        }
        cli.stdin(Stdio::null());
        cli
    }

    /// Whether it was neither killed nor frozen.
    pub fn is_awake(&self) -> bool {
        self.child.is_some() && !self.hung.load(Ordering::SeqCst)
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Freezes it: connections stay open and nothing answers.
    pub fn hang(&self) {
        self.hung.store(true, Ordering::SeqCst);
        self.signal(Signal::SIGSTOP);
    }

    /// Ends [`RedisServer::hang`].
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
        self.hung.store(false, Ordering::SeqCst);
    }

    /// Starts it again, empty, on the same port.
    pub fn revive(&mut self) {
        self.kill();
        self.hung.store(false, Ordering::SeqCst);
        let log = self.directory.path().join("log");
        let mut child = Command::new("redis-server")
            .arg(self.directory.path().join("redis.conf"))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&log).expect("a log"))
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(self.address).is_err() {
            let ended = child.try_wait().expect("it is ours");
            if ended.is_some() || Instant::now() > deadline {
                let _ = child.kill();
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("redis-server did not start: {said}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child = Some(child);
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL ends a frozen process too.
        self.kill();
    }
}
