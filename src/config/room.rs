//! How many requests a node gets at once, and who keeps which part of that.

use super::scope::Scope;
use super::{Config, Node, Wrong};
use crate::harbor::share::Share;

/// The fewest requests that can be divided.
const LEAST: u32 = 8;
/// The most.
const MOST: u32 = 1_000_000;

/// The room of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Requests at once.
    pub requests: u32,
    /// Percent of them that are kept for each share, in the order of [`Share::ALL`].
    pub percent: [u8; 3],
    /// Whether the limit follows what the node can do, up to `requests`.
    pub adaptive: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            requests: 2048,
            percent: [10, 20, 20],
            adaptive: false,
        }
    }
}

impl Room {
    pub(super) fn read(scope: &mut Scope<'_>) -> Self {
        let default = Self::default();
        Self {
            requests: read_requests(scope, "node_requests").unwrap_or(default.requests),
            percent: read_shares(scope.table("shares"), default.percent),
            adaptive: scope.flag("adaptive").unwrap_or(default.adaptive),
        }
    }
}

/// Reads how many requests a node gets at once.
pub(super) fn read_requests(scope: &mut Scope<'_>, key: &'static str) -> Option<u32> {
    scope.number(key, LEAST..=MOST)
}

fn read_shares(mut scope: Scope<'_>, default: [u8; 3]) -> [u8; 3] {
    let mut percent = default;
    for (share, percent) in Share::ALL.into_iter().zip(&mut percent) {
        *percent = scope.number(share.slug(), 1..=98).unwrap_or(*percent);
    }
    let sum: u32 = percent.iter().map(|part| u32::from(*part)).sum();
    if sum > 100 {
        let what = format!("are {sum} percent together");
        let fix = "keep 100 percent or less; what is left over is for whoever comes first";
        scope.wrong("", Wrong::new(what, fix));
        percent = default;
    }
    scope.finish();
    percent
}

impl Config {
    /// The room of `node`.
    pub fn room(&self, node: &Node) -> Room {
        Room {
            requests: node.requests.unwrap_or(self.limits.room.requests),
            ..self.limits.room
        }
    }
}
