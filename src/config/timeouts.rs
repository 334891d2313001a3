//! `[timeouts]`: how long everybody may take.

use std::time::Duration;

use super::Wrong;
use super::scope::Scope;
use super::size;

const SECOND: Duration = Duration::from_secs(1);

/// nginx closes an idle connection after this long, and Harbor's nginx keeps that default. A request that is sent
/// at that moment is lost, so idle connections to nodes must end sooner.
const NGINX_KEEPALIVE: Duration = Duration::from_secs(75);

/// How long everybody may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A client for its TLS handshake.
    pub handshake: Duration,
    /// A client for the head of a request.
    pub head: Duration,
    /// A client between two requests.
    pub idle: Duration,
    /// A client that says nothing in the middle of a body.
    pub body_idle: Duration,
    /// A node for accepting a connection, its TLS handshake included.
    pub connect: Duration,
    /// A node for the first byte of an answer under `/v2/`: finishing a large upload takes Harbor minutes.
    pub first_byte: Duration,
    /// A node for the first byte of every other answer.
    pub first_byte_other: Duration,
    /// A node that says nothing in the middle of a body while Seawall wants to read.
    pub stall: Duration,
    /// An unused connection to a node.
    pub node_idle: Duration,
    /// Bytes per second that a client must move in a body, over a minute; 0: none.
    pub min_rate: u64,
    /// Running requests at the end of the process.
    pub drain: Duration,
    /// Running requests on a node that went into maintenance.
    pub maintenance: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: 10 * SECOND,
            head: 30 * SECOND,
            idle: 75 * SECOND,
            body_idle: 120 * SECOND,
            connect: 3 * SECOND,
            first_byte: 900 * SECOND,
            first_byte_other: 60 * SECOND,
            stall: 10 * SECOND,
            node_idle: 60 * SECOND,
            min_rate: 256,
            drain: 300 * SECOND,
            maintenance: 30 * SECOND,
        }
    }
}

impl Timeouts {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let day = SECOND / 100..=86_400 * SECOND;
        let mut time = |key, default| scope.duration(key, day.clone()).unwrap_or(default);
        let timeouts = Self {
            handshake: time("handshake", default.handshake),
            head: time("head", default.head),
            idle: time("idle", default.idle),
            body_idle: time("body_idle", default.body_idle),
            connect: time("connect", default.connect),
            first_byte: time("first_byte", default.first_byte),
            first_byte_other: time("first_byte_other", default.first_byte_other),
            stall: time("stall", default.stall),
            node_idle: time("node_idle", default.node_idle),
            drain: time("drain", default.drain),
            min_rate: scope
                .size("min_rate", 0..=1 << 30, size::parse_rate)
                .unwrap_or(default.min_rate),
            maintenance: scope
                .duration("maintenance", Duration::ZERO..=3600 * SECOND)
                .unwrap_or(default.maintenance),
        };
        if timeouts.node_idle >= NGINX_KEEPALIVE {
            let what = "is as long as Harbor's nginx keeps a connection, so requests would be lost";
            let fix = "write less than 75s";
            scope.wrong("node_idle", Wrong::new(what, fix));
        }
        scope.finish();
        timeouts
    }
}
