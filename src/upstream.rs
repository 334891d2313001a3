//! The nodes behind the door: their addresses, connections, health and the choice among them.
//!
//! A [`Backend`](backend::Backend) is one node and outlives configurations: its connections and what is known of its
//! health are kept by identity when the operator reloads. A [`Cluster`](cluster::Cluster) is the list of backends that
//! one configuration names; it hands out a [`Lease`](lease::Lease): a chosen node plus one unit of its capacity.
//! [`probe`] asks every node how it is, at a fixed rate; [`siblings`] compares how they do their work; [`standing`] keeps
//! what probes and traffic found out.

pub mod backend;
pub mod capacity;
pub mod clock;
pub mod cluster;
pub mod connection;
pub mod ejection;
pub mod endpoint;
pub mod exchange;
pub mod lease;
mod line;
pub mod nodes;
pub mod outgoing;
pub mod pool;
pub mod probe;
pub mod queue;
pub mod siblings;
pub mod standing;
