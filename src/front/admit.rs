//! May this client come, and now? Lists of networks, what one client may have at the same time, how often it and its user
//! may come, and how many passwords it may try.
//!
//! All of it is counted here and now, by a table that never grows ([`cells`]); [`share`] lets doors with a common store
//! count together, behind the requests. Where nothing is configured, a request without a password costs nothing.

pub mod cells;
mod guess;
mod kind;
pub mod share;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use ipnet::IpNet;

use super::rescue::Refusal;
use crate::config::{Access, Rate, Rates};
use crate::harbor::auth;
use crate::harbor::class::Class;
use crate::net::seats::{For, Seat, Seats};
use crate::proxy::finish::Record;
use crate::state::snapshot::Admission;
use cells::Cells;
use guess::Guess;
use kind::Kind;

/// So many connections beyond its limit a client may have to hear that it has too many; more are closed unheard.
const TOLD: u32 = 8;

/// What is known of clients and users that ask for much.
pub struct Gate {
    seats: Arc<Seats>,
    cells: Cells,
    /// Makes the numbers of passwords mean nothing outside of this process.
    secret: [u8; 16],
}

impl Default for Gate {
    fn default() -> Self {
        // Two keys that the system's own randomness made: `fastrand` is for what nobody guesses at.
        let half = |_| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u8);
        let [first, second] = [0, 1].map(half);
        let secret = (u128::from(first) << 64 | u128::from(second)).to_be_bytes();
        Gate {
            seats: Arc::default(),
            cells: Cells::default(),
            secret,
        }
    }
}

/// What a connection may do.
pub enum Entry {
    /// All; the seat is for its time.
    Open(Option<Seat>),
    /// It is one too many, and may hear so.
    Extra(Seat),
    /// It is one of many too many.
    Shut,
}

/// What is asked of the gate.
pub struct Knock<'a> {
    /// The client, as far as it is believed.
    pub client: IpAddr,
    /// What it asks for.
    pub class: Class,
    /// With which method.
    pub method: &'a Method,
    /// Path and query.
    pub path: &'a str,
}

/// What was counted of a request until its answer is known. Dropped without one, it was never counted.
#[derive(Default)]
pub struct Toll<'a> {
    gate: Option<&'a Gate>,
    /// What a user's rate was charged with: a name proves nothing before a node took it.
    user: [Option<(u64, Rate)>; 2],
    guess: Option<Guess>,
}

impl Gate {
    /// A connection of `client`, which is no forwarder of others.
    pub fn connect(&self, admission: &Admission, client: IpAddr) -> Entry {
        let limits = &admission.client;
        if limits.connections == 0 || contains(&limits.exempt, client) {
            return Entry::Open(None);
        }
        let most = limits.connections.saturating_add(TOLD);
        match self.seats.take(For::Connection, client, most) {
            Some((seat, count)) if count <= limits.connections => Entry::Open(Some(seat)),
            Some((seat, _)) => Entry::Extra(seat),
            None => Entry::Shut,
        }
    }

    /// A request.
    ///
    /// # Errors
    /// What the client hears instead.
    pub fn admit<'a>(
        &'a self,
        admission: &Admission,
        knock: &Knock<'_>,
        record: &mut Record,
    ) -> Result<Toll<'a>, Refusal> {
        if !is_allowed(&admission.access, knock) {
            record.metrics().limited("access");
            return Err(Refusal::Forbidden);
        }
        let limits = &admission.client;
        let basic = record
            .authorization()
            .is_some_and(|value| is_basic(value.as_bytes()));
        let guessing = limits.failures.filter(|_| basic);
        let kinds = Kind::of(knock.class, knock.method, knock.path, basic);
        let rated = kinds
            .iter()
            .flatten()
            .any(|kind| kind.rate(&limits.rates).is_some() || kind.rate(&admission.user).is_some());
        if limits.requests == 0 && guessing.is_none() && !rated
            || contains(&limits.exempt, knock.client)
        {
            return Ok(Toll::default());
        }
        if limits.requests > 0 {
            let seat = self.seats.take(For::Request, knock.client, limits.requests);
            let Some((seat, _)) = seat else {
                record.metrics().limited("client_requests");
                return Err(Refusal::Busy);
            };
            record.seat = Some(seat);
        }
        let mut toll = Toll {
            gate: Some(self),
            ..Toll::default()
        };
        if rated {
            self.charge_client(&limits.rates, kinds, knock.client, record)?;
            self.charge_user(&admission.user, kinds, record, &mut toll)?;
        }
        if let Some(rate) = guessing
            && let Some(pair) = record.authorization().and_then(auth::pair)
        {
            let secret = &self.secret;
            let guess = Guess::begin(&self.cells, rate, knock, &pair, secret, self.cells.now());
            toll.guess = guess.map_err(|wait| {
                record.metrics().limited("failures");
                Refusal::Guessing(seconds(wait))
            })?;
        }
        Ok(toll)
    }

    fn charge_client(
        &self,
        rates: &Rates,
        kinds: [Option<Kind>; 2],
        client: IpAddr,
        record: &Record,
    ) -> Result<(), Refusal> {
        for kind in kinds.into_iter().flatten() {
            if let Some(rate) = kind.rate(rates) {
                let key = kind::of_client(kind, client);
                let taken = self.cells.take(key, rate, self.cells.now());
                taken.map_err(|wait| refuse(kind, false, wait, record))?;
            }
        }
        Ok(())
    }

    fn charge_user(
        &self,
        rates: &Rates,
        kinds: [Option<Kind>; 2],
        record: &Record,
        toll: &mut Toll<'_>,
    ) -> Result<(), Refusal> {
        if *rates == Rates::default() {
            return Ok(());
        }
        let Some(user) = auth::user(record.authorization()) else {
            return Ok(());
        };
        for (kind, charged) in kinds.into_iter().zip(&mut toll.user) {
            let Some(kind) = kind else { continue };
            if let Some(rate) = kind.rate(rates) {
                let key = kind::of_user(kind, &user);
                let taken = self.cells.take(key, rate, self.cells.now());
                taken.map_err(|wait| refuse(kind, true, wait, record))?;
                *charged = Some((key, rate));
            }
        }
        Ok(())
    }
}

