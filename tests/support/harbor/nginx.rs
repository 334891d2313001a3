//! The nginx in front of a node: what goes where, its own pages, its header order, its timeouts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header,
    request::Parts,
};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::body::{Clock, Fail, Pumped, Watched, pump};
use super::faults::{BrownOut, Component, Mode, Switch};
use super::log::{ResponseEnd, Ticket};
use super::reply::{self, Reply};
use super::{Dialect, Harbor, core1, core2, portal};

/// One connection to a node.
pub struct Line {
    pub number: u64,
    /// Who is at the other end.
    pub peer: SocketAddr,
    pub turns: AtomicU64,
}

/// A request as nginx hands it on.
pub struct Ask {
    pub method: Method,
    pub headers: HeaderMap,
    /// Decoded no further than nginx does: slashes merged.
    pub path: String,
    pub query: String,
    /// Path and query for the part behind.
    pub target: String,
    /// The client's `Host`, with its port.
    pub host: String,
    /// What nginx writes into X-Forwarded-Proto.
    pub proto: String,
    pub body: Pumped,
}

impl Ask {
    /// Whether it changes nothing (RFC 9110 §9.2.1).
    pub fn is_safe(&self) -> bool {
        matches!(
            self.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
        )
    }
}

enum Place {
    Page(Reply),
    Core(Duration),
    Portal,
}

/// Answers one request; an error closes the connection without an answer.
pub async fn serve(
    harbor: Arc<Harbor>,
    line: Arc<Line>,
    request: Request<Incoming>,
) -> Result<Reply, Fail> {
    let turn = line.turns.fetch_add(1, Ordering::SeqCst) + 1;
    if !harbor.options.timing.distance.is_zero() {
        tokio::time::sleep(harbor.options.timing.distance).await;
    }
    let hand = harbor.hands.clone().acquire_owned().await;
    if !harbor.options.timing.work.is_zero() {
        tokio::time::sleep(harbor.options.timing.work).await;
    }
    let (parts, body) = request.into_parts();
    let ticket = harbor.log.open(&parts, line.peer, line.number, turn);
    let cut = Cut(Some(ticket.clone()));
    let clock = Clock::start();
    let timing = &harbor.options.timing;
    let (body, mut stalled) = pump(body, ticket.clone(), clock.clone(), timing.body_stall);
    let old = parts.version < Version::HTTP_11;
    let asked = parts
        .headers
        .get(header::CONNECTION)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"close"));
    let mut close = old || asked || turn >= timing.requests_per_connection;
    let accept = parts.headers.get(header::ACCEPT_ENCODING).cloned();
    let place = route(&harbor, &parts);
    let mut core = false;
    let answer = async {
        match place {
            Place::Page(page) => page,
            Place::Portal => {
                through(&harbor, Component::Portal, timing.proxy, &clock, async {
                    portal::answer(&harbor, &parts)
                })
                .await
            }
            Place::Core(limit) => {
                core = true;
                let ask = ask(&harbor, &parts, body);
                through(&harbor, Component::Core, limit, &clock, app(&harbor, ask)).await
            }
        }
    };
    let reply = tokio::select! {
        biased;
        () = stall(&mut stalled) => return Err("client body timed out".into()),
        reply = answer => reply,
    };
    close |= reply
        .headers()
        .get(header::CONNECTION)
        .is_some_and(|v| v == "close");
    let reply = dress(&harbor, reply::compress(reply, accept.as_ref()), close);
    ticket.note(|entry| {
        entry.status = Some(reply.status().as_u16());
        entry.response_end = ResponseEnd::Sending;
    });
    cut.done();
    let own = reply.extensions().get::<reply::Own>().is_some();
    let head = parts.method == Method::HEAD;
    let (head_parts, body) = reply.into_parts();
    let mut head_parts = head_parts;
    if head {
        // Go writes no length of nothing in answer to HEAD.
        if head_parts
            .headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|l| l == "0")
        {
            head_parts.headers.remove(header::CONTENT_LENGTH);
        }
        ticket.note(|entry| entry.response_end = ResponseEnd::Complete);
        return Ok(Reply::from_parts(head_parts, super::body::empty()));
    }
    let death = async move {
        let _busy = hand;
        if core && !own {
            harbor.faults.becomes(Component::Core, Mode::Down).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    Ok(Reply::from_parts(
        head_parts,
        Watched::new(body, ticket, death).boxed_unsync(),
    ))
}

/// Tells the log that the connection ended before there was an answer.
struct Cut(Option<Ticket>);

impl Cut {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Some(ticket) = self.0.take() {
            ticket.note(|entry| entry.response_end = ResponseEnd::Cut);
        }
    }
}

