//! The guide's cluster: nodes that share storage, Redis and keys, behind one door.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use super::door::{Door, Plan};
use super::harbor::{Dialect, HarborNode, Options, TokenKey};
use super::ports;
use super::redis::RedisServer;

/// Nodes that share storage, Redis and keys, behind one door.
pub struct Cluster {
    /// The door. First, so that it ends before its nodes.
    pub door: Door,
    /// The nodes, `harbor-1` first.
    pub nodes: Vec<HarborNode>,
    /// What they share.
    pub redis: RedisServer,
    _shared: tempfile::TempDir,
}

impl Cluster {
    /// `count` nodes of one dialect, all up.
    pub async fn start(dialect: Dialect, count: usize) -> Self {
        Self::start_with(dialect, count, |_| {}, |_| {}).await
    }

    /// The same with changes to the nodes and to the door's configuration.
    pub async fn start_with(
        dialect: Dialect,
        count: usize,
        mut node: impl FnMut(&mut Options),
        door: impl FnOnce(&mut Plan),
    ) -> Self {
        let shared = tempfile::tempdir().expect("a shared directory");
        let redis = RedisServer::start();
        let key = TokenKey::generate(shared.path()).expect("a token key");
        let storage = shared.path().join("storage");
        std::fs::create_dir_all(&storage).unwrap();
        let address = ports::free();
        let mut nodes = Vec::new();
        for number in 1..=count {
            let mut options = Options::new(&format!("harbor-{number}"), dialect, &storage);
            options.redis = Some(redis.url());
            options.key = Some(key.clone());
            options.external_url = format!("https://{address}");
            node(&mut options);
            nodes.push(HarborNode::start(options).await);
        }
        let mut plan = Plan::fronting(nodes.iter().map(HarborNode::url));
        door(&mut plan);
        let door = Door::start_at(&plan, address);
        door.settled();
        Cluster {
            door,
            nodes,
            redis,
            _shared: shared,
        }
    }
}
