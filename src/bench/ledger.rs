//! What a run put into a registry, so that it can be taken out again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Manifests by repository.
pub type Pushed = BTreeMap<String, BTreeSet<String>>;

/// Written before a push begins, so that nothing is forgotten when it is cut off.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Pushed>);

impl Ledger {
    /// A manifest is about to be pushed.
    pub fn note(&self, repository: &str, digest: &str) {
        let mut pushed = self.lock();
        let digests = pushed.entry(repository.to_owned()).or_default();
        digests.insert(digest.to_owned());
    }

    /// Everything noted.
    pub fn pushed(&self) -> Pushed {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Pushed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
