//! `[resume]`: downloads that go on at another node.

use super::scope::Scope;

/// Whether and how a download goes on when its node dies in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Whether it does at all.
    pub enabled: bool,
    /// The most nodes that are asked for the rest of one download.
    pub attempts: u32,
    /// Whether what passes is compared with its digest.
    pub verify: bool,
}

impl Default for Resume {
    fn default() -> Self {
        Self {
            enabled: true,
            attempts: 10,
            verify: false,
        }
    }
}

impl Resume {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let resume = Self {
            enabled: scope.flag("enabled").unwrap_or(default.enabled),
            attempts: scope
                .number("attempts", 1..=1000)
                .unwrap_or(default.attempts),
            verify: scope.flag("verify").unwrap_or(default.verify),
        };
        scope.finish();
        resume
    }
}
