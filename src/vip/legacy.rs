//! What goes from one process to the next, so that their peers see one router and no change.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::machine::State;
use crate::config::{self, VipInstance};

/// A virtual router as the network knows it. Two processes with equal ones may follow each other without a word to the
/// peers; whatever is different belongs to another router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    interface: String,
    router_id: u8,
    version: u8,
    interval: Duration,
    addresses: Vec<IpNet>,
    virtual_mac: bool,
}

impl Identity {
    /// That of a router of the configuration.
    pub fn of(config: &VipInstance, virtual_mac: bool) -> Self {
        Identity {
            interface: config.interface.clone(),
            router_id: config.router_id,
            version: config.version.number(),
            interval: config.advert_interval,
            addresses: config.addresses.clone(),
            virtual_mac,
        }
    }

    /// Those of all routers of the configuration.
    pub fn all(config: &config::Vip) -> Vec<Self> {
        let routers = config.instance.iter();
        routers
            .map(|instance| Self::of(instance, config.virtual_mac))
            .collect()
    }
}

/// How a router stood when its process let go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stood {
    /// It had the addresses; they are still there, for the rest of their lifetimes.
    Master,
    /// An operator had given them away.
    Released,
    /// Neither.
    Otherwise,
}

impl From<State> for Stood {
    fn from(state: State) -> Self {
        match state {
            State::Master => Stood::Master,
            State::Released => Stood::Released,
            State::Init | State::Backup | State::Fault => Stood::Otherwise,
        }
    }
}

/// What one process leaves to the next of a virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legacy {
    /// Which.
    pub identity: Identity,
    /// How it stood.
    pub stood: Stood,
    /// The counter of the last advert that it signed: those that follow must have higher ones.
    pub counter: u64,
    /// The counters of the last adverts that were believed, by their senders.
    pub heard: HashMap<IpAddr, u64>,
}
