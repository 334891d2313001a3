//! What a request reads of the configuration, once: one pointer, swapped whole by a reload.

pub mod snapshot;

use std::sync::Arc;

use arc_swap::ArcSwap;

use snapshot::Snapshot;

/// The current [`Snapshot`]; cheap to read, replaced by reloads. Clones read the same.
#[derive(Clone)]
pub struct State(Arc<ArcSwap<Snapshot>>);

impl State {
    /// Begins with `snapshot`.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        State(Arc::new(ArcSwap::new(snapshot)))
    }

    /// The snapshot for a request that begins now; it keeps it to its end.
    pub fn read(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Makes `snapshot` current for every request that begins from now on.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.0.store(snapshot);
    }
}
