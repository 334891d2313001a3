//! The configuration before it is written: what the file gave, and what it left open.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// What comes out.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) doors: Vec<Door>,
    pub(super) nodes: Vec<Node>,
    pub(super) balance: Slot<&'static str>,
    pub(super) interval: Slot<Duration>,
    pub(super) timeout: Slot<Duration>,
    pub(super) fall: Slot<u32>,
    pub(super) virtual_mac: bool,
    pub(super) instances: Vec<Instance>,
    /// Whether port 443 was there, as a comment.
    pub(super) hides_https: bool,
}

/// A value that the file may give several times and Seawall has once.
pub(super) struct Slot<T>(Option<(T, usize)>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Copy + PartialEq> Slot<T> {
    pub(super) fn get(&self) -> Option<T> {
        self.0.map(|(value, _)| value)
    }

    /// Takes the first value. For a later one, says whether it was the same, and which line was first.
    pub(super) fn set(&mut self, value: T, line: usize) -> Result<(), (bool, usize)> {
        match self.0 {
            None => {
                self.0 = Some((value, line));
                Ok(())
            }
            Some((first, at)) => Err((first == value, at)),
        }
    }
}

/// A port that clients connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) ipv6: bool,
    pub(super) port: u16,
    pub(super) tls: bool,
}

/// One Harbor.
pub(super) struct Node {
    /// As it stands in the file.
    pub(super) host: String,
    pub(super) address: Option<IpAddr>,
    pub(super) https: bool,
    pub(super) port: u16,
    pub(super) weight: Option<u32>,
    /// The virtual server that named it last.
    pub(super) server: usize,
}

/// A value, or what stood there and is none.
#[derive(Debug)]
pub(super) enum Given<T> {
    Value(T),
    Open(String),
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self::Open(String::new())
    }
}

/// One virtual router.
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) interface: Given<String>,
    pub(super) router_id: Given<u8>,
    pub(super) version: u8,
    pub(super) priority: u8,
    pub(super) advert_interval: Duration,
    pub(super) addresses: Vec<Given<String>>,
    /// Addresses that are not in the adverts, which Seawall does not have.
    pub(super) excluded: Vec<String>,
    pub(super) password: Option<String>,
    pub(super) peers: Vec<Given<IpAddr>>,
    pub(super) source: Option<IpAddr>,
    pub(super) preempt: bool,
    pub(super) preempt_delay: Option<Duration>,
    pub(super) sync_group: Option<String>,
    pub(super) track_interfaces: BTreeSet<String>,
}
