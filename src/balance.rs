//! The room `balance`: which of several nodes that may take a request shall take it.
//!
//! Pure: load, latency and weights come in as [`Candidate`]s, randomness as an argument, and an index goes out.
//! Nothing here allocates, locks or reads a clock, because it runs once or more for every request.

pub mod budget;
pub mod ewma;
pub mod gradient;
mod hashing;
mod pick;
pub mod shares;
mod stamp;

pub use budget::RetryBudget;
pub use ewma::Ewma;
pub use hashing::hash;
pub use pick::choose;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// How a node is chosen among those that may take a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// Two nodes are drawn by weight and the less loaded one wins: no herding, no global view needed.
    #[default]
    TwoChoices,
    /// One after the other, in proportion to their weights.
    RoundRobin,
    /// The node with the fewest running requests for its weight.
    Least,
    /// Two nodes are drawn by weight and the one that answers sooner wins.
    Ewma,
    /// The node that the request's key hashes to; the same one at every balancer.
    Rendezvous,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [
        Self::TwoChoices,
        Self::RoundRobin,
        Self::Least,
        Self::Ewma,
        Self::Rendezvous,
    ];

    /// The word for it in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TwoChoices => "two-choices",
            Self::RoundRobin => "round-robin",
            Self::Least => "least",
            Self::Ewma => "ewma",
            Self::Rendezvous => "rendezvous",
        }
    }

    /// The algorithm that a configuration calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A node that may take the request, as the choice sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// What [`choose`] returns for it; means nothing here.
    pub index: usize,
    /// The operator's weight, already scaled by slow start. Zero: only when all are zero.
    pub weight: f32,
    /// Requests that run on the node now.
    pub in_flight: u32,
    /// Moving average of its time to first byte, in seconds; 0 when never measured.
    pub latency: f32,
    /// [`hash`] of the node's name.
    pub seed: u64,
}

/// The place where round robin stands.
#[derive(Debug, Default)]
pub struct Turn(AtomicU64);

impl Turn {
    /// Starts at the first node.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_found_by_its_name() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_name("fastest"), None);
    }

    #[test]
    fn serde_and_the_configuration_call_an_algorithm_the_same() {
        for algorithm in Algorithm::ALL {
            let json = serde_json::to_string(&algorithm).unwrap();
            assert_eq!(json, format!("\"{}\"", algorithm.name()));
        }
    }
}
