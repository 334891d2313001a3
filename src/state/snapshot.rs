//! Everything a request needs to know about configuration.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::balance::RetryBudget;
use crate::config::{Access, ClientLimits, Rates, Resume};
use crate::harbor::class::Lane;
use crate::placement::Placement;
use crate::session::Sessions;
use crate::upstream::cluster::Cluster;
use crate::upstream::outgoing::Pace;

/// How long we wait for whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Patience {
    /// For a connection to a node.
    pub connect: Duration,
    /// For the first byte of an answer under `/v2/`: Harbor may think that long.
    pub first_byte: Duration,
    /// The same for everything else.
    pub first_byte_other: Duration,
    /// For the next byte of an answer that began.
    pub stall: Duration,
    /// For a place at a node.
    pub queue: Duration,
    /// How long a connection to a node may be idle and still be used.
    pub node_idle: Duration,
    /// For what is open on a node that goes into maintenance.
    pub maintenance: Duration,
    /// For what runs before the virtual addresses are given away.
    pub release: Duration,
    /// For a client's body.
    pub pace: Pace,
}

impl Patience {
    /// How long an answer may take to begin.
    pub fn first_byte(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Registry => self.first_byte,
            Lane::Api | Lane::Ui => self.first_byte_other,
        }
    }
}

/// Who may come, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// What one client may have.
    pub client: ClientLimits,
    /// How often one user may come.
    pub user: Rates,
    /// Who may come at all.
    pub access: Vec<Access>,
}

/// The address that clients know.
#[derive(Clone, Debug, PartialEq)]
pub struct Public {
    /// Whether its scheme is https.
    pub https: bool,
    /// `host[:port]`.
    pub authority: HeaderValue,
}

/// Everything a request needs to know about configuration.
pub struct Snapshot {
    /// The nodes.
    pub cluster: Arc<Cluster>,
    /// What sticks to them.
    pub sessions: Arc<Sessions>,
    /// Where their data are.
    pub placement: Arc<Placement>,
    /// The address that clients know, where the operator said it.
    pub public: Option<Public>,
    /// How long we wait for whom.
    pub patience: Patience,
    /// The most nodes a request is sent to.
    pub attempts: u32,
    /// Requests of a share that may wait for a place at a node.
    pub queue: usize,
    /// Who may come, and how often.
    pub admission: Admission,
    /// Downloads that go on at another node.
    pub resume: Resume,
    /// What keeps retries from amplifying an outage; shared by all snapshots.
    pub budget: Arc<RetryBudget>,
}
