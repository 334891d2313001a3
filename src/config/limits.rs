//! `[limits]` and `[retry]`: how much of everything there may be.

use std::time::Duration;

use super::admission::{ClientLimits, Rates};
use super::scope::Scope;
use super::{Room, size};

/// How much clients may ask for at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of clients.
    pub connections: usize,
    /// Concurrent requests on one HTTP/2 connection.
    pub h2_streams: u32,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Header fields of a request.
    pub headers: usize,
    /// Requests at a node.
    pub room: Room,
    /// Requests of a share that wait for a place at a node.
    pub queue: usize,
    /// How long they wait.
    pub queue_wait: Duration,
    /// What one client may have.
    pub client: ClientLimits,
    /// How often one user may come.
    pub user: Rates,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            h2_streams: 100,
            header_bytes: 64 * 1024,
            headers: 100,
            room: Room::default(),
            queue: 512,
            queue_wait: Duration::from_secs(10),
            client: ClientLimits::default(),
            user: Rates::default(),
        }
    }
}

impl Limits {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let limits = Self {
            connections: scope
                .number("connections", 1..=1_000_000)
                .unwrap_or(default.connections),
            h2_streams: scope
                .number("h2_streams", 1..=10_000)
                .unwrap_or(default.h2_streams),
            // Below 8 KiB, hyper refuses to read a head, and Harbor's tokens are long.
            header_bytes: scope
                .size("header_bytes", 8 << 10..=1 << 20, size::parse)
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(default.header_bytes),
            headers: scope
                .number("headers", 16..=10_000)
                .unwrap_or(default.headers),
            room: Room::read(&mut scope),
            queue: scope.number("queue", 0..=100_000).unwrap_or(default.queue),
            queue_wait: scope
                .duration("queue_wait", Duration::ZERO..=Duration::from_secs(300))
                .unwrap_or(default.queue_wait),
            client: ClientLimits::read(scope.table("client")),
            user: Rates::read_of_user(scope.table("user")),
        };
        scope.finish();
        limits
    }
}

/// How often a request is tried again at another node.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Attempts of one request, the first included; 1: no repeats.
    pub attempts: u32,
    /// Repeats per request, over the last seconds.
    pub budget: f32,
    /// Repeats per second on top.
    pub budget_min: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            budget: 0.2,
            budget_min: 10,
        }
    }
}

impl Retry {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let retry = Self {
            attempts: scope.number("attempts", 1..=10).unwrap_or(default.attempts),
            budget: scope.decimal("budget", 0.0..=1.0).unwrap_or(default.budget),
            budget_min: scope
                .number("budget_min", 0..=100_000)
                .unwrap_or(default.budget_min),
        };
        scope.finish();
        retry
    }
}
