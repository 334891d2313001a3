//! Connections to one endpoint that wait for their next request.
//!
//! Last in, first out, so that a quiet hour leaves few connections. Harbor's nginx closes an idle connection after 75 s
//! and any connection on its 1,000th request, so we stop before it does. A request with a body only takes a connection
//! that worked seconds ago: an upload that meets a dying connection cannot be sent again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use super::outgoing::Outgoing;

/// Requests after which a connection is not used again (Harbor's nginx: `keepalive_requests` 1000).
const MOST_REQUESTS: u32 = 990;
/// The oldest idle connection that may carry a request body.
const FRESH_FOR_BODY: Duration = Duration::from_secs(2);
/// Idle connections kept for an endpoint; more are closed as they come back.
const MOST_IDLE: usize = 512;

/// An open connection to a node, busy or about to be.
pub struct Connection {
    /// Sends one request after the other.
    pub sender: SendRequest<Outgoing>,
    /// Requests sent on it so far.
    pub served: u32,
    /// Whether it has carried a request before: a failure may then just mean that the node had closed it.
    pub reused: bool,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The idle connections of one endpoint.
#[derive(Default)]
pub struct Pool {
    idle: Mutex<Vec<Idle>>,
}

impl Pool {
    /// The youngest usable idle connection, if any.
    pub fn take(&self, has_body: bool, keep: Duration) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let oldest = if has_body {
            FRESH_FOR_BODY.min(keep)
        } else {
            keep
        };
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            let entry = idle.get(at)?;
            let age = now.saturating_duration_since(entry.since);
            if entry.connection.sender.is_closed() || age > keep {
                idle.remove(at);
            } else if age > oldest {
                return None;
            } else if entry.connection.sender.is_ready() {
                return Some(idle.remove(at).connection);
            }
        }
        None
    }

    /// Keeps a connection whose answer was read to its end for the next request.
    pub fn give(&self, mut connection: Connection) {
        if connection.sender.is_closed() || connection.served >= MOST_REQUESTS {
            return;
        }
        connection.reused = true;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Closes what has been idle for longer than `keep`.
    pub fn sweep(&self, keep: Duration) {
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|entry| {
            !entry.connection.sender.is_closed()
                && now.saturating_duration_since(entry.since) <= keep
        });
    }

    /// Closes every idle connection.
    pub fn clear(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