impl Toll<'_> {
    /// The answer of a node.
    pub fn settle(mut self, status: StatusCode) {
        let Some(gate) = self.gate else { return };
        if status != StatusCode::UNAUTHORIZED {
            self.user = [None; 2];
        }
        if let Some(guess) = self.guess.take() {
            guess.settle(&gate.cells, status, gate.cells.now());
        }
    }
}

impl Drop for Toll<'_> {
    fn drop(&mut self) {
        let Some(gate) = self.gate else { return };
        for (key, rate) in self.user.into_iter().flatten() {
            gate.cells.give_back(key, rate);
        }
        if let Some(guess) = self.guess.take() {
            guess.forget(&gate.cells);
        }
    }
}

fn refuse(kind: Kind, of_user: bool, wait: Duration, record: &Record) -> Refusal {
    record.metrics().limited(kind.slug(of_user));
    match kind {
        Kind::Token => Refusal::TokenRate(seconds(wait)),
        Kind::Login | Kind::Catalog | Kind::Search => Refusal::Rate(seconds(wait)),
    }
}

/// Whole seconds, rounded up, as `Retry-After` has them.
fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

fn is_basic(authorization: &[u8]) -> bool {
    authorization
        .get(..6)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
}

fn is_allowed(lists: &[Access], knock: &Knock<'_>) -> bool {
    let concerns = |list: &&Access| list.classes.is_empty() || list.classes.contains(&knock.class);
    lists.iter().filter(concerns).all(|list| {
        let allowed = list.allow.is_empty() || contains(&list.allow, knock.client);
        allowed && !contains(&list.deny, knock.client)
    })
}

fn contains(networks: &[IpNet], client: IpAddr) -> bool {
    let client = client.to_canonical();
    networks.iter().any(|network| network.contains(&client))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn list(classes: &[Class], allow: &[&str], deny: &[&str]) -> Access {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Access {
            classes: classes.to_vec(),
            allow: networks(allow),
            deny: networks(deny),
        }
    }

    fn may(lists: &[Access], class: Class, client: &str) -> bool {
        let knock = Knock {
            client: client.parse().unwrap(),
            class,
            method: &Method::GET,
            path: "/",
        };
        is_allowed(lists, &knock)
    }

    #[test]
    fn a_list_concerns_its_classes_and_all_lists_must_agree() {
        let lists = [
            list(
                &[Class::ApiWrite],
                &["10.0.0.0/8", "fd00::/8"],
                &["10.66.0.0/16"],
            ),
            list(&[], &[], &["192.0.2.0/24"]),
        ];
        for (class, client, expected) in [
            (Class::ApiWrite, "10.1.2.3", true),
            (Class::ApiWrite, "::ffff:10.1.2.3", true),
            (Class::ApiWrite, "fd00::1", true),
            (Class::ApiWrite, "10.66.0.1", false),
            (Class::ApiWrite, "198.51.100.1", false),
            (Class::BlobRead, "198.51.100.1", true),
            (Class::BlobRead, "192.0.2.1", false),
        ] {
            assert_eq!(may(&lists, class, client), expected, "{class:?} {client}");
        }
        assert!(may(&[], Class::ApiWrite, "192.0.2.1"));
    }

    #[test]
    fn a_few_connections_too_many_may_hear_so_and_more_are_shut_out() {
        let limits = crate::config::ClientLimits {
            connections: 2,
            exempt: vec!["192.0.2.9/32".parse().unwrap()],
            ..Default::default()
        };
        let admission = Admission {
            client: limits,
            user: Rates::default(),
            access: Vec::new(),
        };
        let (gate, client) = (Gate::default(), "192.0.2.1".parse().unwrap());
        let mut held = Vec::new();
        for number in 0..12 {
            let entry = gate.connect(&admission, client);
            match &entry {
                Entry::Open(Some(_)) => assert!(number < 2, "{number}"),
                Entry::Extra(_) => assert!((2..10).contains(&number), "{number}"),
                Entry::Shut => assert!(number >= 10, "{number}"),
                Entry::Open(None) => unreachable!(),
            }
            held.push(entry);
        }
        let exempt = gate.connect(&admission, "192.0.2.9".parse().unwrap());
        assert!(matches!(exempt, Entry::Open(None)));
        drop(held);
        let entry = gate.connect(&admission, client);
        assert!(matches!(entry, Entry::Open(Some(_))));
    }

    #[test]
    fn basic_is_known_by_its_scheme_in_any_case() {
        assert!(is_basic(b"Basic YTpi") && is_basic(b"bAsIc YTpi"));
        assert!(!is_basic(b"Bearer x") && !is_basic(b"Basic") && !is_basic(b""));
    }

    #[test]
    fn a_client_is_asked_to_wait_long_enough() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_millis(2001)), 3);
    }
}
