//! What stands against serving at all, from start to end; whether nodes can be reached is not its business.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The reasons that hold now. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Ready(Arc<Mutex<BTreeSet<&'static str>>>);

impl Ready {
    /// The reason that stands from the beginning, until somebody clears it.
    pub const STARTING: &'static str = "starting";

    /// A listening socket broke; nothing but a restart mends it.
    pub const LISTENER: &'static str = "a listener failed";

    /// Not ready, because [`Ready::STARTING`] still holds.
    pub fn new() -> Ready {
        Ready(Arc::new(Mutex::new(BTreeSet::from([Ready::STARTING]))))
    }

    /// Says whether `reason`, which forbids requests, holds.
    pub fn set(&self, reason: &'static str, holds: bool) {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holds {
            reasons.insert(reason);
        } else {
            reasons.remove(reason);
        }
    }

    /// What forbids requests now, sorted; nothing when the door is ready.
    pub fn reasons(&self) -> Vec<String> {
        let reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.iter().map(|reason| (*reason).to_owned()).collect()
    }
}

impl Default for Ready {
    fn default() -> Ready {
        Ready::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_ready_once_it_has_started() {
        let ready = Ready::new();
        assert_eq!(ready.reasons(), [Ready::STARTING]);
        ready.set(Ready::STARTING, false);
        assert!(ready.reasons().is_empty());
    }

    #[test]
    fn one_standing_reason_is_enough_to_be_unfit() {
        let ready = Ready::new();
        ready.set("a listener is gone", true);
        ready.set(Ready::STARTING, false);
        assert_eq!(ready.reasons(), ["a listener is gone"]);
    }
}
