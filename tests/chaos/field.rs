//! Where it happens: two doors that share an address, three nodes, their Redis, and clients with cables of their own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::certs::Authority;
use crate::support::door::eventually;
use crate::support::harbor::{Dialect, HarborNode, Options, Timing, TokenKey};
use crate::support::keepalived::Instance;
use crate::support::netns::{Host, Lab, Running};
use crate::support::vip::{Door, PORT, Plan};

/// The hosts of clients; doors are at 1 and 2.
pub const CLIENTS: std::ops::RangeInclusive<usize> = 3..=6;
/// The hosts of nodes.
pub const NODES: std::ops::RangeInclusive<usize> = 7..=9;
const REDIS: usize = 10;
/// All of them.
pub const HOSTS: u8 = 10;
/// What the cable of a client carries, so that bodies are on their way most of the time.
const CABLE: &str = "40mbit";
/// Least, usual and largest buffers of connections, so that a body is at its node and not on its way.
const BUFFERS: &str = "4096 65536 262144";
/// What a trouble may take to be over, on a machine with much else to do.
pub const SETTLES: Duration = Duration::from_secs(60);
/// An address that stays for so long, two adverts and more, has stopped moving.
const STAYS: Duration = Duration::from_millis(2500);

pub fn vip() -> IpAddr {
    IpAddr::from([10, 77, 0, 100])
}

/// The name of the registry.
pub fn registry() -> String {
    format!("{}:{PORT}", vip())
}

/// The doors, whatever their processes are just now.
pub struct Doors<'a> {
    pub doors: [Door<'a>; 2],
    /// Which of them are neither dead nor frozen nor cut off.
    pub well: [bool; 2],
    /// Processes that were taken over, until they end.
    pub elders: Vec<Running>,
    /// What processes said that are no more, each line with the number of its door.
    said: Vec<String>,
    /// What they counted.
    counted: BTreeMap<String, f64>,
    /// The weight of the second node, which reloads change.
    pub weight: u32,
}

impl Doors<'_> {
    /// Adds up what the door of that index counted, before its process ends.
    pub fn harvest(&mut self, index: usize) {
        let (_, text) = self.doors[index].ask("GET", "/metrics");
        for line in text.lines() {
            let wanted = [
                "attempts_total{",
                "resumes_total{",
                "vip_transitions_total{",
                "retry_budget_exhausted_total ",
            ];
            let name = line.strip_prefix("seawall_").unwrap_or_default();
            let ours = wanted.iter().any(|wanted| name.starts_with(wanted));
            if let (true, Some((name, value))) = (ours, line.rsplit_once(' ')) {
                *self.counted.entry(name.to_owned()).or_default() +=
                    value.parse::<f64>().unwrap_or_default();
            }
        }
    }

    /// Keeps the log of a door's process, after its end.
    pub fn remember(&mut self, index: usize) {
        let log = self.doors[index].log();
        let lines = log.lines().map(|line| format!("{line} door {}", index + 1));
        self.said.extend(lines);
    }

    /// Everything that all processes said, in the order of its time.
    pub fn log(&mut self) -> String {
        (0..2).for_each(|index| self.remember(index));
        let elders = self.elders.iter().map(Running::text);
        let elders: Vec<String> = elders
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        self.said.extend(elders);
        self.said.sort();
        self.said.join("\n")
    }

    /// Everything harvested.
    pub fn counted(&self) -> &BTreeMap<String, f64> {
        &self.counted
    }

    /// Whether every door that is well has all nodes up.
    fn trust_all_nodes(&self) -> bool {
        let trusts = |door: &Door<'_>| {
            let nodes = door.ask("GET", "/api/v1/nodes").1;
            nodes.matches("\"state\":\"up\"").count() == NODES.count()
        };
        let mut well = self.doors.iter().zip(self.well).filter(|(_, well)| *well);
        well.all(|(door, _)| trusts(door))
    }
}

/// All of it.
pub struct Field<'a> {
    pub lab: &'a Lab,
    pub nodes: Vec<HarborNode>,
    pub redis: Redis<'a>,
    pub doors: Mutex<Doors<'a>>,
    directory: TempDir,
}

