//! What is counted of whom.

use std::net::IpAddr;

use http::Method;
use sha2::{Digest, Sha256};

use crate::config::{Rate, Rates};
use crate::harbor::class::Class;
use crate::net::seats;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A token.
    Token,
    /// A login at the pages, or a password at the API.
    Login,
    /// The list of all repositories.
    Catalog,
    /// A search.
    Search,
}

impl Kind {
    /// The kinds of a request; a search that brings a password is two things.
    pub fn of(class: Class, method: &Method, path: &str, by_password: bool) -> [Option<Kind>; 2] {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        match class {
            Class::Token => [Some(Kind::Token), None],
            Class::Catalog => [Some(Kind::Catalog), None],
            Class::UiSession => {
                let login = *method == Method::POST && path.ends_with("/login");
                [login.then_some(Kind::Login), None]
            }
            Class::ApiRead | Class::ApiWrite => [
                by_password.then_some(Kind::Login),
                path.ends_with("/search").then_some(Kind::Search),
            ],
            _ => [None; 2],
        }
    }

    /// How often it may be.
    pub fn rate(self, rates: &Rates) -> Option<Rate> {
        match self {
            Kind::Token => rates.token,
            Kind::Login => rates.login,
            Kind::Catalog => rates.catalog,
            Kind::Search => rates.search,
        }
    }

    /// The word for it in metrics, for a user or a client.
    pub const fn slug(self, of_user: bool) -> &'static str {
        match (self, of_user) {
            (Kind::Token, false) => "client_token",
            (Kind::Login, false) => "client_login",
            (Kind::Catalog, false) => "client_catalog",
            (Kind::Search, false) => "client_search",
            (Kind::Token, true) => "user_token",
            (Kind::Login, true) => "user_login",
            (Kind::Catalog, true) => "user_catalog",
            (Kind::Search, true) => "user_search",
        }
    }
}

/// The number under which something is counted, the same at every door. Nobody can find a name whose number is that of
/// another: SHA-256, cut to 64 bits.
fn number(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut first = [0; 8];
    first
        .iter_mut()
        .zip(hash.finalize())
        .for_each(|(to, from)| *to = from);
    u64::from_be_bytes(first)
}

fn bits(address: IpAddr) -> [u8; 16] {
    match seats::client(address) {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// A kind of request of a client.
pub fn of_client(kind: Kind, client: IpAddr) -> u64 {
    number(&[b"client", &[kind as u8], &bits(client)])
}

/// A kind of request of a user.
pub fn of_user(kind: Kind, user: &str) -> u64 {
    number(&[b"user", &[kind as u8], user.as_bytes()])
}

/// Failures of a client with one user. Some ways to check a password take no notice of case.
pub fn of_failures(client: IpAddr, user: &[u8]) -> u64 {
    number(&[b"failures", &bits(client), &user.to_ascii_lowercase()])
}

/// One password of a user, at one client; `secret` is this process's own, so that the number tells nobody anything.
pub fn of_password(client: IpAddr, pair: &[u8], secret: &[u8]) -> u64 {
    number(&[b"password", secret, &bits(client), pair])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_for_what_it_is() {
        let of = |class, method, path, basic| Kind::of(class, &method, path, basic);
        let one = |kind| [Some(kind), None];
        assert_eq!(
            of(Class::Token, Method::GET, "/service/token?x=/search", true),
            one(Kind::Token)
        );
        assert_eq!(
            of(Class::UiSession, Method::POST, "/c/login", false),
            one(Kind::Login)
        );
        assert_eq!(
            of(Class::UiSession, Method::GET, "/c/login", false),
            [None; 2]
        );
        assert_eq!(
            of(Class::ApiRead, Method::GET, "/api/v2.0/search?q=a", true),
            [Some(Kind::Login), Some(Kind::Search)]
        );
        assert_eq!(
            of(
                Class::ApiRead,
                Method::GET,
                "/api/v2.0/projects?q=/search",
                false
            ),
            [None; 2]
        );
        assert_eq!(
            of(
                Class::ManifestWrite,
                Method::PUT,
                "/v2/a/manifests/search",
                true
            ),
            [None; 2]
        );
    }

    #[test]
    fn whoever_and_whatever_differs_has_another_number() {
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let numbers = [
            of_client(Kind::Token, a),
            of_client(Kind::Token, b),
            of_client(Kind::Login, a),
            of_user(Kind::Token, "a"),
            of_failures(a, b"a"),
            of_failures(a, b"b"),
            of_password(a, b"a:b", b"1"),
            of_password(a, b"a:b", b"2"),
        ];
        let different: std::collections::BTreeSet<_> = numbers.into_iter().collect();
        assert_eq!(different.len(), numbers.len());
        assert_eq!(of_failures(a, b"Admin"), of_failures(a, b"admin"));
    }
}
