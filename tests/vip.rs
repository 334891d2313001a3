//! An address that doors share: who has it and when, as their peers, their clients and their operators see it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod clients;
mod election;
mod fitness;
mod forged;
mod operator;
mod outage;
mod rights;
mod surroundings;
mod together;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::support::door::eventually;
use super::support::keepalived::Instance;
use super::support::netns::Lab;
use super::support::vip::{Door, LIMIT, PORT, Plan};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The address of [`Instance::default`].
fn vip() -> IpAddr {
    ip("10.77.0.100")
}

/// Where clients connect.
fn door() -> SocketAddr {
    (vip(), PORT).into()
}

/// Version 3 with ten adverts a second.
fn fast(priority: u8) -> Instance {
    Instance {
        priority,
        ..Instance::default()
    }
}

/// Version 2 as old peers speak it.
fn old(priority: u8) -> Instance {
    Instance {
        version: 2,
        priority,
        advert_interval: "1",
        password: Some("d0cker".to_owned()),
        ..Instance::default()
    }
}

/// What a backup waits after the word that there is no master.
fn skew(instance: &Instance) -> Duration {
    interval(instance) * (256 - u32::from(instance.priority)) / 256
}

/// From one advert to the next.
fn interval(instance: &Instance) -> Duration {
    match instance.version {
        3 => Duration::from_secs_f64(instance.advert_interval.parse().unwrap()),
        _ => Duration::from_secs(1),
    }
}

/// Two Seawalls of which host 1 has the better one and the address.
fn pair(lab: &Lab, plan: impl Fn(u8) -> Plan) -> [Door<'_>; 2] {
    let first = Door::start(lab.host(1), &plan(200));
    let second = Door::start(lab.host(2), &plan(100));
    eventually("host 1 alone has it", LIMIT, || lab.holders(vip()) == [1]);
    first.becomes("master");
    second.becomes("backup");
    [first, second]
}

/// Tries both versions at the same time.
fn with_each_version(check: fn(fn(u8) -> Instance)) {
    std::thread::scope(|scope| {
        for instance in [fast, old] {
            scope.spawn(move || check(instance));
        }
    });
}
