//! One listening socket and its policy.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::policy::Policy;
use super::{Door, serve};
use crate::lifecycle::ready::Ready;
use crate::lifecycle::workers::Crew;
use crate::net::accept;

/// How long all places may be taken before clients hear of it: until then they wait in the kernel's queue, and one who
/// leaves makes room.
const PATIENCE: Duration = Duration::from_secs(1);
/// Clients that are told at the same time; more wait in the queue all the same.
const TOLD: usize = 64;

/// A socket that accepts for the workers until it is dropped.
pub struct Listener {
    address: SocketAddr,
    policy: Arc<ArcSwap<Policy>>,
    socket: TcpListener,
    task: JoinHandle<()>,
}

impl Listener {
    /// Starts accepting on the current runtime for `crew`. Connections keep the policy they began with.
    ///
    /// # Errors
    /// A socket that the runtime does not take.
    pub fn start(
        socket: TcpListener,
        crew: Crew,
        door: Arc<Door>,
        policy: Policy,
    ) -> std::io::Result<Self> {
        let address = socket.local_addr()?;
        let accepting = tokio::net::TcpListener::from_std(socket.try_clone()?)?;
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let task = tokio::spawn(accept_all(accepting, address, crew, door, policy.clone()));
        Ok(Listener {
            address,
            policy,
            socket,
            task,
        })
    }

    /// Where it really listens: port 0 in the configuration becomes a port here.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket, for another process: it stays open as long as any of them has it.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The policy for connections that come from now on.
    pub fn adopt(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept_all(
    socket: tokio::net::TcpListener,
    address: SocketAddr,
    crew: Crew,
    door: Arc<Door>,
    policy: Arc<ArcSwap<Policy>>,
) {
    let open = door.sinks.metrics.listener(&address.to_string());
    let mut places = Places::new(door.permits.clone());
    loop {
        // The place comes first: without one, clients wait in the kernel's queue and nothing is lost.
        let Some(place) = places.next().await else {
            return;
        };
        let accepted = tokio::select! {
            biased;
            () = door.drain.started() => return,
            accepted = accept::accept(&socket) => accepted,
        };
        // A socket belongs to the runtime that polls it: it is let go here and taken up by its worker.
        let accepted = accepted.map(|(stream, peer)| (stream.into_std(), peer));
        let (stream, peer) = match accepted {
            Ok((Ok(stream), peer)) => (stream, peer),
            Ok((Err(_), _)) => continue,
            Err(error) => {
                tracing::error!(%address, %error, "listener failed");
                door.ready.set(Ready::LISTENER, true);
                return;
            }
        };
        let place = places.again(place);
        let (door, policy, open) = (door.clone(), policy.load_full(), open.clone());
        // From here on the end of the process waits for it.
        let parting = door.drain.parting();
        open.inc();
        crew.give(move || async move {
            if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                serve::connection(stream, peer, door, policy, place.is_extra).await;
            }
            open.dec();
            drop((place, parting));
        });
    }
}

/// A place for a client, given back when it is dropped.
struct Place {
    /// It is beyond the limit: good for hearing that there is none.
    is_extra: bool,
    _permit: OwnedSemaphorePermit,
}

/// The places of a listener.
struct Places {
    permits: Arc<Semaphore>,
    extra: Arc<Semaphore>,
    full_since: Option<Instant>,
}

impl Places {
    fn new(permits: Arc<Semaphore>) -> Self {
        Places {
            permits,
            extra: Arc::new(Semaphore::new(TOLD)),
            full_since: None,
        }
    }

    /// The next one; an extra one when there was no other for a while.
    async fn next(&mut self) -> Option<Place> {
        if let Some(place) = self.free() {
            return Some(place);
        }
        let began = self.full_since.is_none();
        let since = *self.full_since.get_or_insert_with(Instant::now);
        let permit = self.permits.clone().acquire_owned();
        if let Ok(permit) = tokio::time::timeout_at(since + PATIENCE, permit).await {
            self.full_since = None;
            return Some(Place {
                is_extra: false,
                _permit: permit.ok()?,
            });
        }
        if began {
            tracing::warn!(
                "limits.connections is reached: further clients get 503 until somebody leaves"
            );
        }
        let permit = self.extra.clone().acquire_owned().await.ok()?;
        Some(Place {
            is_extra: true,
            _permit: permit,
        })
    }

    /// The same place, or a better one that became free while nobody came.
    fn again(&mut self, place: Place) -> Place {
        match place.is_extra {
            true => self.free().unwrap_or(place),
            false => place,
        }
    }

    fn free(&mut self) -> Option<Place> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        self.full_since = None;
        Some(Place {
            is_extra: false,
            _permit: permit,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_for_a_while_gets_an_extra_one_and_the_next_ones_at_once() {
        let mut places = Places::new(Arc::new(Semaphore::new(1)));
        let first = places.next().await.unwrap();
        assert!(!first.is_extra);
        let began = Instant::now();
        let second = places.next().await.unwrap();
        assert!(second.is_extra);
        assert_eq!(began.elapsed(), PATIENCE);
        let third = places.next().await.unwrap();
        assert!(third.is_extra);
        assert_eq!(began.elapsed(), PATIENCE);
        drop(first);
        assert!(!places.again(second).is_extra);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_becomes_free_in_time_is_taken() {
        let mut places = Places::new(Arc::new(Semaphore::new(1)));
        let first = places.next().await.unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE / 2).await;
            drop(first);
        });
        assert!(!places.next().await.unwrap().is_extra);
        assert!(places.full_since.is_none());
    }
}
