//! Networks of their own for tests: hosts in network namespaces, on one switch.
//!
//! Nothing of them is seen outside: the switch is a bridge in a namespace too. All is gone when the [`Lab`] is
//! dropped; what a killed test left behind goes with the next one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::door::eventually;

/// What the names of our namespaces begin with; the process follows.
const PREFIX: &str = "seawall-lab-";

/// The interface of every host.
pub const INTERFACE: &str = "eth0";

/// A switch and hosts on it.
pub struct Lab {
    switch: String,
    hosts: Vec<Host>,
}

/// One host: its own interfaces, addresses and neighbours.
pub struct Host {
    /// The name of its namespace.
    pub name: String,
    switch: String,
    port: String,
    /// `10.77.0.N` with N from 1, in a `/24`.
    pub ipv4: Ipv4Addr,
    /// `fd77::N`, in a `/64`.
    pub ipv6: Ipv6Addr,
}

impl Lab {
    /// A switch with so many hosts. Needs root; without, it fails, or is none if `SEAWALL_TESTS_WITHOUT_ROOT` is set.
    pub fn new(hosts: u8) -> Option<Lab> {
        if !nix::unistd::geteuid().is_root() {
            let why = "this test makes network namespaces, which takes root";
            assert!(
                std::env::var_os("SEAWALL_TESTS_WITHOUT_ROOT").is_some(),
                "{why}; set SEAWALL_TESTS_WITHOUT_ROOT to do without it"
            );
            eprintln!("skipped: {why}");
            return None;
        }
        sweep();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{count}", std::process::id());
        let switch = format!("{name}-switch");
        // Made first, so that it cleans up after every step that fails.
        let mut lab = Lab {
            switch,
            hosts: Vec::new(),
        };
        let switch = lab.switch.clone();
        ip(&format!("netns add {switch}"));
        // Multicast goes everywhere: there is no querier here that would keep snooping right.
        ip(&format!(
            "-n {switch} link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0"
        ));
        ip(&format!("-n {switch} link set br0 up"));
        for number in 1..=hosts {
            let host = Host {
                name: format!("{name}-{number}"),
                switch: switch.clone(),
                port: format!("port{number}"),
                ipv4: Ipv4Addr::new(10, 77, 0, number),
                ipv6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, u16::from(number)),
            };
            lab.hosts.push(host);
            lab.hosts.last().unwrap().connect();
        }
        Some(lab)
    }

    /// The host of that number, from 1.
    pub fn host(&self, number: usize) -> &Host {
        &self.hosts[number - 1]
    }

    /// Who has an address now, by number.
    pub fn holders(&self, address: IpAddr) -> Vec<usize> {
        (1..=self.hosts.len())
            .filter(|number| self.host(*number).has(address))
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in &self.hosts {
            remove(&host.name);
        }
        remove(&self.switch);
    }
}

impl Host {
    fn connect(&self) {
        let name = &self.name;
        ip(&format!("netns add {name}"));
        // Addresses can be used at once.
        for of in ["all", "default"] {
            let key = format!("/proc/sys/net/ipv6/conf/{of}/accept_dad");
            self.run(&["sh", "-c", &format!("echo 0 > {key}")]);
        }
        ip(&format!("-n {name} link set lo up"));
        self.plug();
    }

    fn plug(&self) {
        let Host {
            name,
            switch,
            port,
            ipv4,
            ipv6,
        } = self;
        ip(&format!(
            "-n {switch} link add {port} type veth peer name {INTERFACE} netns {name}"
        ));
        ip(&format!("-n {switch} link set {port} master br0 up"));
        ip(&format!("-n {name} link set {INTERFACE} up"));
        ip(&format!("-n {name} address add {ipv4}/24 dev {INTERFACE}"));
        ip(&format!(
            "-n {name} address add {ipv6}/64 dev {INTERFACE} nodad"
        ));
    }

    /// Runs a program to its end and returns what it printed; fails the test if it fails.
    pub fn run(&self, command: &[&str]) -> String {
        let mut all = vec!["netns", "exec", &self.name];
        all.extend(command);
        finish(Command::new("ip").args(all))
    }

