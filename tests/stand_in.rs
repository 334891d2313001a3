//! The stand-in Harbor node is itself tested first: every test after this believes it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod apart;
mod behaviour;
mod compare;
mod exempt;
mod labels;
mod prelude;
mod replay;
mod replication;
mod seed;
mod trace;
mod wire;
