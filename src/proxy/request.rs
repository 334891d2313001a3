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
use crate::message::survey::Survey;
use crate::message::{forwarded, hop, names};
use crate::placement::{self, affinity::Tie, demand::Asks};
use crate::state::snapshot::Snapshot;
use crate::upstream::backend::Backend;
use crate::upstream::outgoing::{Linger, Outgoing};

/// A request that is ready to be carried.
pub struct Errand {
    /// What it is.
    pub class: Class,
    /// What rendezvous hashes for it.
    pub key: Option<u64>,
    /// Whether it is to be hashed whatever the operator's algorithm is.
    pub by_key: bool,
    /// What ties it to a node, as far as the request tells.
    pub tie: Tie,
    /// What it asks of the nodes' data, where they have data of their own.
    pub asks: Option<Box<Asks>>,
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
    pub origin: &'a forwarded::Origin,
    /// `host[:port]` as the client sees it.
    pub authority: &'a HeaderValue,
    /// What the head holds.
    pub found: &'a Survey,
}

/// Makes `request` ready: RFC 9110 §7.6.1 for the hop-by-hop headers, and Harbor's needs for the rest. Also says who
/// the client is, as far as it is believed.
pub fn prepare(
    mut request: Request<Incoming>,
    target: &Target<'_>,
    caller: &Caller<'_>,
    snapshot: &Snapshot,
) -> (Errand, IpAddr) {
    let found = caller.found;
    let upgrade = found
        .connection
        .then(|| hop::upgrade(request.headers()))
        .flatten()
        .map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
    let (head, incoming) = request.into_parts();
    let mut headers = head.headers;
    if found.alias {
        names::drop_aliases(&mut headers);
    }
    hop::strip_request(&mut headers, found);
    // The 100 is ours to send, when the body is first read: by then a connection to a node stands.
    let expects = found.expect && headers.remove(EXPECT).is_some();
    if found.cookie {
        clean_cookies(&mut headers);
    }
    let tie = Tie::of(target, &headers, found.cookie, &snapshot.sessions);
    headers.insert(HOST, caller.authority.clone());
    let client = forwarded::write(&mut headers, found, caller.origin);
    let upgrade = upgrade.map(|(protocol, client)| {
        headers.insert(
            http::header::CONNECTION,
            HeaderValue::from_static("upgrade"),
        );
        headers.insert(http::header::UPGRADE, protocol);
        client
    });
    let asks = Asks::of(
        target,
        &head.method,
        &head.uri,
        &headers,
        client,
        &snapshot.placement,
    );
    let linger = match head.version {
        Version::HTTP_2 => Linger::Never,
        _ if expects => Linger::OnceBegun,
        _ => Linger::Always,
    };
    let (body, progress) = Outgoing::client(incoming, snapshot.patience.pace, linger);
    let uri = origin_form(head.uri);
    let dress = Dress::new(target, caller.origin.https, caller.authority);
    let shipment = Shipment {
        method: head.method,
        uri,
        prefix: "",
        headers,
        body,
        progress,
        repeatable: false,
        careful: true,
    };
    let errand = Errand {
        class: target.class,
        key: placement::key(target),
        by_key: target.repository.is_some()
            && target
                .project()
                .is_some_and(|project| snapshot.placement.is_proxy(project)),
        tie,
        asks,
        to_core: target.core,
        shipment,
        dress,
        upgrade,
    };
    (errand, client)
}

/// Leaves out session cookies that no Harbor issued. HTTP/2 clients send cookies in crumbs; a node of HTTP/1.1 must get
/// them as one line (RFC 9113 §8.2.3).
fn clean_cookies(headers: &mut HeaderMap) {
    if let Some(cookies) = session::clean_cookies(headers) {
        headers.remove(COOKIE);
        for line in cookies {
            headers.append(COOKIE, line);
        }
    }
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
fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() {
        return uri;
    }
    uri.into_parts()
        .path_and_query
        .map_or_else(|| Uri::from_static("/"), Uri::from)
}

/// What stands before the path on this very node: Harbor 1.5's `ui`, spoken to directly, has its registry elsewhere.
pub fn prefix(class: Class, backend: &Backend) -> &'static str {
    match class.lane() {
        Lane::Registry if class != Class::Token => backend.registry_prefix(),
        _ => "",
    }
}
