//! Doors with virtual addresses: a Seawall or a keepalived in a host of a [`Lab`](super::netns::Lab).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::door::eventually;
use super::keepalived::{Instance, Keepalived};
use super::netns::{Host, INTERFACE, Running};
use super::origin::{Origin, Then, well};

/// Where doors listen: without TLS, or with it if they got a certificate.
pub const PORT: u16 = 8080;

/// What a test waits for at most.
pub const LIMIT: Duration = Duration::from_secs(15);

/// What goes into the configuration of a door.
#[derive(Default)]
pub struct Plan {
    /// `[[vip.instance]]` tables.
    pub instances: String,
    /// Further keys of `[vip]`.
    pub vip: String,
    /// Further keys of `[[listen]]`.
    pub listen: String,
    /// The only address that it listens on, instead of all.
    pub only: Option<IpAddr>,
    /// The first node, instead of one of the door's own.
    pub node: Option<String>,
    /// Keys of `[timeouts]`, instead of patience with a node that waits for the test.
    pub timeouts: String,
    /// Further tables, such as further nodes.
    pub more: String,
    /// What clients call the cluster.
    pub public_url: Option<String>,
}

impl Plan {
    /// One virtual router, called `door`.
    pub fn new(instance: &Instance) -> Plan {
        Plan::default().with("door", instance, "")
    }

    /// One more, with further keys.
    pub fn with(mut self, name: &str, instance: &Instance, more: &str) -> Plan {
        let Instance {
            version,
            router_id,
            priority,
            ..
        } = instance;
        let millis = (instance.advert_interval.parse::<f64>().unwrap() * 1000.0).round();
        let addresses = &instance.addresses;
        write!(
            self.instances,
            "[[vip.instance]]\nname = \"{name}\"\nrouter_id = {router_id}\nversion = {version}\n\
             priority = {priority}\nadvert_interval = \"{millis}ms\"\naddresses = {addresses:?}\n\
             preempt = {}\n{more}\n",
            !instance.nopreempt
        )
        .unwrap();
        if let Some(password) = &instance.password {
            writeln!(self.instances, "password = \"{password}\"").unwrap();
        }
        if !instance.peers.is_empty() {
            writeln!(self.instances, "peers = {:?}", instance.peers).unwrap();
        }
        self
    }

    fn text(&self, node: &str, admin: &Path) -> String {
        let Plan {
            vip,
            listen,
            instances,
            only,
            more,
            ..
        } = self;
        let timeouts = match self.timeouts.as_str() {
            "" => "stall = \"60s\"",
            keys => keys,
        };
        let address = SocketAddr::new(only.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), PORT);
        let url = self.public_url.as_deref().unwrap_or("http://registry.test");
        format!(
            "state_dir = \"state\"\n[[listen]]\naddress = \"{address}\"\n{listen}\n\
             [admin]\naddress = \"unix:{}\"\n[cluster]\npublic_url = \"{url}\"\n\
             [[cluster.node]]\nname = \"harbor-1\"\nurl = \"{node}\"\n\
             [timeouts]\n{timeouts}\n[health]\ninterval = \"200ms\"\ntimeout = \"1s\"\ndoctor = false\n{more}\n\
             {}",
            admin.display(),
            if instances.is_empty() {
                String::new()
            } else {
                format!("[vip]\ninterface = \"{INTERFACE}\"\n{vip}\n{instances}")
            }
        )
    }
}

/// What a door's own node does.
#[derive(Default)]
pub struct Node {
    /// Every connection is reset.
    pub sick: AtomicBool,
    /// Answers to `/slow` may end.
    pub go_on: AtomicBool,
}

impl Node {
    /// Runs it on the host's loopback interface.
    fn start(self: &Arc<Self>, host: &Host) -> Origin {
        let (node, probed) = (self.clone(), self.clone());
        let probe = move |head: &str| (!probed.sick.load(Ordering::SeqCst)).then(|| well(head));
        let script = move |talk: &mut super::origin::Talk<'_>| {
            talk.hear_all();
            if node.sick.load(Ordering::SeqCst) {
                return Then::Reset;
            }
            if talk.request().target().contains("slow") {
                talk.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
                eventually("the test lets it go on", LIMIT * 4, || {
                    node.go_on.load(Ordering::SeqCst)
                });
                talk.say("-last");
            } else {
                talk.answer("200 OK", "", "well");
            }
            Then::Next
        };
        host.inside(async || Origin::probed(probe, script))
    }
}

