//! `[cluster]`: the nodes that form one registry, and how requests are spread over them.

use std::collections::HashMap;
use std::path::PathBuf;

use super::scope::Scope;
use super::topology;
use super::{At, Node, Secret, Topology, Url, Wrong};
use crate::balance::Algorithm;

/// More nodes than any Harbor cluster has; per-node state is sized by it.
const MOST_NODES: usize = 128;

/// The cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// How clients reach the cluster; none: as their `Host` says.
    pub public_url: Option<Url>,
    /// How the nodes hold data.
    pub topology: Topology,
    /// The tier that takes what is written; none: the highest.
    pub write_tier: Option<u8>,
    /// Projects that are proxy caches of other registries, besides those that Harbor says are.
    pub proxy_cache: Vec<String>,
    /// How a node is chosen.
    pub balance: Algorithm,
    /// The nodes, with names that differ.
    pub node: Vec<Node>,
    /// The account for deep probes and for what the journal has to bring to a peer.
    pub account: Option<Account>,
}

/// An account of Harbor: a robot or a user with little rights.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Where its table begins.
    pub at: At,
    /// Its name.
    pub user: String,
    /// Its password. Empty when it is in a file and only the text of the configuration was read.
    pub password: Secret,
    /// The file that the password came from.
    pub password_file: Option<PathBuf>,
}

impl Cluster {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let public_url = scope.word("public_url", str::parse::<Url>);
        let topologies = Topology::ALL.map(|topology| (topology.name(), topology));
        let topology = scope.choice("topology", &topologies).unwrap_or_default();
        let write_tier = scope.number("write_tier", 0..=15);
        let proxy_cache = scope.words("proxy_cache", |name| Ok(name.to_owned()));
        let choices = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
        let balance = scope.choice("balance", &choices).unwrap_or_default();
        let nodes = scope.tables("node");
        if nodes.is_empty() && !scope.has("node") {
            let fix = "add a [[cluster.node]] with name and url";
            scope.wrong("node", Wrong::new("is missing", fix));
        }
        if nodes.len() > MOST_NODES {
            let what = format!("has {} nodes", nodes.len());
            let fix = format!("write at most {MOST_NODES}");
            scope.wrong("node", Wrong::new(what, fix));
        }
        let mut names = HashMap::new();
        let mut node: Vec<Node> = Vec::with_capacity(nodes.len());
        for nested in nodes {
            let at = nested.at_key("name");
            let Some(one) = Node::read(nested) else {
                continue;
            };
            match names.get(&one.name) {
                Some(At { line }) => {
                    let what =
                        format!("`{}` is the name of the node in line {line}, too", one.name);
                    let wrong = Wrong::new(what, "give each node a name of its own");
                    scope.wrong_at(at, "node.name", wrong);
                }
                None => {
                    names.insert(one.name.clone(), at);
                }
            }
            node.push(one);
        }
        topology::check(&scope, topology, write_tier, &node);
        let account = Account::read(scope.table("account"));
        scope.finish();
        Self {
            public_url,
            topology,
            write_tier,
            proxy_cache,
            balance,
            node,
            account,
        }
    }
}

impl Account {
    fn read(mut scope: Scope<'_>) -> Option<Self> {
        let at = scope.at();
        let user = scope.word("user", |user| {
            // RFC 7617 section 2: the first colon ends the user.
            if user.is_empty() || user.contains(|c: char| c == ':' || c.is_control()) {
                let what = format!("`{}` cannot be a user", user.escape_debug());
                Err(Wrong::new(what, "write a name without a colon"))
            } else {
                Ok(user.to_owned())
            }
        });
        let given = scope.secret("password", "password_file");
        scope.need("user", "name a robot or user of Harbor");
        if !scope.has("password") {
            scope.need("password_file", "name a file with the password of the user");
        }
        let present = scope.is_present();
        scope.finish();
        present.then_some(())?;
        Some(Self {
            at,
            user: user?,
            password: given.secret?,
            password_file: given.file,
        })
    }
}
