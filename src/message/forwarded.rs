//! Who the client was, told to the node in the fields that Harbor reads.
//!
//! Harbor builds the addresses of uploads from these fields: a client that could set `X-Forwarded-Host` or `Forwarded`
//! would move uploads to another machine, and two values of `X-Forwarded-Proto` break the address. So the whole family
//! is written anew, and only a trusted forwarder in front of us is listened to.

use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};
use std::net::IpAddr;

use super::survey::Survey;

/// Where a request came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The other end of the connection (or what PROXY protocol said it is).
    peer: IpAddr,
    /// The same as text.
    shown: HeaderValue,
    /// Whether the connection was TLS.
    pub https: bool,
    /// Whether the peer is a forwarder whose fields are believed.
    pub trusted: bool,
    /// Who the client is by a certificate that it proved to have.
    pub identity: Option<Identity>,
}

/// Who a client is by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name of its owner, as RFC 4514 writes it.
    pub subject: HeaderValue,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: HeaderValue,
}

impl Origin {
    /// A connection from `peer`.
    pub fn new(peer: IpAddr, https: bool, trusted: bool) -> Self {
        let peer = peer.to_canonical();
        Origin {
            peer,
            shown: shown(peer),
            https,
            trusted,
            identity: None,
        }
    }

    /// The other end of the connection.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }
}

/// Digits, colons and dots always fit into a header.
fn shown(ip: IpAddr) -> HeaderValue {
    HeaderValue::from_str(&ip.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_SSL_CLIENT_SUBJECT: HeaderName = HeaderName::from_static("x-ssl-client-subject");
const X_SSL_CLIENT_FINGERPRINT: HeaderName = HeaderName::from_static("x-ssl-client-fingerprint");

/// Fields of the family that do not begin like the rest of it.
const ALIASES: [&str; 10] = [
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];
/// A chain of forwarders longer than this is a forgery or a loop; bytes.
const LONGEST_CHAIN: usize = 1024;

/// Writes the family anew: exactly one `X-Forwarded-Proto`, `X-Forwarded-For` and `X-Real-IP`. From a trusted peer the
/// scheme is kept when it is a single `http` or `https`, the chain of addresses is continued, and a single well-formed
/// `X-Forwarded-Host` stays. `Forwarded` always goes: Harbor 1.5 takes its `for=` for a host. `X-SSL-Client-…` and
/// `Client-Cert` (RFC 9440) go whoever sent them, and what the handshake proved takes their place.
///
/// Returns the client's address, for the log: the peer's, or what a trusted peer put last into the chain.
pub fn write(headers: &mut HeaderMap, found: &Survey, origin: &Origin) -> IpAddr {
    let believed = found.forwarded && origin.trusted;
    let chain = believed.then(|| chain(headers)).flatten();
    let proto = believed.then(|| proto(headers)).flatten();
    let host = believed.then(|| host(headers)).flatten();
    let client = chain.as_deref().and_then(last).unwrap_or(origin.peer);
    if found.forwarded {
        remove_family(headers);
    }
    let own = if origin.https { "https" } else { "http" };
    let proto = HeaderValue::from_static(proto.unwrap_or(own));
    headers.insert(X_FORWARDED_PROTO, proto);
    let (real_ip, forwarded_for) = match chain {
        Some(chain) => {
            let chain = HeaderValue::from_str(&format!("{chain}, {}", origin.peer));
            (shown(client), chain.unwrap_or(origin.shown.clone()))
        }
        None => (origin.shown.clone(), origin.shown.clone()),
    };
    headers.insert(X_REAL_IP, real_ip);
    headers.insert(X_FORWARDED_FOR, forwarded_for);
    if let Some(host) = host {
        headers.insert(X_FORWARDED_HOST, host);
    }
    if let Some(identity) = &origin.identity {
        headers.insert(X_SSL_CLIENT_SUBJECT, identity.subject.clone());
        headers.insert(X_SSL_CLIENT_FINGERPRINT, identity.fingerprint.clone());
    }
    client
}

/// Who the client is, before anything is written: what [`write`] will return.
pub fn client(headers: &HeaderMap, found: &Survey, origin: &Origin) -> IpAddr {
    let believed = found.forwarded && origin.trusted;
    let chain = believed.then(|| chain(headers)).flatten();
    chain.as_deref().and_then(last).unwrap_or(origin.peer)
}

fn remove_family(headers: &mut HeaderMap) {
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_family(name.as_str()))
        .cloned()
        .collect();
    for name in found {
        headers.remove(name);
    }
}

pub(super) fn is_family(name: &str) -> bool {
    match name.as_bytes() {
        [b'x', b'-', ..] => {
            name == X_REAL_IP.as_str()
                || name.starts_with("x-forwarded-")
                || name.starts_with("x-original-")
                || name.starts_with("x-ssl-")
                || ALIASES.contains(&name)
        }
        _ => name == FORWARDED.as_str() || ALIASES.contains(&name),
    }
}

/// The chain so far, of all lines, when it is plain text of a sane length that ends in an address.
fn chain(headers: &HeaderMap) -> Option<String> {
    let mut chain = String::new();
    for line in headers.get_all(X_FORWARDED_FOR) {
        let line = line.to_str().ok()?.trim();
        if !chain.is_empty() && !line.is_empty() {
            chain.push_str(", ");
        }
        chain.push_str(line);
    }
    (chain.len() <= LONGEST_CHAIN && last(&chain).is_some()).then_some(chain)
}

fn last(chain: &str) -> Option<IpAddr> {
    let (_, last) = chain.rsplit_once(',').unwrap_or(("", chain));
    address_of(last.trim())
}

/// An address with or without port, `[v6]:port` included.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[');
    let bare = bare.split(']').next().unwrap_or_default();
    let ip = bare.parse::<IpAddr>().ok();
    let ip = ip.or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()));
    ip.map(|ip| ip.to_canonical())
}

