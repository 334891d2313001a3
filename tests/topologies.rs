//! Nodes that have data of their own: who is asked for what, and who is believed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod deleted;
mod followed;
mod outage;
mod primary;
mod proxies;
mod replicated;
mod tiers;
mod tokens;

use std::net::IpAddr;
use std::time::Duration;

use super::support::apart::Apart;
use super::support::door::{Door, Plan, eventually};
use super::support::harbor::{ACCOUNTS, DOCKER, Dialect, Dialer, HarborNode, RegistryClient, push};
use super::support::redis::RedisServer;

/// Nothing here takes longer.
const SOON: Duration = Duration::from_secs(15);

/// A client of `door` that may push.
fn pusher(door: &Door) -> RegistryClient {
    let dialer = Dialer {
        from: IpAddr::from([127, 0, 0, 1]),
        agent: DOCKER.to_owned(),
    };
    let (user, password, _) = ACCOUNTS[0];
    RegistryClient::new(dialer, &door.url(), user, password)
}

/// A client of `door` that only pulls.
fn puller(door: &Door) -> RegistryClient {
    // Harbor gives a token every right that its user has, whatever was asked for.
    let (user, password, _) = ACCOUNTS[1];
    let mut client = pusher(door);
    (client.user, client.password) = (user.to_owned(), password.to_owned());
    client
}

/// Nodes with data of their own behind two doors that share a store.
struct Two {
    apart: Apart,
    b: Door,
    _store: RedisServer,
}

impl Two {
    /// `count` nodes; `node` names the keys of each, by its number from 1.
    async fn start(topology: &str, count: usize, keys: impl Fn(usize) -> String) -> Self {
        Self::of(
            Apart::nodes(Dialect::Harbor2, count, |_| {}).await,
            topology,
            keys,
        )
    }

    fn of(apart: Apart, topology: &str, keys: impl Fn(usize) -> String) -> Self {
        Self::with(apart, &format!("topology = \"{topology}\"\n"), keys)
    }

    /// The same with these keys of `[cluster]`.
    fn with(mut apart: Apart, cluster: &str, keys: impl Fn(usize) -> String) -> Self {
        let store = RedisServer::start();
        let plan = |door: &str| {
            let mut plan = Plan::fronting(apart.nodes.iter().map(HarborNode::url));
            // Some nodes are far away on purpose.
            plan.more = plan.more.replace("timeout = \"1s\"", "timeout = \"8s\"");
            plan.cluster = cluster.to_owned();
            plan.keys = (1..=apart.nodes.len()).map(&keys).collect();
            plan.more += &format!(
                "[sessions]\nstore = \"redis://{}/8\"\ndoor = \"{door}\"\nbudget = \"250ms\"\n",
                store.address
            );
            plan
        };
        let (a, b) = (plan("door-a"), plan("door-b"));
        let a = Door::start_at(&a, apart.public);
        let b = Door::start(&b);
        for door in [&a, &b] {
            door.settled();
            eventually("the store is there", SOON, || {
                door.said("the session store is there")
            });
        }
        apart.door = Some(a);
        Two {
            apart,
            b,
            _store: store,
        }
    }

    fn a(&self) -> &Door {
        self.apart.door.as_ref().unwrap()
    }

    fn doors(&self) -> [&Door; 2] {
        [self.a(), &self.b]
    }

    fn node(&self, number: usize) -> &HarborNode {
        &self.apart.nodes[number - 1]
    }

    /// The number of the only node that has an image.
    fn home(&self, repository: &str, reference: &str) -> usize {
        let homes: Vec<usize> = (1..=self.apart.nodes.len())
            .filter(|number| self.node(*number).has(repository, reference).is_some())
            .collect();
        assert_eq!(homes.len(), 1, "{repository}:{reference} is at {homes:?}");
        homes[0]
    }
}

/// The nodes that answered requests of `class` through `door`, in the order of its log, once there are `count`.
fn nodes_of(door: &Door, class: &str, count: usize) -> Vec<String> {
    let of_class = || -> Vec<String> {
        let lines = door.access();
        let lines = lines.iter().filter(|line| line["class"] == class);
        lines
            .map(|line| line["node"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    eventually("the lines of the log", SOON, || of_class().len() >= count);
    of_class()
}

/// What a pull by a client finds: manifest, then every blob of it, each by its digest.
async fn pulls(
    client: &RegistryClient,
    repository: &str,
    reference: &str,
) -> Result<String, String> {
    let digest = client.digest(repository, reference).await?;
    let digest = digest.ok_or_else(|| format!("{reference} is unknown"))?;
    let (manifest, _) = client.manifest(repository, &digest).await?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    for part in layers.chain([&manifest["config"]]) {
        let blob = part["digest"].as_str().unwrap();
        client.blob(repository, blob).await?;
    }
    Ok(digest)
}
