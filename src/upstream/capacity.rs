//! The room of a node: how many requests it gets at once, divided into shares, and who waits for a place.
//!
//! Counts of all shares are one number, so that taking a place is one exchange. Who finds none waits in `queue`.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::queue::{self, Queue};
use crate::balance::gradient::Gradient;
use crate::balance::shares::Shares;
use crate::config::Room;
use crate::harbor::share::Share;

/// Bits for each count.
const BITS: u32 = 21;
const MASK: u64 = (1 << BITS) - 1;

const fn one(share: Share) -> u64 {
    1 << (share.index() as u32 * BITS)
}

const fn of(packed: u64, share: Share) -> u32 {
    ((packed >> (share.index() as u32 * BITS)) & MASK) as u32
}

fn unpack(packed: u64) -> [u32; 3] {
    Share::ALL.map(|share| of(packed, share))
}

fn pack(counts: [u32; 3]) -> u64 {
    let pairs = Share::ALL.into_iter().zip(counts);
    pairs.fold(0, |packed, (share, count)| {
        packed | ((u64::from(count) & MASK) * one(share))
    })
}

/// The room of a node.
pub struct Capacity {
    taken: AtomicU64,
    waiting: AtomicU64,
    kept: AtomicU64,
    limit: AtomicU32,
    adaptive: AtomicBool,
    rule: Mutex<Rule>,
    queue: Mutex<Queue>,
}

/// What the limit comes from.
struct Rule {
    room: Room,
    gradient: Gradient,
}

impl Capacity {
    /// An empty one.
    pub fn new(room: Room) -> Self {
        let shares = Shares::new(room.requests, room.percent);
        Capacity {
            taken: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            kept: AtomicU64::new(pack(shares.kept())),
            limit: AtomicU32::new(shares.limit()),
            adaptive: AtomicBool::new(room.adaptive),
            rule: Mutex::new(Rule {
                gradient: Gradient::new(room.requests),
                room,
            }),
            queue: Mutex::default(),
        }
    }

    /// Requests that the node works on.
    pub fn in_flight(&self) -> u32 {
        unpack(self.taken.load(SeqCst)).iter().sum()
    }

    /// Those of one share.
    pub fn taken(&self, share: Share) -> u32 {
        of(self.taken.load(SeqCst), share)
    }

    /// Requests of a share that wait for a place here, or at another node that would do.
    pub fn waiting(&self, share: Share) -> u32 {
        of(self.waiting.load(SeqCst), share)
    }

    /// The most requests at once, at the moment.
    pub fn limit(&self) -> u32 {
        self.limit.load(SeqCst)
    }

    fn shares(&self) -> Shares {
        Shares::of(self.limit(), unpack(self.kept.load(SeqCst)))
    }

    fn set_limit(&self, limit: u32, percent: [u8; 3]) {
        let shares = Shares::new(limit, percent);
        self.kept.store(pack(shares.kept()), SeqCst);
        self.limit.store(shares.limit(), SeqCst);
    }

    fn take(&self, share: Share) -> bool {
        let shares = self.shares();
        self.taken
            .fetch_update(SeqCst, SeqCst, |taken| {
                let admits = shares.admits(unpack(taken), share.index());
                admits.then(|| taken + one(share))
            })
            .is_ok()
    }

    pub(super) fn waits(&self, share: Share, more: bool) {
        match more {
            true => self.waiting.fetch_add(one(share), SeqCst),
            false => self.waiting.fetch_sub(one(share), SeqCst),
        };
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a node the room of a new configuration. What is taken stays taken.
pub fn adopt(backend: &Arc<Backend>, room: Room) {
    let capacity = &backend.capacity;
    {
        let rule = &mut *capacity.rule.lock().unwrap_or_else(PoisonError::into_inner);
        if rule.room == room {
            return;
        }
        let learnt = rule.room.adaptive && room.adaptive && rule.room.requests == room.requests;
        if !learnt {
            rule.gradient = Gradient::new(room.requests);
        }
        rule.room = room;
        let limit = match room.adaptive {
            true => rule.gradient.limit(),
            false => room.requests,
        };
        capacity.set_limit(limit, room.percent);
        capacity.adaptive.store(room.adaptive, SeqCst);
    }
    queue::serve(backend);
}

/// Takes into account that the node began its answer to a read `now`, after `waited`: where the limit adapts.
pub fn observe(backend: &Arc<Backend>, waited: Duration, now: Instant) {
    let capacity = &backend.capacity;
    if !capacity.adaptive.load(SeqCst) {
        return;
    }
    // One observation more or less is no reason to wait.
    let Ok(mut rule) = capacity.rule.try_lock() else {
        return;
    };
    let Some(limit) = rule.gradient.observe(waited, capacity.in_flight(), now) else {
        return;
    };
    let wider = limit > capacity.limit();
    capacity.set_limit(limit, rule.room.percent);
    drop(rule);
    if wider {
        queue::serve(backend);
    }
}

/// A place at a node. Dropping it gives it to whoever waits.
pub struct Permit {
    backend: Arc<Backend>,
    share: Share,
    held: bool,
}

impl Permit {
    /// A place at `backend`, if there is one that nobody waits for.
    pub fn take(backend: &Arc<Backend>, share: Share) -> Option<Self> {
        // Nobody overtakes those who came before.
        let queued = backend.capacity.waiting(share) > 0;
        (!queued).then(|| Self::next(backend, share)).flatten()
    }

    /// The same for the first who waits.
    pub(super) fn next(backend: &Arc<Backend>, share: Share) -> Option<Self> {
        let taken = backend.capacity.take(share);
        taken.then(|| Self::of(backend, share))
    }

    /// A place whether there is one or not.
    pub fn beyond(backend: &Arc<Backend>, share: Share) -> Self {
        backend.capacity.taken.fetch_add(one(share), SeqCst);
        Self::of(backend, share)
    }

    fn of(backend: &Arc<Backend>, share: Share) -> Self {
        Permit {
            backend: backend.clone(),
            share,
            held: true,
        }
    }

    /// The node.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Gives the place back while the node is still of interest.
    pub fn rest(&mut self) {
        if self.give_back() && self.backend.capacity.waiting.load(SeqCst) > 0 {
            queue::serve(&self.backend);
        }
    }

    /// The same without a look at the queue, for whoever is looking at it.
    pub(super) fn give_back(&mut self) -> bool {
        let held = std::mem::take(&mut self.held);
        if held {
            let capacity = &self.backend.capacity;
            capacity.taken.fetch_sub(one(self.share), SeqCst);
        }
        held
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_out_as_they_went_in() {
        for counts in [[0; 3], [1, 2, 3], [1_000_000, 0, 2_000_000]] {
            assert_eq!(unpack(pack(counts)), counts);
        }
    }
}