    /// A program to be started in the host: `ip netns exec` becomes it, so its process is the program's.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Starts a program in the host, its output in files. It is killed when the value is dropped.
    pub fn spawn<'a>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Running {
        let mut command = self.command(program);
        command.args(arguments);
        Running::start(command)
    }

    /// Runs a part of the test itself in the host, on a thread and a runtime of its own.
    pub fn inside<T: Send, F: Future<Output = T>>(&self, part: impl FnOnce() -> F + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let namespace = File::open(Path::new("/run/netns").join(&self.name)).unwrap();
                setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap()
                    .block_on(part())
            });
            match inside.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Takes the interface away, and gives the host another one of the same name and addresses.
    pub fn replug(&self) {
        self.ip(&format!("link del {INTERFACE}"));
        self.plug();
    }

    /// Pulls the cable: the host sees its carrier go.
    pub fn cut(&self) {
        self.port("down");
    }

    /// Ends [`Host::cut`].
    pub fn heal(&self) {
        self.port("up");
    }

    /// Nothing passes between the host and the others any more, and the host does not see why.
    pub fn isolate(&self) {
        self.port("nomaster");
    }

    /// Ends [`Host::isolate`].
    pub fn rejoin(&self) {
        self.port("master br0");
    }

    /// From now on its cable carries so much each way, such as `8mbit` a second.
    pub fn slow_down(&self, rate: &str) {
        for (namespace, interface) in [(&self.name, INTERFACE), (&self.switch, &self.port)] {
            let shape =
                format!("-n {namespace} qdisc replace dev {interface} root tbf rate {rate}");
            tc(&format!("{shape} burst 64kb latency 300ms"));
        }
    }

    /// Ends [`Host::slow_down`].
    pub fn speed_up(&self) {
        for (namespace, interface) in [(&self.name, INTERFACE), (&self.switch, &self.port)] {
            tc(&format!("-n {namespace} qdisc del dev {interface} root"));
        }
    }

    fn port(&self, change: &str) {
        ip(&format!(
            "-n {} link set {} {change}",
            self.switch, self.port
        ));
    }

    /// From now on that share of the adverts that come in is lost, from 0 to 1.
    pub fn lose_adverts(&self, share: f64) {
        let share = share.to_string();
        for iptables in ["iptables", "ip6tables"] {
            let rule = ["-p", "112", "-m", "statistic", "--mode", "random"];
            let mut command = vec![iptables, "-w", "-A", "INPUT"];
            command.extend(rule);
            command.extend(["--probability", &share, "-j", "DROP"]);
            self.run(&command);
        }
    }

    /// Ends [`Host::lose_adverts`].
    pub fn hear_adverts(&self) {
        for iptables in ["iptables", "ip6tables"] {
            self.run(&[iptables, "-w", "-F", "INPUT"]);
        }
    }

    /// All addresses of the host, on all its interfaces.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let text = finish(Command::new("ip").args(["-n", &self.name, "-o", "address", "show"]));
        text.lines()
            .filter_map(|line| {
                let net = line.split_whitespace().nth(3)?;
                net.split('/').next()?.parse().ok()
            })
            .collect()
    }

    /// Whether it has that address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses().contains(&address)
    }

    /// What `ip` says of the host's interface, e.g. `ip("address show dev eth0")`.
    pub fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.name))
    }

    /// The hardware address of one of its interfaces, as text.
    pub fn mac(&self, interface: &str) -> String {
        let path = format!("/sys/class/net/{interface}/address");
        self.run(&["cat", &path]).trim().to_owned()
    }

    /// The hardware address that it knows for a neighbour, as text.
    pub fn neighbour(&self, address: IpAddr) -> Option<String> {
        let text = self.ip(&format!("neighbour show to {address}"));
        let mut words = text.split_whitespace().skip_while(|word| *word != "lladdr");
        words.nth(1).map(str::to_owned)
    }

    /// Whether `address` answers a ping from this host within a second.
    pub fn reaches(&self, address: IpAddr) -> bool {
        let address = address.to_string();
        let status = self
            .command("ping")
            .args(["-n", "-q", "-c", "1", "-W", "1", &address])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.expect("ping is installed").success()
    }

    /// Starts to write down the VRRP that passes the host's interface, both ways, as `tcpdump -vv` explains it.
    pub fn capture(&self) -> Running {
        let what = "ip proto 112 or ip6 proto 112";
        let capture = self.spawn("tcpdump", ["-i", INTERFACE, "-vv", "-e", "-n", "-l", what]);
        capture.says("listening on");
        capture
    }
}

/// A program in a host. It dies with this value.
pub struct Running {
    child: Child,
    directory: TempDir,
}

impl Running {
    /// Starts it with its output going to files.
    pub fn start(mut command: Command) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(directory.path().join(name)).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("ip is installed");
        Running { child, directory }
    }

    /// What it has printed so far, errors first.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for name in ["stderr", "stdout"] {
            let mut bytes = Vec::new();
            let mut file = File::open(self.directory.path().join(name)).unwrap();
            file.read_to_end(&mut bytes).unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        text
    }

    /// Waits until it has printed `what`.
    pub fn says(&self, what: &str) {
        eventually(
            &format!("it prints {what:?}"),
            Duration::from_secs(30),
            || self.text().contains(what),
        );
    }

    /// Its process.
    pub fn id(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.id(), signal).unwrap();
    }

    /// Whether it has come to its end.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// A directory that lives as long as the program.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `ip` with arguments that are parted by spaces.
fn ip(arguments: &str) -> String {
    finish(Command::new("ip").args(arguments.split(' ')))
}

/// The same with `tc`.
fn tc(arguments: &str) {
    finish(Command::new("tc").args(arguments.split(' ')));
}

fn finish(command: &mut Command) -> String {
    let output = command.output().expect("iproute2 is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Removes a namespace and ends what still runs in it. Says nothing of what is gone already.
fn remove(name: &str) {
    let ip = |arguments: &[&str]| Command::new("ip").args(arguments).output();
    if let Ok(output) = ip(&["netns", "pids", name]) {
        for pid in String::from_utf8_lossy(&output.stdout).split_whitespace() {
            let _ = kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL);
        }
    }
    let _ = ip(&["netns", "del", name]);
}

/// Removes the namespaces of test processes that are no more.
fn sweep() {
    let Ok(names) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for entry in names.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        // A dead process that nobody has waited for has a number still, and no program.
        let gone = |process| std::fs::read_link(format!("/proc/{process}/exe")).is_err();
        if process.is_some_and(gone) {
            remove(&name);
        }
    }
}