impl<'a> Field<'a> {
    /// Starts everything, and returns when all are well and the first door has the address.
    pub fn new(lab: &'a Lab) -> Field<'a> {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new(directory.path());
        authority.issue(directory.path(), "door", &[&vip().to_string()]);
        for number in 1..=usize::from(HOSTS) {
            let [read, write] = ["rmem", "wmem"]
                .map(|which| format!("echo {BUFFERS} > /proc/sys/net/ipv4/tcp_{which}"));
            let host = lab.host(number);
            host.run(&["sh", "-c", &format!("{read} && {write}")]);
        }
        let redis = Redis::start(lab.host(REDIS));
        let key = TokenKey::generate(directory.path()).unwrap();
        let storage = directory.path().join("storage");
        std::fs::create_dir_all(&storage).unwrap();
        let nodes: Vec<HarborNode> = NODES
            .map(|number| {
                let host = lab.host(number);
                let name = format!("harbor-{}", number - NODES.start() + 1);
                let mut options = Options::new(&name, Dialect::Harbor2, &storage);
                options.address = (host.ipv4, PORT).into();
                options.redis = Some(format!("redis://{}:6379/0", lab.host(REDIS).ipv4));
                options.key = Some(key.clone());
                options.external_url = format!("https://{}", registry());
                options.timing = a_fifth(Timing::real());
                host.inside(async || HarborNode::start(options).await)
            })
            .collect();
        let urls: Vec<String> = nodes.iter().map(HarborNode::url).collect();
        let pki = directory.path().to_owned();
        let start = |number: usize| {
            Door::start(
                lab.host(number),
                &plan(number, &urls, &pki, &lab.host(REDIS).ipv4.to_string(), 10),
            )
        };
        let field = Field {
            lab,
            redis,
            doors: Mutex::new(Doors {
                doors: [start(1), start(2)],
                well: [true; 2],
                elders: Vec::new(),
                said: Vec::new(),
                counted: BTreeMap::new(),
                weight: 10,
            }),
            nodes,
            directory,
        };
        field.stands().settles();
        for number in CLIENTS {
            lab.host(number).slow_down(CABLE);
        }
        field
    }

    /// What the tracks share.
    pub fn stands(&self) -> Stands<'_, 'a> {
        Stands {
            lab: self.lab,
            doors: &self.doors,
            urls: self.nodes.iter().map(HarborNode::url).collect(),
            pki: self.directory.path().to_owned(),
        }
    }

    /// Those whom the tracks befall, and what two of them need to know of the doors.
    pub fn parts(&mut self) -> (&mut [HarborNode], &mut Redis<'a>, [Stands<'_, 'a>; 2]) {
        let urls: Vec<String> = self.nodes.iter().map(HarborNode::url).collect();
        let stands = [(); 2].map(|()| Stands {
            lab: self.lab,
            doors: &self.doors,
            urls: urls.clone(),
            pki: self.directory.path().to_owned(),
        });
        (&mut self.nodes, &mut self.redis, stands)
    }

    /// The authority that clients believe.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }
}

/// The doors and what belongs to them.
pub struct Stands<'f, 'a> {
    pub lab: &'a Lab,
    doors: &'f Mutex<Doors<'a>>,
    urls: Vec<String>,
    pki: PathBuf,
}

impl<'f, 'a> Stands<'f, 'a> {
    pub fn doors(&self) -> MutexGuard<'f, Doors<'a>> {
        self.doors.lock().unwrap()
    }

    /// The index of the door that has the address.
    pub fn master(&self) -> usize {
        self.lab
            .holders(vip())
            .first()
            .map_or(0, |number| number - 1)
    }

    /// The plan of a door with another weight of its second node.
    pub fn plan(&self, index: usize, weight: u32) -> Plan {
        let redis = self.lab.host(REDIS).ipv4.to_string();
        plan(index + 1, &self.urls, &self.pki, &redis, weight)
    }

    /// Returns when every door that is well trusts every node.
    pub fn trusts(&self) {
        eventually("all nodes are trusted", SETTLES, || {
            self.doors().trust_all_nodes()
        });
    }

