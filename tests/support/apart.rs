//! Nodes that share nothing: storage, database and Redis of their own, as two masters have them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::door::{Door, Plan};
use super::harbor::{ACCOUNTS, Dialect, HarborNode, Options, TokenKey};
use super::ports;
use super::redis::RedisServer;

/// One key pair for all; making one takes a while.
static KEY: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory for the key");
    let key = TokenKey::generate(directory.path()).expect("a token key");
    (directory, key)
});

/// Nodes that share nothing but, as operators are told, the token key.
pub struct Apart {
    /// The door, if there is one. First, so that it ends before its nodes.
    pub door: Option<Door>,
    /// The nodes, `harbor-1` first, each at a loopback address of its own (`127.0.0.2`, `127.0.0.3`, …), which its
    /// replication comes from too.
    pub nodes: Vec<HarborNode>,
    /// Their Redis servers, in the same order; none for nodes that keep sessions in themselves.
    pub redis: Vec<RedisServer>,
    /// Where their door is or would be: the address in their public URL.
    pub public: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Apart {
    /// `count` nodes of one dialect behind a door that is told so (`topology = "replicated"`); `node` may change each
    /// node's options (`key = None` gives it a token key of its own), `door` the door's configuration.
    pub async fn start(
        dialect: Dialect,
        count: usize,
        node: impl FnMut(&mut Options),
        door: impl FnOnce(&mut Plan),
    ) -> Self {
        let mut apart = Self::nodes(dialect, count, node).await;
        let mut plan = apart.plan();
        door(&mut plan);
        let opened = Door::start_at(&plan, apart.public);
        opened.settled();
        apart.door = Some(opened);
        apart
    }

    /// The same without a door.
    pub async fn nodes(dialect: Dialect, count: usize, mut node: impl FnMut(&mut Options)) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the nodes");
        let key = KEY.1.clone();
        let public = ports::free();
        let mut apart = Apart {
            door: None,
            nodes: Vec::new(),
            redis: Vec::new(),
            public,
            _directory: directory,
        };
        for number in 1..=count {
            let name = format!("harbor-{number}");
            let own = apart._directory.path().join(&name);
            let storage = own.join("storage");
            std::fs::create_dir_all(&storage).unwrap();
            let mut options = Options::new(&name, dialect, storage);
            options.address = ports::on(&format!("127.0.0.{}", number + 1));
            options.database = Some(own.join("database"));
            options.key = Some(key.clone());
            options.external_url = format!("https://{public}");
            let redis = RedisServer::start();
            options.redis = Some(redis.url());
            node(&mut options);
            if options.redis.is_some() {
                apart.redis.push(redis);
            }
            apart.nodes.push(HarborNode::start(options).await);
        }
        apart
    }

    /// What a door in front of these nodes is told, to begin with.
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::fronting(self.nodes.iter().map(HarborNode::url));
        plan.cluster.push_str("topology = \"replicated\"\n");
        plan
    }
}

/// Sets up what operators of several masters do: each node replicates every push and deletion of every project to each
/// other one as it happens, at that one's own address.
pub async fn pair_up(nodes: &[&HarborNode]) {
    for from in nodes {
        for to in nodes.iter().filter(|to| to.address != from.address) {
            replicate(from, to).await;
        }
    }
}

/// The same one way only. Returns the ids of registry and policy.
pub async fn replicate(from: &HarborNode, to: &HarborNode) -> (u64, u64) {
    let (user, password, _) = ACCOUNTS[0];
    let name = to.options().name.as_str();
    if from.options().dialect == Dialect::Harbor15 {
        let target = json!({"endpoint": to.url(), "name": name, "username": user, "password": password, "type": 0, "insecure": true});
        let target = from.make("/api/targets", target).await;
        let (_, projects) = from.call("GET", "/api/projects?page_size=100", None).await;
        let projects = projects.as_array().expect("projects");
        let projects: Vec<Value> = projects
            .iter()
            .map(|project| json!({"project_id": project["project_id"]}))
            .collect();
        let policy = json!({
            "name": format!("to-{name}"),
            "projects": projects,
            "targets": [{"id": target}],
            "trigger": {"kind": "Immediate"},
            "filters": [],
            "replicate_deletion": true,
        });
        let policy = from.make("/api/policies/replication", policy).await;
        return (target, policy);
    }
    let root = match from.options().dialect {
        Dialect::Harbor2 => "/api/v2.0",
        _ => "/api",
    };
    let registry = json!({
        "name": name,
        "type": "harbor",
        "url": to.url(),
        "insecure": true,
        "credential": {"type": "basic", "access_key": user, "access_secret": password},
    });
    let registry = from.make(&format!("{root}/registries"), registry).await;
    let policy = json!({
        "name": format!("to-{name}"),
        "enabled": true,
        "override": true,
        "replicate_deletion": true,
        "deletion": true,
        "dest_registry": {"id": registry},
        "trigger": {"type": "event_based"},
        "filters": [{"type": "name", "value": "**"}],
    });
    let policy = from
        .make(&format!("{root}/replication/policies"), policy)
        .await;
    (registry, policy)
}
