//! Who waits for a place at a node: first come, first served, within each share.
//!
//! A request that several nodes could serve stands in the queue of each, and takes the first place. Whoever gives a place
//! back hands it to the next one; nobody looks twice, and a node for whose places nobody waits pays one look at a number.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::backend::Backend;
use super::capacity::Permit;
use crate::harbor::share::Share;

/// Where a place is delivered; empty once there was one.
type Seat = Arc<Mutex<Option<oneshot::Sender<Permit>>>>;

/// Who waits at one node, by share.
#[derive(Default)]
pub(super) struct Queue([VecDeque<Seat>; Share::ALL.len()]);

impl Queue {
    fn of(&mut self, share: Share) -> Option<&mut VecDeque<Seat>> {
        self.0.get_mut(share.index())
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// As many wait as may.
    Full,
    /// It waited too long.
    Late,
}

/// Waits for a place at one of `nodes`, behind no more than `most` others of its share, and no longer than `patience`.
/// Dropped, it leaves the queues.
///
/// # Errors
/// [`Shed`] when there was none.
pub async fn wait(
    nodes: Vec<Arc<Backend>>,
    share: Share,
    most: usize,
    patience: Duration,
) -> Result<Permit, Shed> {
    let (sender, mut receiver) = oneshot::channel();
    let mut standing = Standing {
        nodes: Vec::with_capacity(nodes.len()),
        share,
        seat: Arc::new(Mutex::new(Some(sender))),
    };
    for node in nodes {
        standing.join(node, most);
    }
    if standing.nodes.is_empty() {
        return Err(Shed::Full);
    }
    // Somebody may have left in the meantime and seen nobody.
    standing.nodes.iter().for_each(serve);
    if let Ok(Ok(permit)) = tokio::time::timeout(patience, &mut receiver).await {
        return Ok(permit);
    }
    receiver.try_recv().map_err(|_| Shed::Late)
}

/// Hands out the places that a node has to those who wait there.
#[cold]
pub(super) fn serve(backend: &Arc<Backend>) {
    let mut queue = backend.capacity.queue();
    for share in Share::ALL {
        while backend.capacity.waiting(share) > 0
            && let Some(permit) = Permit::next(backend, share)
        {
            deliver(&mut queue, share, permit);
        }
    }
}

/// Delivers a place to the first who still wants it.
fn deliver(queue: &mut Queue, share: Share, mut permit: Permit) {
    let backend = permit.backend().clone();
    while let Some(seat) = queue.of(share).and_then(VecDeque::pop_front) {
        backend.capacity.waits(share, false);
        let Some(sender) = take(&seat) else { continue };
        match sender.send(permit) {
            Ok(()) => return,
            Err(back) => permit = back,
        }
    }
    // Dropped, it would look for the next one, which is what is going on here.
    permit.give_back();
}

fn take(seat: &Seat) -> Option<oneshot::Sender<Permit>> {
    seat.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// One who stands in the queues of several nodes. Dropping it leaves them.
struct Standing {
    nodes: Vec<Arc<Backend>>,
    share: Share,
    seat: Seat,
}

impl Standing {
    fn join(&mut self, node: Arc<Backend>, most: usize) {
        let mut queue = node.capacity.queue();
        if let Some(queue) = queue.of(self.share).filter(|queue| queue.len() < most) {
            queue.push_back(self.seat.clone());
            node.capacity.waits(self.share, true);
        } else {
            return;
        }
        drop(queue);
        self.nodes.push(node);
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        for node in &self.nodes {
            let mut queue = node.capacity.queue();
            let Some(queue) = queue.of(self.share) else {
                continue;
            };
            let place = queue.iter().position(|seat| Arc::ptr_eq(seat, &self.seat));
            if place.and_then(|place| queue.remove(place)).is_some() {
                node.capacity.waits(self.share, false);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
