//! Passive evidence: a lane of a node whose answers keep failing is left out for a while.
//!
//! Judged per lane, since a dead registry behind a living core fails pushes and pulls and nothing else. How many nodes
//! may be out at once is the cluster's to say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::clock;
use crate::harbor::class::Lane;
use crate::health::outlier::Outlier;

struct Seat {
    /// Whether the last answers failed: only then does a success need the lock.
    suspect: AtomicBool,
    /// Milliseconds of [`clock`] at which the ejection ends; 0 when there is none.
    until: AtomicU64,
    outlier: Mutex<Outlier>,
}

/// What traffic found out about a node.
pub struct Ejection {
    seats: [Seat; 3],
}

impl Ejection {
    /// Nothing held against the node; `fresh` says how it is judged.
    pub fn new(fresh: &Outlier) -> Self {
        let seat = || Seat {
            suspect: AtomicBool::new(false),
            until: AtomicU64::new(0),
            outlier: Mutex::new(fresh.clone()),
        };
        Ejection {
            seats: [seat(), seat(), seat()],
        }
    }

    fn seat(&self, lane: Lane) -> &Seat {
        let [registry, api, ui] = &self.seats;
        match lane {
            Lane::Registry => registry,
            Lane::Api => api,
            Lane::Ui => ui,
        }
    }

    /// Whether the lane is left out at the moment.
    pub fn is_out(&self, lane: Lane) -> bool {
        let until = self.seat(lane).until.load(Ordering::Relaxed);
        until != 0 && until > clock::millis()
    }

    /// An answer of the lane that was no failure.
    pub fn went_well(&self, lane: Lane) {
        let seat = self.seat(lane);
        if seat.suspect.swap(false, Ordering::Relaxed) {
            seat.outlier
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .success();
        }
    }

    /// A failure of the lane. Says whether the lane is out from now on; `may_eject` is asked only then.
    pub fn failed(&self, lane: Lane, may_eject: impl FnOnce() -> bool) -> bool {
        let seat = self.seat(lane);
        seat.suspect.store(true, Ordering::Relaxed);
        let now = Instant::now();
        let mut outlier = seat.outlier.lock().unwrap_or_else(PoisonError::into_inner);
        if !outlier.failure(now) {
            return false;
        }
        if !may_eject() {
            outlier.pardon();
            return false;
        }
        let until = outlier.ends().unwrap_or(now);
        seat.until
            .store(clock::since_start(until), Ordering::Relaxed);
        true
    }

    /// Lets every lane in again: probes found the node well after it was not, or the operator says that it may serve.
    pub fn pardon(&self) {
        for seat in &self.seats {
            let mut outlier = seat.outlier.lock().unwrap_or_else(PoisonError::into_inner);
            if seat.until.swap(0, Ordering::Relaxed) != 0 {
                outlier.pardon();
            }
        }
    }

    /// Starts judging by another policy, with nothing held against the node.
    pub fn adopt(&self, fresh: &Outlier) {
        for seat in &self.seats {
            *seat.outlier.lock().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
            seat.until.store(0, Ordering::Relaxed);
        }
    }
}
