//! One listening socket and its policy.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;

use super::policy::Policy;
use super::{Door, serve};
use crate::lifecycle::ready::Ready;
use crate::lifecycle::workers::Crew;
use crate::net::accept;

/// A socket that accepts for the workers until it is dropped.
pub struct Listener {
    address: SocketAddr,
    policy: Arc<ArcSwap<Policy>>,
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
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let task = tokio::spawn(accept_all(socket, address, crew, door, policy.clone()));
        Ok(Listener {
            address,
            policy,
            task,
        })
    }

    /// Where it really listens: port 0 in the configuration becomes a port here.
    pub fn address(&self) -> SocketAddr {
        self.address
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
    loop {
        // The permit comes first: beyond the limit, clients wait in the kernel's queue and nothing is lost.
        let Ok(permit) = door.permits.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = accept::accept(&socket) => accepted,
            () = door.drain.started() => return,
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
        let (door, policy, open) = (door.clone(), policy.load_full(), open.clone());
        open.inc();
        crew.give(move || async move {
            if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                serve::connection(stream, peer, door, policy).await;
            }
            open.dec();
            drop(permit);
        });
    }
}
