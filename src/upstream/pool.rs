//! Connections to one endpoint that wait for their next request.
//!
//! Last in, first out, so that a quiet hour leaves few connections. Harbor's nginx closes an idle connection after 75 s
//! and any connection on its 1,000th request, so we stop before it does. A request with a body only takes a connection
//! that worked seconds ago: an upload that meets a dying connection cannot be sent again. Each worker has its own, since
//! a connection is woken by the runtime that opened it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::lifecycle::workers;

/// Requests after which a connection is not used again (Harbor's nginx: `keepalive_requests` 1000).
const MOST_REQUESTS: u32 = 990;
/// The oldest idle connection that may carry a request body.
const FRESH_FOR_BODY: Duration = Duration::from_secs(2);
/// Idle connections kept for an endpoint and worker; more are closed as they come back.
const MOST_IDLE: usize = 256;
/// Workers that have a shelf of their own; further ones share.
const SHELVES: usize = 64;

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The idle connections of one endpoint.
pub struct Pool {
    shelves: [Mutex<Vec<Idle>>; SHELVES],
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            shelves: [const { Mutex::new(Vec::new()) }; SHELVES],
        }
    }
}

impl Pool {
    /// The shelf of the worker that asks.
    fn shelf(&self) -> Option<MutexGuard<'_, Vec<Idle>>> {
        self.shelves.get(workers::here() % SHELVES).map(open)
    }

    /// The youngest usable idle connection, if any.
    pub fn take(&self, has_body: bool, keep: Duration, now: Instant) -> Option<Connection> {
        let mut idle = self.shelf()?;
        let oldest = if has_body {
            FRESH_FOR_BODY.min(keep)
        } else {
            keep
        };
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            let entry = idle.get_mut(at)?;
            let age = now.saturating_duration_since(entry.since);
            if age <= keep && age > oldest {
                return None;
            }
            let usable = age <= keep && entry.connection.is_idle();
            let entry = idle.remove(at);
            if usable {
                return Some(entry.connection);
            }
        }
        None
    }

    /// Keeps a connection whose answer was read to its end for the next request. Where the node answered before it had the
    /// whole request, the rest still goes to it.
    pub fn give(&self, mut connection: Connection) {
        if !connection.is_ready() && !connection.is_idle() {
            connection.set_free();
            return;
        }
        if connection.served >= MOST_REQUESTS {
            return;
        }
        let since = Instant::now();
        if let Some(mut idle) = self.shelf()
            && idle.len() < MOST_IDLE
        {
            idle.push(Idle { connection, since });
        }
    }

    /// Closes what has been idle for longer than `keep`.
    pub fn sweep(&self, keep: Duration) {
        let now = Instant::now();
        for shelf in &self.shelves {
            open(shelf).retain_mut(|entry| {
                now.saturating_duration_since(entry.since) <= keep && entry.connection.is_idle()
            });
        }
    }

    /// Closes every idle connection.
    pub fn clear(&self) {
        for shelf in &self.shelves {
            open(shelf).clear();
        }
    }
}

fn open(shelf: &Mutex<Vec<Idle>>) -> MutexGuard<'_, Vec<Idle>> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}
