//! What the door says about itself: events, one access line per request, and numbers.
//!
//! Everything that is written goes through one writer that drops and counts lines when nobody reads them, since
//! a full pipe behind stderr must never hold up a pull.
//!
//! Public face: [`log::start`] once per process, [`access::AccessLog`] and [`metrics::Metrics`] for whoever serves.

pub mod access;
mod clock;
mod fields;
mod lines;
pub mod log;
pub mod metrics;
