//! Seawall's integration tests, linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods
)]

mod allocations;
mod architecture;
mod attacks;
mod bench;
mod benchmark;
mod brownout;
mod chaos;
mod check;
mod components;
mod differential;
mod direct;
mod doctor;
mod drain;
mod endings;
mod framing;
mod front_door;
mod greedy;
mod headers;
mod import;
mod journal;
mod kept;
mod memory;
mod nodes_come_and_go;
mod overload;
mod real_clients;
mod replay;
mod resume;
mod severed;
mod slow_push;
mod stand_in;
mod sticky;
mod support;
mod support_works;
mod surprises;
mod swap;
mod systemd;
mod takeover;
mod tls;
mod topologies;
mod vip;
mod vip_lab;
