//! Making a client's request ready for a node: the path byte for byte, the headers cleaned, nothing invented.

use std::net::IpAddr;

use http::header::{COOKIE, EXPECT, HOST};
use http::{HeaderMap, HeaderValue, Request, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::attempt::Shipment;
use super::response::Dress;
use crate::harbor::class::{Class, Lane};
use crate::harbor::path::Target;
use crate::harbor::session;
use crate::message::{forwarded, hop, names};
use crate::placement;
use crate::state::snapshot::Snapshot;
use crate::upstream::backend::Backend;
use crate::upstream::outgoing::{Linger, Outgoing};

/// A request that is ready to be carried.
pub struct Errand {
    /// What it is.
    pub class: Class,
    /// What rendezvous hashes for it.
    pub key: Option<u64>,
    /// Whether Harbor's nginx would send it to the core, else to the portal.
    pub to_core: bool,
    /// What is sent.
    pub shipment: Shipment,
    /// What the answer needs.
    pub dress: Dress,
    /// The client's side of a tunnel, if it asks for one.
    pub upgrade: Option<OnUpgrade>,
}

/// Who asks, and through what.
pub struct Caller<'a> {
    /// Where the connection comes from, and whether its word is taken.
    pub origin: forwarded::Origin,
    /// `host[:port]` as the client sees it.
    pub authority: &'a HeaderValue,
}

/// Makes `request` ready: RFC 9110 §7.6.1 for the hop-by-hop headers, and Harbor's needs for the rest. Also says who
/// the client is, as far as it is believed.
pub fn prepare(
    mut request: Request<Incoming>,
    target: &Target<'_>,
    caller: &Caller<'_>,
    snapshot: &Snapshot,
) -> (Errand, IpAddr) {
    let upgrade = hop::upgrade(request.headers())
        .map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
    let (head, incoming) = request.into_parts();
    let mut headers = head.headers;
    names::drop_aliases(&mut headers);
    hop::strip_request(&mut headers);
    // The 100 is ours to send, when the body is first read: by then a connection to a node stands.
    let expects = headers.remove(EXPECT).is_some();
    if let Some(cookies) = session::clean_cookies(&headers) {
        headers.remove(COOKIE);
        for line in cookies {
            headers.append(COOKIE, line);
        }
    }
    join_cookies(&mut headers);
    headers.insert(HOST, caller.authority.clone());
    let client = forwarded::write(&mut headers, &caller.origin);
    let upgrade = upgrade.map(|(protocol, client)| {
        headers.insert(
            http::header::CONNECTION,
            HeaderValue::from_static("upgrade"),
        );
        headers.insert(http::header::UPGRADE, protocol);
        client
    });
    let linger = match head.version {
        Version::HTTP_2 => Linger::Never,
        _ if expects => Linger::OnceBegun,
        _ => Linger::Always,
    };
    let (body, progress) = Outgoing::client(incoming, snapshot.patience.pace, linger);
    let uri = origin_form(&head.uri);
    let dress = Dress::new(
        target,
        caller.origin.https,
        caller.authority,
        snapshot.public.as_ref(),
    );
    let shipment = Shipment {
        method: head.method,
        uri,
        headers,
        body,
        progress,
        repeatable: false,
        careful: true,
    };
    let errand = Errand {
        class: target.class,
        key: placement::key(target),
        to_core: target.core,
        shipment,
        dress,
        upgrade,
    };
    (errand, client)
}

/// HTTP/2 clients send cookies in crumbs; a node of HTTP/1.1 must get them as one line (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let lines = headers.get_all(COOKIE);
    if lines.iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(line) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(COOKIE, line);
    }
}

/// Only path and query, as they came: `%252F` must survive.
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query()
        .cloned()
        .map_or_else(|| Uri::from_static("/"), Uri::from)
}

/// Where a request goes on this very node: Harbor 1.5's `ui`, spoken to directly, has its registry under another path.
pub fn address(uri: &Uri, class: Class, backend: &Backend) -> Uri {
    let prefix = match class.lane() {
        Lane::Registry if class != Class::Token => backend.registry_prefix(),
        _ => "",
    };
    if prefix.is_empty() {
        return uri.clone();
    }
    format!("{prefix}{uri}")
        .parse()
        .unwrap_or_else(|_| uri.clone())
}
