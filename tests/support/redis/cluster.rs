//! A Redis Cluster: three masters, each with a replica.

use std::net::SocketAddr;
use std::time::Duration;

use super::{RedisServer, command};
use crate::support::door::eventually;
use crate::support::ports;

/// Six servers, of which a replica takes a dead master's place within a few seconds.
pub struct RedisCluster {
    /// The servers, in no order that says who is a master.
    pub servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts them and returns when every slot has a master and every master a replica.
    pub fn start() -> Self {
        let server = |_| {
            // The usual port of the bus, 10000 higher, may be one that connections get.
            let bus = ports::free().port().to_string();
            RedisServer::start_with(&[
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "1000",
                "--cluster-port",
                &bus,
            ])
        };
        let cluster = Self {
            servers: (0..6).map(server).collect(),
        };
        let made = std::process::Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(
                cluster
                    .servers
                    .iter()
                    .map(|server| server.address.to_string()),
            )
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .expect("redis-cli is installed");
        assert!(made.status.success(), "no cluster: {made:?}");
        eventually("the cluster stands", Duration::from_secs(20), || {
            cluster.ok() && cluster.servers.iter().all(|server| paired(server.address))
        });
        cluster
    }

    /// `redis+cluster://…`.
    pub fn url(&self) -> String {
        let all: Vec<String> = self.servers.iter().map(|s| s.address.to_string()).collect();
        format!("redis+cluster://{}", all.join(","))
    }

    /// Whether everybody who is awake says that every slot is served.
    pub fn ok(&self) -> bool {
        let mut awake = self.servers.iter().filter(|server| server.is_awake());
        awake.all(|one| command(one.address, &["CLUSTER", "INFO"]).contains("cluster_state:ok"))
    }

    /// The master of a key's slot, by the word of somebody who is awake.
    pub fn master_of(&self, key: &str) -> SocketAddr {
        self.find_master_of(key).expect("a master of the slot")
    }

    /// The same while there may be none.
    pub fn find_master_of(&self, key: &str) -> Option<SocketAddr> {
        let one = self.servers.iter().find(|server| server.is_awake());
        let one = one.expect("a server that is awake").address;
        let slot: u16 = command(one, &["CLUSTER", "KEYSLOT", key])
            .parse()
            .expect("a slot");
        let nodes = command(one, &["CLUSTER", "NODES"]);
        nodes.lines().find_map(|line| owner(line, slot))
    }

    /// Kills the master of a key's slot; where it was.
    pub fn kill_master_of(&mut self, key: &str) -> SocketAddr {
        let address = self.master_of(key);
        let mut servers = self.servers.iter_mut();
        let master = servers.find(|server| server.address == address);
        master.expect("one of ours").kill();
        address
    }

    /// Freezes the master of a key's slot; where it is.
    pub fn hang_master_of(&self, key: &str) -> SocketAddr {
        let address = self.master_of(key);
        let master = self.servers.iter().find(|server| server.address == address);
        master.expect("one of ours").hang();
        address
    }

    /// Lets everybody go on who was frozen.
    pub fn resume_all(&self) {
        self.servers.iter().for_each(RedisServer::resume);
    }

    /// Starts everybody again who was killed. It knows its cluster, and has lost its keys.
    pub fn revive_dead(&mut self) {
        let dead = self.servers.iter_mut().filter(|one| one.child.is_none());
        dead.for_each(RedisServer::revive);
    }
}

/// Whether a master has its replica, or a replica its master.
fn paired(address: SocketAddr) -> bool {
    let state = command(address, &["INFO", "replication"]);
    state.contains("state=online") || state.contains("master_link_status:up")
}

/// The address in a line of `CLUSTER NODES`, if it is of a healthy master that has the slot.
fn owner(line: &str, slot: u16) -> Option<SocketAddr> {
    let mut words = line.split(' ');
    let address = words.nth(1)?.split('@').next()?.parse().ok()?;
    let role = words.next()?;
    let has = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bounds = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
        bounds.is_some_and(|(first, last)| (first..=last).contains(&slot))
    };
    let good = role.contains("master") && !role.contains("fail");
    (good && words.skip(5).any(has)).then_some(address)
}
