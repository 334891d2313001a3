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
use crate::upstream::cluster::Want;
use crate::upstream::connection::Connection;
use crate::upstream::lease::Lease;
use crate::upstream::nodes::Nodes;

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
        let mut lease =
            self.course
                .lease(&snapshot.cluster, self.class, self.want, self.tried, *now)?;
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
