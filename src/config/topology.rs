//! How the nodes of a cluster hold data, and what each node is in that.

use super::scope::Scope;
use super::{Node, Wrong};

/// More levels than any organisation has.
const HIGHEST_TIER: u8 = 15;

/// How the nodes hold data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    /// One database and one storage for all: every node can serve everything.
    #[default]
    Shared,
    /// Each node has data of its own, and the nodes replicate to each other; every project has one that writes.
    Replicated,
    /// One node takes what is written and feeds the others.
    PrimaryReplica,
    /// Nodes in tiers, the nearest first: what one lacks is above it.
    Tiered,
}

impl Topology {
    /// Every topology.
    pub const ALL: [Topology; 4] = [
        Topology::Shared,
        Topology::Replicated,
        Topology::PrimaryReplica,
        Topology::Tiered,
    ];

    /// The word for it in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Replicated => "replicated",
            Self::PrimaryReplica => "primary-replica",
            Self::Tiered => "tiered",
        }
    }

    /// Whether all nodes have the same storage, database and Redis behind them.
    pub const fn shares_data(self) -> bool {
        matches!(self, Self::Shared)
    }
}

/// What a node is to the others where one of them writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes what is written.
    Primary,
    /// It is fed.
    Replica,
}

impl Role {
    /// The word for it in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// What a node is in its topology, as its table says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// What it is to the others.
    pub role: Option<Role>,
    /// How far it is: 0 is nearest.
    pub tier: Option<u8>,
    /// The storage that it shares with every node that names the same.
    pub storage: Option<String>,
}

impl Part {
    pub(super) fn read(scope: &mut Scope<'_>) -> Self {
        let roles = [Role::Primary, Role::Replica].map(|role| (role.name(), role));
        Self {
            role: scope.choice("role", &roles),
            tier: scope.number("tier", 0..=HIGHEST_TIER),
            storage: scope.word("storage", |name| super::node::read_name(name, "a storage")),
        }
    }
}

/// Checks that the nodes are what the topology asks for.
pub(super) fn check(scope: &Scope<'_>, topology: Topology, write_tier: Option<u8>, nodes: &[Node]) {
    let wrong = |node: &Node, key: &str, what: String, fix: &str| {
        scope.wrong_at(node.at, &format!("node.{key}"), Wrong::new(what, fix));
    };
    for node in nodes {
        let Part {
            role,
            tier,
            storage,
        } = &node.part;
        if role.is_some() && topology != Topology::PrimaryReplica {
            let what = format!("means nothing with topology \"{}\"", topology.name());
            wrong(
                node,
                "role",
                what,
                "write topology = \"primary-replica\", or remove it",
            );
        }
        if tier.is_some() && topology != Topology::Tiered {
            let what = format!("means nothing with topology \"{}\"", topology.name());
            wrong(
                node,
                "tier",
                what,
                "write topology = \"tiered\", or remove it",
            );
        }
        if storage.is_some() && topology.shares_data() {
            let what = "means nothing where all nodes share one storage".to_owned();
            wrong(
                node,
                "storage",
                what,
                "remove it, or choose another topology",
            );
        }
    }
    let primaries: Vec<&Node> = nodes
        .iter()
        .filter(|node| node.part.role == Some(Role::Primary))
        .collect();
    if topology == Topology::PrimaryReplica {
        let differ = |(a, b): &(&&Node, &&Node)| {
            a.part.storage.is_none() || a.part.storage != b.part.storage
        };
        let mut pairs = primaries.iter().zip(primaries.iter().skip(1));
        if primaries.is_empty() && !nodes.is_empty() {
            let fix = "write role = \"primary\" at the node that takes what is written";
            scope.wrong("topology", Wrong::new("needs a primary", fix));
        } else if let Some((first, second)) = pairs.find(differ) {
            let what = format!("`{}` is a primary, too", first.name);
            let fix = "leave one primary; several must name the same `storage`";
            wrong(second, "role", what, fix);
        }
    }
    if let Some(tier) = write_tier {
        let has = |node: &Node| node.part.tier.unwrap_or_default() == tier;
        if topology != Topology::Tiered {
            scope.useless("write_tier", "means nothing without tiers");
        } else if !nodes.iter().any(has) {
            let what = format!("is {tier}, and no node is of that tier");
            scope.wrong("write_tier", Wrong::new(what, "name the tier of a node"));
        }
    }
}
