//! Choosing a node, leasing it and asking it: the one way to a node, for the first try, a repeat, and the rest of an
//! answer alike.

use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use hyper::body::Incoming;

use super::attempt::{Missed, Shipment, attempt};
use super::finish::Record;
use super::request;
use crate::harbor::class::Class;
use crate::harbor::health;
use crate::placement::course::Course;
use crate::state::snapshot::Snapshot;
use crate::upstream::capacity::Permit;
use crate::upstream::cluster::{Lack, Want};
use crate::upstream::connection::Connection;
use crate::upstream::lease::Lease;
use crate::upstream::nodes::Nodes;
use crate::upstream::queue::{self, Shed};

/// An answer whose head is known.
pub(super) struct Answer {
    pub response: Response<Incoming>,
    pub connection: Connection,
    pub lease: Lease,
}

impl Answer {
    /// Whether it stands for a broken part of the node rather than for Harbor's own word.
    pub fn fails(&self, class: Class) -> bool {
        let response = &self.response;
        health::counts_as_failure(response.status().as_u16(), class, response.headers()).is_some()
    }
}

/// A request's way from node to node.
pub(super) struct Trial {
    pub class: Class,
    /// Whether Harbor's nginx would send it to the core, else to the portal.
    pub to_core: bool,
    pub want: Want,
    pub course: Course,
    /// Those that are not asked again.
    pub tried: Nodes,
    /// The one that was asked last.
    pub at: usize,
    /// Whether the client was promised an answer already.
    promised: bool,
}

impl Trial {
    /// Nobody was asked yet.
    pub fn new(class: Class, to_core: bool, want: Want, course: Course) -> Self {
        Trial {
            class,
            to_core,
            want,
            course,
            tried: Nodes::NONE,
            at: 0,
            promised: false,
        }
    }

    /// For the rest of what a client was promised: it is let in even where there is no room. There is a bound to that:
    /// each had a place at the node that failed.
    pub fn promised(self) -> Self {
        Trial {
            promised: true,
            ..self
        }
    }

    fn lease(&mut self, snapshot: &Snapshot, now: Instant) -> Result<Lease, Lack> {
        let cluster = &snapshot.cluster;
        self.course
            .lease(cluster, self.class, self.want, self.tried, now)
    }

    /// Waits for room at one of the nodes that are `full`.
    async fn room(
        &mut self,
        snapshot: &Snapshot,
        mut full: Nodes,
        first_byte: Duration,
        record: &Record,
    ) -> Result<Lease, Lack> {
        let (class, share) = (self.class, self.class.share());
        // What began shall rather wait than be in vain, and who was let in once already is not sent away by a full queue.
        let begun = class.goes_on() && !self.promised;
        let most = match begun || self.promised || !self.tried.is_empty() {
            true => usize::MAX,
            false => snapshot.queue,
        };
        let patience = match begun {
            true => first_byte,
            false => snapshot.patience.queue.min(first_byte),
        };
        let ends = Instant::now() + patience;
        let tell = |outcome| record.metrics().queued(share.slug(), outcome);
        let mut waits = Waits {
            tell: &tell,
            over: false,
        };
        loop {
            let members = snapshot.cluster.members();
            let nodes: Vec<_> = full
                .places()
                .filter_map(|index| members.get(index).cloned())
                .collect();
            let left = ends.saturating_duration_since(Instant::now());
            let permit = match queue::wait(nodes.clone(), share, most, left).await {
                Ok(permit) => permit,
                Err(_) if self.promised => {
                    let calmest = nodes.iter().min_by_key(|node| node.capacity.in_flight());
                    let calmest = calmest.ok_or(Lack::NoNode)?;
                    waits.over("beyond");
                    Permit::beyond(calmest, share)
                }
                Err(shed) => {
                    waits.over(match shed {
                        Shed::Full => "full",
                        Shed::Late => "late",
                    });
                    return Err(Lack::NoRoom(full));
                }
            };
            let granted = snapshot.cluster.granted(permit, class, self.want);
            // The node may have failed, or been sent to rest, in the meantime.
            let leased = match granted {
                Some(lease) => Ok(lease),
                None => self.lease(snapshot, Instant::now()),
            };
            match leased {
                Err(Lack::NoRoom(others)) => full = others,
                leased => {
                    waits.over(if leased.is_ok() { "served" } else { "no_node" });
                    return leased;
                }
            }
        }
    }

    /// Leases the next node and sends it the shipment. `None` when no node is left.
    pub async fn next(
        &mut self,
        snapshot: &Snapshot,
        shipment: &mut Shipment,
        first_byte: Duration,
        now: &mut Instant,
        record: &mut Record,
    ) -> Option<Result<Answer, Missed>> {
        let leased = self.lease(snapshot, *now);
        let mut lease = match leased {
            Ok(lease) => lease,
            Err(Lack::NoNode) => return None,
            // A rare and roomy part of a request's way has its own place.
            Err(Lack::NoRoom(full)) => {
                match Box::pin(self.room(snapshot, full, first_byte, record)).await {
                    Ok(lease) => {
                        *now = Instant::now();
                        lease
                    }
                    Err(Lack::NoNode) => return None,
                    Err(Lack::NoRoom(_)) => return Some(Err(Missed::busy())),
                }
            }
        };
        self.at = lease.index();
        self.tried.add(self.at);
        record.attempts += 1;
        record.node = Some(lease.backend().clone());
        shipment.prefix = request::prefix(self.class, lease.backend());
        let began = *now;
        // With a body the wait is mostly the client's; who goes by key gets what another node would have to fetch first.
        let waits = shipment.progress.is_none();
        if waits && !self.want.by_key {
            lease.waits(began);
        }
        let endpoint = lease.backend().endpoint(self.to_core);
        let attempted = attempt(endpoint, shipment, &snapshot.patience, first_byte, *now).await;
        *now = Instant::now();
        match attempted {
            Ok((response, connection)) => {
                lease.ended(response.status() == StatusCode::INTERNAL_SERVER_ERROR);
                if waits {
                    lease.began(now.saturating_duration_since(began), *now);
                }
                Some(Ok(Answer {
                    response,
                    connection,
                    lease,
                }))
            }
            Err(missed) => {
                if let Some(failing) = missed.failing {
                    record.metrics().attempt(failing.slug());
                    lease.ended(false);
                    lease.failed(failing);
                }
                Some(Err(missed))
            }
        }
    }
}

/// Tells what became of waiting, once; dropped before that, the client left.
struct Waits<'a> {
    tell: &'a (dyn Fn(&'static str) + Sync),
    over: bool,
}

impl Waits<'_> {
    fn over(&mut self, outcome: &'static str) {
        if !std::mem::replace(&mut self.over, true) {
            (self.tell)(outcome);
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.over("left");
    }
}
