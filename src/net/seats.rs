//! How many connections and requests each client has at the moment.
//!
//! Nothing is kept of clients who are away, so the table is never larger than what is open.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks among which clients are spread.
const SHARDS: usize = 16;
/// The part of an IPv6 address that a network gives to one client (RFC 6177): it has the rest to itself.
const OWN: u128 = u128::MAX << 64;

/// Whom an address belongs to: itself with IPv4, its /64 with IPv6.
pub fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & OWN)),
        v4 => v4,
    }
}

/// What a seat is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A connection.
    Connection,
    /// A request.
    Request,
}

#[derive(Default)]
struct Taken {
    connections: u32,
    requests: u32,
}

impl Taken {
    fn of(&mut self, what: For) -> &mut u32 {
        match what {
            For::Connection => &mut self.connections,
            For::Request => &mut self.requests,
        }
    }
}

/// The seats of all clients.
#[derive(Default)]
pub struct Seats {
    shards: [Mutex<HashMap<IpAddr, Taken>>; SHARDS],
    hasher: RandomState,
}

impl Seats {
    fn shard(&self, client: &IpAddr) -> MutexGuard<'_, HashMap<IpAddr, Taken>> {
        let at = self.hasher.hash_one(client) as usize % SHARDS;
        #[allow(clippy::indexing_slicing)]
        let shard = &self.shards[at];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat for the client at `address`, who may have `most` of them. Also says how many it has then.
    pub fn take(self: &Arc<Self>, what: For, address: IpAddr, most: u32) -> Option<(Seat, u32)> {
        let client = client(address);
        let mut shard = self.shard(&client);
        let count = shard.entry(client).or_default().of(what);
        if *count >= most {
            // A limit is at least one, so that the entry was there before.
            return None;
        }
        *count += 1;
        let seat = Seat {
            seats: self.clone(),
            what,
            client,
        };
        Some((seat, *count))
    }
}

/// Given back when it is dropped.
pub struct Seat {
    seats: Arc<Seats>,
    what: For,
    client: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut shard = self.seats.shard(&self.client);
        if let Some(taken) = shard.get_mut(&self.client) {
            let count = taken.of(self.what);
            *count = count.saturating_sub(1);
            if taken.connections == 0 && taken.requests == 0 {
                shard.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_who_has_all_its_seats_leaves_those_of_others_alone() {
        let seats = Arc::new(Seats::default());
        let (a, b) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let first = seats.take(For::Request, a, 1).unwrap();
        assert!(seats.take(For::Request, a, 1).is_none());
        assert!(seats.take(For::Connection, a, 1).is_some());
        assert!(seats.take(For::Request, b, 1).is_some());
        drop(first);
        assert!(seats.take(For::Request, a, 1).is_some());
    }

    #[test]
    fn nothing_is_kept_of_who_left() {
        let seats = Arc::new(Seats::default());
        let one = seats.take(For::Connection, ip("192.0.2.1"), 2).unwrap();
        let two = seats.take(For::Connection, ip("192.0.2.1"), 2).unwrap();
        assert_eq!((one.1, two.1), (1, 2));
        drop((one, two));
        assert!(
            seats
                .shards
                .iter()
                .all(|shard| shard.lock().unwrap().is_empty())
        );
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_a_mapped_address_is_its_ipv4() {
        assert_eq!(client(ip("2001:db8::1")), client(ip("2001:db8::2:3")));
        assert_ne!(client(ip("2001:db8::1")), client(ip("2001:db8:0:1::1")));
        assert_eq!(client(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }
}
