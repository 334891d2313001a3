//! One session as it is kept: to which node it sticks, and what an operator wants to know of it. Never a secret.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::key::Kind;
use crate::balance;

/// The longest value that is read back from a store; ours stay far below.
const LONGEST: usize = 1024;
/// How old the store's copy may grow, in milliseconds, before a request has it refreshed.
const REFRESH_AFTER: u64 = 60_000;

/// Milliseconds since 1970: entries are shared between machines and outlive processes.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// The network that a client comes from: enough to tell sites apart, too little to tell people apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpAddr);

impl Network {
    /// The /24 or /48 of `client`.
    pub fn of(client: IpAddr) -> Self {
        Network(match client.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !0xff)),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80)),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, _) = text.split_once('/')?;
        Some(Network::of(address.parse().ok()?))
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits = if self.0.is_ipv4() { 24 } else { 48 };
        write!(f, "{}/{bits}", self.0)
    }
}

/// A session as it stands in a store: one JSON object. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The node's name.
    pub node: String,
    /// The slug of its kind.
    pub kind: String,
    /// When its first request came.
    pub first: u64,
    /// When its last request came, as far as a door has told.
    pub last: u64,
    /// When it came to stick to this node.
    pub bound: u64,
    /// Requests so far.
    pub requests: u64,
    /// Where its client comes from.
    pub client: String,
    /// The door that bound it.
    pub door: String,
}

impl Record {
    /// The value to write; never empty.
    pub fn to_value(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }

    /// What a value says. `None` for anything that no door wrote for a session of `kind`.
    pub fn from_value(value: &[u8], kind: Kind) -> Option<Self> {
        if value.len() > LONGEST {
            return None;
        }
        let record: Record = serde_json::from_slice(value).ok()?;
        let named = |name: &str| {
            (1..=64).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        let sound = record.kind == kind.slug()
            && named(&record.node)
            && named(&record.door)
            && Network::parse(&record.client).is_some();
        sound.then_some(record)
    }
}

/// A session in memory. Shared by all requests that name it.
#[derive(Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The node it sticks to.
    pub node: Arc<str>,
    /// The hash of that name, to find the node by.
    pub seed: u64,
    /// When its first request came.
    pub first: u64,
    /// When it came to stick to this node.
    pub bound: u64,
    /// Where its client comes from.
    pub client: Network,
    /// The door that bound it.
    pub door: Arc<str>,
    last: AtomicU64,
    requests: AtomicU64,
    /// Requests that the store has not been told of.
    untold: AtomicU64,
    /// When the store was last known to have it; 0: never.
    pub(super) saved: AtomicU64,
    /// When somebody last set out to refresh the store, with whatever end; 0: never.
    pub(super) claimed: AtomicU64,
}

impl Entry {
    /// A session that begins now.
    pub fn new(kind: Kind, node: &Arc<str>, client: Network, door: &Arc<str>) -> Self {
        let now = now();
        Entry {
            kind,
            node: node.clone(),
            seed: balance::hash(node.as_bytes()),
            first: now,
            bound: now,
            client,
            door: door.clone(),
            last: AtomicU64::new(now),
            requests: AtomicU64::new(1),
            untold: AtomicU64::new(0),
            saved: AtomicU64::new(0),
            claimed: AtomicU64::new(0),
        }
    }

    /// The same session, which sticks to `node` from now on.
    pub fn moved(&self, node: &Arc<str>, door: &Arc<str>) -> Self {
        let fresh = Entry::new(self.kind, node, self.client, door);
        Entry {
            first: self.first,
            // The clock of the door that bound it before may be ahead of ours: what is bound last is later.
            bound: fresh.bound.max(self.bound.saturating_add(1)),
            requests: AtomicU64::new(self.requests().saturating_add(1)),
            ..fresh
        }
    }

    /// What a store says, read at `now`.
    pub fn from_record(record: Record, now: u64) -> Self {
        let kind = Kind::from_slug(&record.kind).unwrap_or(Kind::Upload);
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Entry {
            kind,
            seed: balance::hash(record.node.as_bytes()),
            node: record.node.into(),
            first: record.first,
            bound: record.bound,
            client: Network::parse(&record.client).unwrap_or_else(|| Network::of(nowhere)),
            door: record.door.into(),
            last: AtomicU64::new(record.last),
            requests: AtomicU64::new(record.requests),
            untold: AtomicU64::new(0),
            saved: AtomicU64::new(now),
            claimed: AtomicU64::new(0),
        }
    }