/// A Seawall in a host. It is killed when dropped.
pub struct Door<'a> {
    host: &'a Host,
    running: Running,
    /// The node behind it, unless the plan named another.
    pub node: Arc<Node>,
    origin: Option<Origin>,
    url: String,
    directory: TempDir,
}

impl<'a> Door<'a> {
    /// Starts one and returns when it listens.
    pub fn start(host: &'a Host, plan: &Plan) -> Door<'a> {
        Door::start_as(&[], host, plan)
    }

    /// The same by a program that runs another, such as `setpriv`.
    pub fn start_as(by: &[&str], host: &'a Host, plan: &Plan) -> Door<'a> {
        let door = Door::begin(by, host, plan);
        door.running.says("\"listening\"");
        door
    }

    fn begin(by: &[&str], host: &'a Host, plan: &Plan) -> Door<'a> {
        let directory = tempfile::tempdir().unwrap();
        let node = Arc::<Node>::default();
        let (origin, url) = match &plan.node {
            Some(url) => (None, url.clone()),
            None => {
                let origin = node.start(host);
                let url = origin.url();
                (Some(origin), url)
            }
        };
        let file = directory.path().join("seawall.toml").display().to_string();
        let mut command = by.to_vec();
        command.extend([env!("CARGO_BIN_EXE_seawall"), "run", "-c", &file]);
        let [program, arguments @ ..] = &command[..] else {
            unreachable!("a program at least")
        };
        std::fs::write(&file, plan.text(&url, &directory.path().join("admin"))).unwrap();
        let running = host.spawn(program, arguments.iter().copied());
        Door {
            host,
            running,
            node,
            url,
            origin,
            directory,
        }
    }

    /// Starts it again where it was, with the files that it left, and returns when it listens.
    pub fn start_again(&mut self) {
        let file = self.directory.path().join("seawall.toml");
        let file = file.display().to_string();
        let arguments = ["run", "-c", &file];
        self.running = self.host.spawn(env!("CARGO_BIN_EXE_seawall"), arguments);
        self.running.says("\"listening\"");
    }

    /// Starts another process that takes over, and returns when it has. The door is that one from here on; what comes back
    /// is the one before.
    pub fn take_over(&mut self) -> Running {
        let file = self.directory.path().join("seawall.toml");
        let file = file.display().to_string();
        let arguments = ["run", "-c", &file, "--take-over"];
        let heir = self.host.spawn(env!("CARGO_BIN_EXE_seawall"), arguments);
        heir.says("took over");
        std::mem::replace(&mut self.running, heir)
    }

    /// Writes another plan for the next start, reload or process; its nodes stay.
    pub fn rewrite(&self, plan: &Plan) {
        let text = plan.text(&self.url, &self.directory.path().join("admin"));
        std::fs::write(self.directory.path().join("seawall.toml"), text).unwrap();
    }

    /// Lets it go on with another plan; its nodes stay.
    pub fn reload(&self, plan: &Plan) {
        self.rewrite(plan);
        let told = self.tell(&["reload"]);
        assert!(told.status.success(), "{told:?}");
    }

    /// The directory with its configuration and state.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.running.text()
    }

    /// Waits until its log has `what`.
    pub fn says(&self, what: &str) {
        self.running.says(what);
    }

    /// Its process.
    pub fn id(&self) -> nix::unistd::Pid {
        self.running.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// `kill -9`.
    pub fn crash(&mut self) {
        self.signal(Signal::SIGKILL);
        self.running.wait();
    }

    /// Ends it as an operator would.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        self.ends();
    }

    /// Whether its process has come to its end.
    pub fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }

    /// Waits for its end, which must be a good one.
    pub fn ends(&mut self) {
        let status = self.running.wait();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// A question to its admin listener: status and body.
    pub fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.directory.path().join("admin")).unwrap();
        let ask =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = text.split_once("\r\n\r\n").expect("a head").1;
        (status.expect("a status"), body.to_owned())
    }

