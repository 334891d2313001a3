//! Beginning and end: signals, draining, fitness, and what the process may use.
//!
//! Nothing here knows what is served; the rooms above hold guards and set reasons.

pub mod drain;
pub mod privilege;
pub mod ready;
pub mod renew;
pub mod signals;
pub mod watchdog;
pub mod workers;