async fn stall(stalled: &mut tokio::sync::watch::Receiver<bool>) {
    if stalled.wait_for(|now| *now).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Talks to a part behind nginx: 502 if it refuses or dies, 504 if it says nothing for too long.
async fn through(
    harbor: &Harbor,
    part: Component,
    limit: Duration,
    clock: &Clock,
    work: impl Future<Output = Reply>,
) -> Reply {
    let faults = &harbor.faults;
    let working = async {
        if faults.of(part) == Mode::Hung {
            faults.unhung(part).await;
        }
        if part == Component::Core {
            let BrownOut { slower, failing } = faults.brown_out();
            if fastrand::f64() < failing {
                return reply::nginx_page(502, "nginx");
            }
            if !slower.is_zero() {
                tokio::time::sleep(slower).await;
            }
        }
        work.await
    };
    tokio::select! {
        biased;
        () = faults.becomes(part, Mode::Down) => reply::nginx_page(502, "nginx"),
        reply = working => reply,
        () = clock.idle(limit) => reply::nginx_page(504, "nginx"),
    }
}

async fn app(harbor: &Harbor, ask: Ask) -> Reply {
    match harbor.options.dialect {
        Dialect::Harbor2 => core2::answer(harbor, ask).await,
        Dialect::Harbor1 | Dialect::Harbor15 => core1::answer(harbor, ask).await,
    }
}

fn route(harbor: &Harbor, parts: &Parts) -> Place {
    let path = parts.uri.path();
    let timing = &harbor.options.timing;
    let host = parts.headers.get(header::HOST);
    if path == "*" || (host.is_none() && parts.version >= Version::HTTP_11) {
        return Place::Page(reply::with(
            reply::nginx_page(400, "nginx"),
            "connection",
            "close",
        ));
    }
    let dialect = harbor.options.dialect;
    let core: &[&str] = match dialect {
        Dialect::Harbor2 => &["/c/", "/api/", "/v2/", "/service/"],
        Dialect::Harbor1 => &["/c/", "/api/", "/chartrepo/", "/v2/", "/service/"],
        Dialect::Harbor15 => &["/v2/", "/service/"],
    };
    if path.starts_with("/v1/") || path.starts_with("/service/notifications") {
        return Place::Page(reply::nginx_page(404, "nginx"));
    }
    if let Some(prefix) = core
        .iter()
        .find(|prefix| prefix.strip_suffix('/') == Some(path))
    {
        let name = host.and_then(|h| h.to_str().ok()).unwrap_or_default();
        let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
        let page = reply::nginx_page(301, "nginx");
        return Place::Page(reply::with(
            page,
            "location",
            &format!("http://{name}{prefix}"),
        ));
    }
    let to_core =
        dialect == Dialect::Harbor15 || core.iter().any(|prefix| path.starts_with(prefix));
    if host.is_none() {
        let page = if to_core {
            let mut page = reply::bare(400);
            *page.body_mut() =
                super::body::unsized_full("400 Bad Request: missing required Host header");
            reply::with(page, "content-type", "text/plain; charset=utf-8")
        } else {
            reply::nginx_page(400, "nginx/1.22.1")
        };
        return Place::Page(reply::with(page, "connection", "close"));
    }
    if to_core {
        Place::Core(if path.starts_with("/v2/") {
            timing.proxy_v2
        } else {
            timing.proxy
        })
    } else {
        Place::Portal
    }
}

fn ask(harbor: &Harbor, parts: &Parts, body: Pumped) -> Ask {
    let text = |name: HeaderName| {
        parts
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let sent = text(HeaderName::from_static("x-forwarded-proto"));
    let overwrite = harbor.faults.on(Switch::OverwriteProto);
    let path = merge(parts.uri.path());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let target = if parts.uri.query().is_some() {
        format!("{path}?{query}")
    } else {
        path.clone()
    };
    Ask {
        method: parts.method.clone(),
        headers: parts.headers.clone(),
        path,
        query,
        target,
        host: text(header::HOST),
        proto: if overwrite || sent.is_empty() {
            "http".to_owned()
        } else {
            sent
        },
        body,
    }
}

fn merge(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged
}

/// Writes the head as nginx does: its own lines first, then the others sorted as Go sorts them, then what the
/// template adds to answers that are no errors.
fn dress(harbor: &Harbor, reply: Reply, close: bool) -> Reply {
    let (mut parts, body) = reply.into_parts();
    let old = std::mem::take(&mut parts.headers);
    let new = &mut parts.headers;
    new.insert(header::SERVER, HeaderValue::from_static("nginx"));
    let date = httpdate::fmt_http_date(harbor.now());
    new.insert(header::DATE, HeaderValue::try_from(date).expect("a date"));
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        if let Some(value) = old.get(&name) {
            new.insert(name, value.clone());
        }
    }
    let connection = if close { "close" } else { "keep-alive" };
    new.insert(header::CONNECTION, HeaderValue::from_static(connection));
    let mut rest: Vec<_> = old
        .iter()
        .filter(|(name, _)| !new.contains_key(*name) && **name != header::TRANSFER_ENCODING)
        .collect();
    rest.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    for (name, value) in rest {
        new.append(name.clone(), value.clone());
    }
    if harbor.options.dialect != Dialect::Harbor15 && gets_extras(parts.status) {
        reply::add(new, "x-frame-options", "DENY");
        reply::add(new, "content-security-policy", "frame-ancestors 'none'");
    }
    Reply::from_parts(parts, body)
}

/// The statuses that nginx's `add_header` acts on.
fn gets_extras(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308
    )
}
