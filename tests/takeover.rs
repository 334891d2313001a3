//! Another process takes the place of a running one, and nobody notices.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod given;
mod load;
mod refused;
mod transfers;
mod vip;

use std::time::Duration;

use super::support::harbor::Options;

/// How long an elder may take for its end once nothing runs any more.
const END: Duration = Duration::from_secs(30);

/// Lets a node be as patient with bodies as a real one.
fn patient(options: &mut Options) {
    options.timing.body_stall = Duration::from_secs(60);
    options.timing.proxy_v2 = Duration::from_secs(900);
}
