//! `[affinity]`: what sticks to a node, for how long, and how much of it is remembered.

use std::time::Duration;

use super::scope::Scope;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// What sticks to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// An upload, to the node that opened it.
    pub upload: Stick,
    /// A session of the user interface, to the node that it began on.
    pub ui: Stick,
    /// A repository, to the node that took its last push.
    pub push: Stick,
}

/// How one kind sticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stick {
    /// Whether it does.
    pub enabled: bool,
    /// For how long after the last request.
    pub ttl: Duration,
    /// How many are kept in memory.
    pub entries: usize,
}

impl Default for Affinity {
    fn default() -> Self {
        let stick = |ttl, entries| Stick {
            enabled: true,
            ttl,
            entries,
        };
        Self {
            upload: stick(DAY, 50_000),
            ui: stick(60 * MINUTE, 100_000),
            push: stick(10 * MINUTE, 10_000),
        }
    }
}

impl Affinity {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let affinity = Self {
            upload: Stick::read(scope.table("upload"), default.upload),
            ui: Stick::read(scope.table("ui"), default.ui),
            push: Stick::read(scope.table("push"), default.push),
        };
        scope.finish();
        affinity
    }
}

impl Stick {
    fn read(mut scope: Scope<'_>, default: Self) -> Self {
        let stick = Self {
            enabled: scope.flag("enabled").unwrap_or(default.enabled),
            ttl: scope
                .duration("ttl", MINUTE..=30 * DAY)
                .unwrap_or(default.ttl),
            entries: scope
                .number("entries", 100..=10_000_000)
                .unwrap_or(default.entries),
        };
        scope.finish();
        stick
    }
}