fn proto(headers: &HeaderMap) -> Option<&'static str> {
    let value = single(headers, &X_FORWARDED_PROTO)?.as_bytes();
    ["https", "http"]
        .into_iter()
        .find(|known| value.eq_ignore_ascii_case(known.as_bytes()))
}

fn host(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = single(headers, &X_FORWARDED_HOST)?;
    let text = value.as_bytes();
    let sane = (1..=255).contains(&text.len())
        && text
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(b));
    sane.then(|| value.clone())
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?;
    all.next().is_none().then_some(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PEER: &str = "192.0.2.7";

    fn written(trusted: bool, fields: &[(&'static str, &str)]) -> (HeaderMap, IpAddr) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let origin = Origin::new(PEER.parse().unwrap(), true, trusted);
        let found = Survey::of(&headers);
        let client = write(&mut headers, &found, &origin);
        (headers, client)
    }

    fn text<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers
            .get_all(name)
            .iter()
            .map(|v| v.to_str().unwrap())
            .collect()
    }

    const FORGED: [(&str, &str); 12] = [
        ("forwarded", "for=evil;host=evil"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-prefix", "/x"),
        ("x-forwarded-ssl", "off"),
        ("x-forwarded-server", "evil"),
        ("x-original-url", "/admin"),
        ("x-real-ip", "10.0.0.1"),
        ("true-client-ip", "10.0.0.1"),
        ("x-scheme", "http"),
    ];

    #[test]
    fn a_stranger_is_not_believed() {
        let (headers, client) = written(false, &FORGED);
        assert_eq!(client.to_string(), PEER);
        assert_eq!(text(&headers, "x-forwarded-for"), [PEER]);
        assert_eq!(text(&headers, "x-real-ip"), [PEER]);
        assert_eq!(text(&headers, "x-forwarded-proto"), ["https"]);
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn a_trusted_forwarder_is() {
        let (headers, client) = written(true, &FORGED);
        assert_eq!(client.to_string(), "10.0.0.1");
        assert_eq!(text(&headers, "x-forwarded-for"), ["10.0.0.1, 192.0.2.7"]);
        assert_eq!(text(&headers, "x-real-ip"), ["10.0.0.1"]);
        assert_eq!(text(&headers, "x-forwarded-proto"), ["http"]);
        assert_eq!(text(&headers, "x-forwarded-host"), ["evil.example"]);
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn the_client_is_the_last_of_a_chain_since_the_first_may_be_invented() {
        let lines = [
            ("x-forwarded-for", "1.1.1.1, 10.0.0.1"),
            ("x-forwarded-for", "[2001:db8::1]:443"),
        ];
        let (headers, client) = written(true, &lines);
        assert_eq!(client.to_string(), "2001:db8::1");
        let chain = "1.1.1.1, 10.0.0.1, [2001:db8::1]:443, 192.0.2.7";
        assert_eq!(text(&headers, "x-forwarded-for"), [chain]);
    }

    #[test]
    fn even_a_trusted_forwarder_must_make_sense() {
        for proto in [
            &[("x-forwarded-proto", "https,http")][..],
            &[("x-forwarded-proto", "http"), ("x-forwarded-proto", "http")],
            &[("x-forwarded-proto", "")],
        ] {
            let (headers, _) = written(true, proto);
            assert_eq!(text(&headers, "x-forwarded-proto"), ["https"]);
        }
        let odd = [("x-forwarded-for", "unknown"), ("x-forwarded-host", "a/b")];
        let (headers, client) = written(true, &odd);
        assert_eq!(client.to_string(), PEER);
        assert_eq!(text(&headers, "x-forwarded-for"), [PEER]);
        assert!(headers.get("x-forwarded-host").is_none());
    }

    #[test]
    fn an_address_of_version_4_inside_version_6_is_shown_as_version_4() {
        let mut headers = HeaderMap::new();
        let origin = Origin::new("::ffff:192.0.2.7".parse().unwrap(), false, false);
        let client = write(&mut headers, &Survey::default(), &origin);
        assert_eq!(client.to_string(), PEER);
        assert_eq!(text(&headers, "x-forwarded-proto"), ["http"]);
    }
}
