//! A master and a replica that three Sentinels watch.

use std::net::SocketAddr;
use std::time::Duration;

use super::{RedisServer, command};
use crate::support::door::eventually;

/// How the Sentinels call the master.
const NAME: &str = "seawall-test";

/// Two servers and three Sentinels, which put the replica in the master's place within a few seconds.
pub struct Sentinels {
    /// The servers with the data; the first is the master at first.
    pub servers: Vec<RedisServer>,
    /// The Sentinels.
    pub sentinels: Vec<RedisServer>,
}

impl Sentinels {
    /// Starts them and returns when a failover would succeed.
    pub fn start() -> Self {
        let master = RedisServer::start();
        let (at, port) = (master.address, master.address.port().to_string());
        let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
        // A Sentinel that sees no replica at first looks again only after ten seconds.
        eventually("the replica follows", Duration::from_secs(10), || {
            let state = command(at, &["INFO", "replication"]);
            state.contains("state=online")
        });
        let lines = format!(
            "sentinel resolve-hostnames no\nsentinel monitor {NAME} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 2000\n\
             sentinel parallel-syncs {NAME} 1\n"
        );
        let sentinel = |_| RedisServer::launch(&lines, &["--sentinel"]);
        let all = Self {
            servers: vec![master, replica],
            sentinels: (0..3).map(sentinel).collect(),
        };
        eventually("the Sentinels know it all", Duration::from_secs(20), || {
            all.sentinels.iter().all(|one| knows_all(one.address))
        });
        all
    }

    /// `redis+sentinel://…/seawall-test/DB`.
    pub fn url(&self, db: u8) -> String {
        let all: Vec<String> = self
            .sentinels
            .iter()
            .map(|s| s.address.to_string())
            .collect();
        format!("redis+sentinel://{}/{NAME}/{db}", all.join(","))
    }

    /// Who the master is, by the word of the first Sentinel that is awake.
    pub fn master(&self) -> SocketAddr {
        let one = self.sentinels.iter().find(|one| one.is_awake());
        let one = one.expect("a Sentinel that is awake").address;
        let told = command(one, &["SENTINEL", "get-master-addr-by-name", NAME]);
        let told = told.replace('\n', ":");
        told.parse()
            .unwrap_or_else(|_| panic!("{one} knows no master: {told}"))
    }

    /// Kills the master; where it was.
    pub fn kill_master(&mut self) -> SocketAddr {
        let address = self.master();
        let mut servers = self.servers.iter_mut();
        let master = servers.find(|server| server.address == address);
        master.expect("one of ours").kill();
        address
    }

    /// Freezes the master; where it is.
    pub fn hang_master(&self) -> SocketAddr {
        let address = self.master();
        let master = self.servers.iter().find(|server| server.address == address);
        master.expect("one of ours").hang();
        address
    }

    /// Lets everybody go on who was frozen.
    pub fn resume_all(&self) {
        self.servers
            .iter()
            .chain(&self.sentinels)
            .for_each(RedisServer::resume);
    }

    /// Starts everybody again who was killed. A master of old begins empty and as a master, until the Sentinels
    /// make it a replica.
    pub fn revive_dead(&mut self) {
        let all = self.servers.iter_mut().chain(&mut self.sentinels);
        all.filter(|one| one.child.is_none())
            .for_each(RedisServer::revive);
    }
}

/// Whether a Sentinel knows the other two, and the replica well enough to promote it.
fn knows_all(sentinel: SocketAddr) -> bool {
    let quorum = command(sentinel, &["SENTINEL", "ckquorum", NAME]);
    let replicas = command(sentinel, &["SENTINEL", "slaves", NAME]);
    quorum.starts_with("OK 3 usable") && replicas.contains("master-link-status\nok")
}
