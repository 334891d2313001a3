//! Of several doors one reconciles a storage at a time.

use std::sync::Arc;
use std::time::Duration;

use super::Means;

/// How long a door may be silent that reconciles, in milliseconds.
const LEASE: u64 = 30_000;

/// The right to reconcile a storage, of which one door has it. Without a store there is nobody to agree with.
pub struct Lease {
    means: Arc<Means>,
    name: String,
}

impl Lease {
    /// Takes it for this door, unless another one has it.
    pub async fn take(means: Arc<Means>, store: &str) -> Option<Self> {
        let name = format!("reconcile:{store}");
        let lease = Lease { means, name };
        lease.held().await.then_some(lease)
    }

    async fn held(&self) -> bool {
        let Some(store) = self.means.sessions.store() else {
            return true;
        };
        let door = self.means.sessions.door();
        // While the store is away nobody can ask: twice the same copy does no harm.
        store.hold(&self.name, door, LEASE).await.unwrap_or(true)
    }

    /// Keeps it; returns when another door has it.
    pub async fn keep(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(LEASE / 3)).await;
            if !self.held().await {
                return;
            }
        }
    }

    /// Lets the next door have it.
    pub async fn give_back(&self) {
        if let Some(store) = self.means.sessions.store() {
            let _ = store.release(&self.name, self.means.sessions.door()).await;
        }
    }
}