    /// What the API says of one of its virtual routers; it says nothing of them for a moment after the start.
    pub fn standing(&self, name: &str) -> Value {
        let mut found = None;
        eventually(&format!("the door knows {name}"), LIMIT, || {
            let (status, body) = self.ask("GET", "/api/v1/vip");
            assert_eq!(status, 200, "{body}");
            let answer: Value = serde_json::from_str(&body).unwrap();
            let mut instances = answer["instances"].as_array().expect("a list").iter();
            found = instances.find(|instance| instance["name"] == name).cloned();
            found.is_some()
        });
        found.unwrap()
    }

    /// `master`, `backup` …, of the router called `door`.
    pub fn state(&self) -> String {
        self.standing("door")["state"].as_str().unwrap().to_owned()
    }

    /// Waits for that state.
    pub fn becomes(&self, state: &str) {
        eventually(&format!("the door is {state}"), LIMIT, || {
            self.state() == state
        });
    }

    /// The sum of the lines of a metric that have all of `labels` in them; `None` if there is none.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let (_, text) = self.ask("GET", "/metrics");
        let lines = text
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name));
        let fitting = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
        let values = fitting.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        values.reduce(|a, b| a + b)
    }

    /// How often the router called `door` became that.
    pub fn transitions(&self, to: &str) -> f64 {
        let label = format!("to=\"{to}\"");
        self.metric("seawall_vip_transitions_total", &[&label])
            .unwrap_or_default()
    }

    /// Runs `seawall …` with its admin address.
    pub fn tell(&self, arguments: &[&str]) -> Output {
        let admin = format!("unix:{}", self.directory.path().join("admin").display());
        Command::new(env!("CARGO_BIN_EXE_seawall"))
            .args(arguments)
            .args(["--admin", &admin])
            .output()
            .expect("seawall can be started")
    }
}

impl Drop for Door<'_> {
    fn drop(&mut self) {
        // It is reached from inside only.
        let origin = self.origin.take();
        self.host.inside(async || drop(origin));
        if std::thread::panicking() {
            eprintln!("the log of the door in {}:\n{}", self.host.name, self.log());
        }
    }
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Seawall,
    Keepalived,
}

/// One of the doors, whoever it is.
pub enum Peer<'a> {
    Seawall(Door<'a>),
    Keepalived(Keepalived),
}

impl<'a> Peer<'a> {
    /// Starts one. Unicast adverts come from `source`.
    pub fn start(
        kind: Kind,
        host: &'a Host,
        instance: &Instance,
        source: Option<IpAddr>,
    ) -> Peer<'a> {
        match kind {
            Kind::Seawall => {
                let more = source.map(|source| format!("source = \"{source}\""));
                let plan = Plan::default();
                let plan = plan.with("door", instance, &more.unwrap_or_default());
                Peer::Seawall(Door::start(host, &plan))
            }
            Kind::Keepalived => {
                let mut instance = instance.clone();
                if let Some(source) = source {
                    instance.more = format!("  unicast_src_ip {source}\n{}", instance.more);
                }
                Peer::Keepalived(Keepalived::start(host, &instance))
            }
        }
    }

    /// It dies without a word.
    pub fn crash(&mut self) {
        match self {
            Peer::Seawall(door) => door.crash(),
            Peer::Keepalived(keepalived) => keepalived.crash(),
        }
    }

    /// It is asked to end.
    pub fn stop(&mut self) {
        match self {
            Peer::Seawall(door) => door.stop(),
            Peer::Keepalived(keepalived) => keepalived.stop(),
        }
    }
}

/// The status of `GET path` at a door, asked from `host`; `None` if nothing comes within two seconds.
pub fn get(host: &Host, address: SocketAddr, path: &str) -> Option<u16> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let ask = async || {
        let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
        let ask =
            format!("GET {path} HTTP/1.1\r\nhost: registry.test\r\nconnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.ok()?;
        let status = std::str::from_utf8(head.get(9..)?).ok()?;
        status.parse().ok()
    };
    host.inside(async || {
        tokio::time::timeout(Duration::from_secs(2), ask())
            .await
            .ok()?
    })
}
