//! A real keepalived in a host of a [`Lab`](super::netns::Lab).

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::netns::{Host, INTERFACE, Running};

/// One `vrrp_instance` of keepalived.
#[derive(Clone, Debug)]
pub struct Instance {
    pub version: u8,
    pub router_id: u8,
    pub priority: u8,
    /// Seconds, as keepalived reads them: `1`, or `0.1` with version 3.
    pub advert_interval: &'static str,
    /// Such as `10.77.0.100/32`; all of one family.
    pub addresses: Vec<String>,
    /// `auth_type PASS`, version 2 only.
    pub password: Option<String>,
    /// Whom adverts go to instead of the multicast group.
    pub peers: Vec<String>,
    /// `BACKUP` or `MASTER`: only which it tries first.
    pub state: &'static str,
    pub nopreempt: bool,
    /// Further lines inside the instance.
    pub more: String,
}

impl Default for Instance {
    /// Version 3, ten adverts a second, priority 100.
    fn default() -> Self {
        Instance {
            version: 3,
            router_id: 51,
            priority: 100,
            advert_interval: "0.1",
            addresses: vec!["10.77.0.100/32".to_owned()],
            password: None,
            peers: Vec::new(),
            state: "BACKUP",
            nopreempt: false,
            more: String::new(),
        }
    }
}

impl Instance {
    /// As text of a configuration.
    pub fn text(&self) -> String {
        let Instance {
            version,
            router_id,
            priority,
            advert_interval,
            state,
            more,
            ..
        } = self;
        let mut text = format!(
            "vrrp_instance door {{\n  state {state}\n  interface {INTERFACE}\n  version {version}\n  \
             virtual_router_id {router_id}\n  priority {priority}\n  advert_int {advert_interval}\n"
        );
        let mut block = |name: &str, lines: &[String]| {
            if !lines.is_empty() {
                write!(text, "  {name} {{\n    {}\n  }}\n", lines.join("\n    ")).unwrap();
            }
        };
        block("virtual_ipaddress", &self.addresses);
        block("unicast_peer", &self.peers);
        if let Some(password) = &self.password {
            let lines = ["auth_type PASS".to_owned(), format!("auth_pass {password}")];
            block("authentication", &lines);
        }
        if self.nopreempt {
            text.push_str("  nopreempt\n");
        }
        text.push_str(more);
        text.push_str("\n}\n");
        text
    }
}

/// A running keepalived, VRRP only. It dies with this value, without a farewell.
pub struct Keepalived {
    running: Running,
    directory: TempDir,
}

impl Keepalived {
    /// Starts one with one instance.
    pub fn start(host: &Host, instance: &Instance) -> Keepalived {
        Keepalived::with(host, &instance.text())
    }

    /// Starts one with any configuration besides `global_defs`.
    pub fn with(host: &Host, configuration: &str) -> Keepalived {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let head = "global_defs {\n  router_id lab\n  enable_script_security\n}\n";
        std::fs::write(path("conf"), format!("{head}{configuration}")).unwrap();
        let (conf, parent, vrrp) = (path("conf"), path("pid"), path("vrrp.pid"));
        let arguments = [
            "--vrrp", "-n", "-l", "-D", "-f", &conf, "-p", &parent, "-r", &vrrp,
        ];
        let running = host.spawn("keepalived", arguments);
        running.says("Starting VRRP child process");
        Keepalived { running, directory }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.running.text()
    }

    /// Waits until its log has `what`.
    pub fn says(&self, what: &str) {
        self.running.says(what);
    }

    /// Kills it as a crash would: it says no farewell, and leaves its addresses behind.
    pub fn crash(&mut self) {
        // Otherwise the child may hear of its parent's death before its own, and resign.
        self.freeze();
        self.all(Signal::SIGKILL);
        self.running.wait();
    }

    /// Ends it as an operator would: it resigns and removes its addresses.
    pub fn stop(&mut self) {
        self.running.signal(Signal::SIGTERM);
        self.running.wait();
    }

    /// Freezes it.
    pub fn freeze(&self) {
        self.all(Signal::SIGSTOP);
    }

    /// Ends [`Keepalived::freeze`].
    pub fn thaw(&self) {
        self.all(Signal::SIGCONT);
    }

    /// The parent first, which would start the other anew.
    fn all(&self, signal: Signal) {
        for name in ["pid", "vrrp.pid"] {
            if let Some(pid) = pid(self.directory.path().join(name)) {
                let _ = kill(pid, signal);
            }
        }
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        self.all(Signal::SIGKILL);
    }
}

fn pid(path: PathBuf) -> Option<Pid> {
    let text = std::fs::read_to_string(path).ok()?;
    text.trim().parse().ok().map(Pid::from_raw)
}