    /// Returns when exactly one door has the address, it would serve, and that has been so for [`STAYS`]: after a parting,
    /// the address may go to and fro once.
    pub fn settles(&self) {
        let mut since = None;
        eventually("one door has the address and keeps it", SETTLES, || {
            let holders = self.lab.holders(vip());
            let holder = match holders[..] {
                [number] if self.serves(number) => number,
                _ => 0,
            };
            let (before, begun) = *since.get_or_insert((holder, Instant::now()));
            if holder == 0 || holder != before {
                since = None;
                return false;
            }
            begun.elapsed() >= STAYS
        });
    }

    fn serves(&self, number: usize) -> bool {
        let doors = self.doors();
        doors.well[number - 1] && doors.doors[number - 1].ask("GET", "/readyz").0 == 200
    }
}

/// What a node goes by, where a second of real ones is 200 ms.
fn a_fifth(real: Timing) -> Timing {
    Timing {
        poll: real.poll / 5,
        check: real.check / 5,
        proxy: real.proxy / 5,
        proxy_v2: real.proxy_v2 / 5,
        body_stall: real.body_stall / 5,
        lock: real.lock / 5,
        redis_refused: real.redis_refused / 5,
        redis_hung: real.redis_hung / 5,
        configuration: real.configuration / 5,
        ..real
    }
}

fn plan(number: usize, urls: &[String], pki: &std::path::Path, redis: &str, weight: u32) -> Plan {
    let priority = if number == 1 { 200 } else { 100 };
    let mut plan = Plan::new(&Instance {
        priority,
        // The address moves when its master is in trouble, and not a second time when that returns.
        nopreempt: true,
        // As it is unless operators say otherwise. On a machine with much else to do, a shorter one moves the address
        // though nothing is in trouble.
        advert_interval: "1",
        ..Instance::default()
    });
    let (chain, key) = (pki.join("door.pem"), pki.join("door-key.pem"));
    plan.listen = format!("certificate = [{{ chain = {chain:?}, key = {key:?} }}]");
    plan.public_url = Some(format!("https://{}", registry()));
    plan.node = urls.first().cloned();
    // A fifth of what stands where operators put nothing, or about that.
    plan.timeouts =
        "connect = \"1s\"\nstall = \"2s\"\nidle = \"15s\"\nbody_idle = \"24s\"\ndrain = \"60s\"\n\
                     first_byte = \"180s\"\nfirst_byte_other = \"12s\"\n"
            .to_owned();
    plan.vip = "release_within = \"6s\"".to_owned();
    for (place, url) in urls.iter().enumerate().skip(1) {
        let weight = if place == 1 { weight } else { 10 };
        plan.more += &format!(
            "[[cluster.node]]\nname = \"harbor-{}\"\nurl = \"{url}\"\nweight = {weight}\n",
            place + 1
        );
    }
    plan.more += &format!(
        "[sessions]\nstore = \"redis://{redis}:6379/8\"\ndoor = \"door-{number}\"\n\
         [outlier]\nbase = \"1s\"\nmax = \"4s\"\n"
    );
    plan
}

/// The Redis of the nodes and the doors.
pub struct Redis<'a> {
    host: &'a Host,
    running: Running,
}

impl<'a> Redis<'a> {
    fn start(host: &'a Host) -> Redis<'a> {
        let running = Redis::spawn(host);
        Redis { host, running }
    }

    fn spawn(host: &Host) -> Running {
        let bind = host.ipv4.to_string();
        let mut arguments = vec!["--bind", &bind, "--port", "6379", "--save", ""];
        arguments.extend(["--appendonly", "no", "--protected-mode", "no"]);
        let running = host.spawn("redis-server", arguments);
        running.says("Ready to accept connections");
        running
    }

    pub fn signal(&mut self, signal: Signal) {
        self.running.signal(signal);
        if signal == Signal::SIGKILL {
            self.running.wait();
        }
    }

    /// Starts it again, empty.
    pub fn revive(&mut self) {
        self.running = Redis::spawn(self.host);
    }
}
