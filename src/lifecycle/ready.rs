//! The door's fitness: whether it would serve a registry request now, and what stands against it.

use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// What anybody needs to know of the fitness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Requests should come here.
    pub ready: bool,
    /// They should, but something is amiss.
    pub degraded: bool,
    /// What is amiss or stands against it, sorted.
    pub reasons: Vec<String>,
}

/// The collected reasons. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Ready(Arc<watch::Sender<Reasons>>);

/// Follows the fitness.
#[derive(Clone, Debug)]
pub struct Follow(watch::Receiver<Reasons>);

/// Each reason that holds now, and whether it forbids requests.
type Reasons = BTreeMap<String, bool>;

impl Ready {
    /// The reason that stands from the beginning, until somebody clears it.
    pub const STARTING: &'static str = "starting";

    /// Not ready, because [`Ready::STARTING`] still holds.
    pub fn new() -> Ready {
        let reasons = Reasons::from([(Ready::STARTING.to_owned(), true)]);
        Ready(Arc::new(watch::Sender::new(reasons)))
    }

    /// Says whether `reason`, which forbids requests, holds.
    pub fn set(&self, reason: &str, holds: bool) {
        self.put(reason, true, holds);
    }

    /// Says whether `reason`, which is a worry but forbids nothing, holds.
    pub fn degrade(&self, reason: &str, holds: bool) {
        self.put(reason, false, holds);
    }

    fn put(&self, reason: &str, forbids: bool, holds: bool) {
        self.0.send_if_modified(|reasons| {
            if holds {
                reasons.insert(reason.to_owned(), forbids) != Some(forbids)
            } else {
                reasons.remove(reason).is_some()
            }
        });
    }

    /// The fitness now.
    pub fn verdict(&self) -> Verdict {
        verdict(&self.0.borrow())
    }

    /// A follower that waits for changes.
    pub fn follow(&self) -> Follow {
        Follow(self.0.subscribe())
    }
}

impl Default for Ready {
    fn default() -> Ready {
        Ready::new()
    }
}

impl Follow {
    /// The fitness now.
    pub fn verdict(&self) -> Verdict {
        verdict(&self.0.borrow())
    }

    /// Waits until the reasons change and tells the new verdict; nothing once the last [`Ready`] is gone.
    pub async fn changed(&mut self) -> Option<Verdict> {
        self.0.changed().await.ok()?;
        Some(verdict(&self.0.borrow_and_update()))
    }
}

fn verdict(reasons: &Reasons) -> Verdict {
    let ready = !reasons.values().any(|forbids| *forbids);
    Verdict {
        ready,
        degraded: ready && !reasons.is_empty(),
        reasons: reasons.keys().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_door_is_ready_once_it_has_started() {
        let ready = Ready::new();
        assert!(!ready.verdict().ready);
        ready.set(Ready::STARTING, false);
        let verdict = ready.verdict();
        assert!(verdict.ready && !verdict.degraded && verdict.reasons.is_empty());
    }

    #[test]
    fn a_worry_degrades_and_forbids_nothing() {
        let ready = Ready::new();
        ready.set(Ready::STARTING, false);
        ready.degrade("every node fails its probes", true);
        let verdict = ready.verdict();
        assert!(verdict.ready && verdict.degraded);
        assert_eq!(verdict.reasons, ["every node fails its probes"]);
    }

    #[test]
    fn one_standing_reason_is_enough_to_be_unfit() {
        let ready = Ready::new();
        ready.set("draining", true);
        ready.set(Ready::STARTING, false);
        assert!(!ready.verdict().ready);
        assert!(!ready.verdict().degraded);
    }

    #[tokio::test]
    async fn a_follower_hears_of_changes_only() {
        let ready = Ready::new();
        let mut follow = ready.follow();
        ready.set(Ready::STARTING, true);
        ready.set("draining", true);
        assert_eq!(
            follow.changed().await.unwrap().reasons,
            ["draining", "starting"]
        );
        drop(ready);
        assert_eq!(follow.changed().await, None);
    }
}
