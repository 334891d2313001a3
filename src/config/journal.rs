//! `[journal]`: what is written while a peer is away, and who brings it there.

use std::time::Duration;

use super::scope::Scope;

const SECOND: Duration = Duration::from_secs(1);

/// What is written while a peer is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Whether it is kept.
    pub enabled: bool,
    /// Whether Seawall brings it to the peer itself, with the account of the cluster.
    pub reconcile: bool,
    /// How long the nodes' own replication may take before Seawall does it.
    pub grace: Duration,
    /// The most references that are kept.
    pub most: usize,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            enabled: true,
            reconcile: true,
            grace: 10 * SECOND,
            most: 100_000,
        }
    }
}

impl Journal {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let journal = Self {
            enabled: scope.flag("enabled").unwrap_or(default.enabled),
            reconcile: scope.flag("reconcile").unwrap_or(default.reconcile),
            grace: scope
                .duration("grace", SECOND / 10..=3600 * SECOND)
                .unwrap_or(default.grace),
            most: scope
                .number("most", 100..=10_000_000)
                .unwrap_or(default.most),
        };
        scope.finish();
        journal
    }
}