    /// For the store.
    pub fn record(&self) -> Record {
        Record {
            node: self.node.as_ref().to_owned(),
            kind: self.kind.slug().to_owned(),
            first: self.first,
            last: self.last(),
            bound: self.bound,
            requests: self.requests(),
            client: self.client.to_string(),
            door: self.door.as_ref().to_owned(),
        }
    }

    /// When its last request came.
    pub fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }

    /// Requests so far, those through other doors only as far as they have told.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Whether it is not over at `now`.
    pub fn is_alive(&self, ttl: u64, now: u64) -> bool {
        now.saturating_sub(self.last()) < ttl
    }

    /// Counts a request.
    pub fn touch(&self, now: u64) {
        self.last.fetch_max(now, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.untold.fetch_add(1, Relaxed);
    }

    /// Whether the caller is the one to have the store refreshed; then, the claim before. That the store has it is another
    /// matter: `saved` stays until the store has said so.
    pub(super) fn claim_refresh(&self, now: u64) -> Option<u64> {
        let claimed = self.claimed.load(Relaxed);
        let last = claimed.max(self.saved.load(Relaxed));
        (now.saturating_sub(last) >= REFRESH_AFTER
            && self
                .claimed
                .compare_exchange(claimed, now, Relaxed, Relaxed)
                .is_ok())
        .then_some(claimed)
    }

    /// Takes in what other doors have told the store of the same session at the same node.
    pub(super) fn merge(&self, record: &Record) {
        self.last.fetch_max(record.last, Relaxed);
        let untold = self.untold.swap(0, Relaxed);
        self.requests
            .fetch_max(record.requests.saturating_add(untold), Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> Entry {
        let client = Network::of("192.0.2.77".parse().unwrap());
        Entry::new(Kind::Ui, &"harbor-1".into(), client, &"door-a".into())
    }

    #[test]
    fn a_record_reads_back() {
        let record = entry().record();
        let value = record.to_value();
        assert_eq!(Record::from_value(value.as_bytes(), Kind::Ui), Some(record));
        assert!(value.contains("192.0.2.0/24"), "{value}");
    }

    #[test]
    fn what_no_door_wrote_is_not_believed() {
        let good = entry().record();
        let as_other = |change: &dyn Fn(&mut Record)| {
            let mut record = good.clone();
            change(&mut record);
            Record::from_value(record.to_value().as_bytes(), Kind::Ui)
        };
        assert_eq!(as_other(&|r| r.node.clear()), None);
        assert_eq!(as_other(&|r| r.node = "a\nb".to_owned()), None);
        assert_eq!(as_other(&|r| r.kind = "upload".to_owned()), None);
        assert_eq!(as_other(&|r| r.client = "10.0.0.1".to_owned()), None);
        assert_eq!(as_other(&|r| r.door = "x".repeat(2000)), None);
        assert_eq!(Record::from_value(b"", Kind::Ui), None);
        assert_eq!(Record::from_value(b"{}", Kind::Ui), None);
    }

    #[test]
    fn only_one_of_many_requests_refreshes_the_store() {
        let entry = entry();
        let now = now() + REFRESH_AFTER;
        assert_eq!(entry.claim_refresh(now), Some(0));
        assert_eq!(entry.claim_refresh(now), None);
        assert_eq!(entry.claim_refresh(now + REFRESH_AFTER - 1), None);
        assert_eq!(entry.claim_refresh(now + REFRESH_AFTER), Some(now));
        let saved = entry.saved.load(Relaxed);
        assert_eq!(saved, 0, "a claim is not yet in the store");
    }

    #[test]
    fn a_client_is_known_by_its_network_only() {
        let network = |text: &str| Network::of(text.parse().unwrap()).to_string();
        assert_eq!(network("::ffff:10.1.2.3"), "10.1.2.0/24");
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1::/48");
    }

    #[test]
    fn a_session_that_moves_keeps_its_age() {
        let entry = entry();
        entry.touch(now());
        let moved = entry.moved(&"harbor-2".into(), &"door-b".into());
        assert_eq!((moved.first, moved.requests()), (entry.first, 3));
        assert_eq!(&*moved.node, "harbor-2");
    }

    #[test]
    fn a_session_that_moved_is_later_than_it_was_whatever_the_clocks_of_doors_say() {
        let mut ahead = entry();
        ahead.bound = now() + 60_000;
        let moved = ahead.moved(&"harbor-2".into(), &"door-b".into());
        assert!(moved.bound > ahead.bound);
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value: Vec<u8>) {
            let _ = Record::from_value(&value, Kind::Upload);
        }
    }
}
