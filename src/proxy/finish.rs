//! The end of every request: one line in the access log, one count in each metric, whatever the end was.
//!
//! A [`Record`] is begun with the request and travels with it, at last inside the answer's body. Dropping it is the end.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};

use super::proof::Proof;
use super::resume::{self, Onward};
use crate::harbor::auth;
use crate::harbor::class::Class;
use crate::harbor::path::Target;
use crate::lifecycle::drain::Hold;
use crate::net::seats::Seat;
use crate::net::turns::Busy;
use crate::telemetry::access::{AccessLog, Line};
use crate::telemetry::metrics::Metrics;
use crate::upstream::backend::Backend;
use crate::upstream::outgoing::Progress;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client has the whole answer.
    Done,
    /// The client went away first.
    ClientGone,
    /// The client's body was too slow.
    ClientSlow,
    /// A node failed it: before the answer, or in the middle of one.
    NodeFailed,
    /// Seawall answered itself: refused, redirected, not served.
    Refused,
    /// Nodes had no room for it.
    Shed,
    /// A connection that became a tunnel was closed.
    Tunnel,
}

impl Ended {
    /// The word for it in the access log.
    pub const fn slug(self) -> &'static str {
        match self {
            Ended::Done => "done",
            Ended::ClientGone => "client_gone",
            Ended::ClientSlow => "client_slow",
            Ended::NodeFailed => "node_failed",
            Ended::Refused => "refused",
            Ended::Shed => "shed",
            Ended::Tunnel => "tunnel",
        }
    }
}

/// What ends with the request: what the drain waits for, and the connection's turn.
pub type Lasts = (Hold, Busy);

/// Where records go.
pub struct Sinks {
    /// The counters.
    pub metrics: Metrics,
    /// The access log.
    pub access: AccessLog,
}

/// What happened to one request so far.
pub struct Record {
    started: Instant,
    /// The client's address as far as we believe it.
    pub client: IpAddr,
    method: Method,
    path: Option<PathAndQuery>,
    version: Version,
    /// The credentials, only to read the user's name from them at the end.
    authorization: Option<HeaderValue>,
    /// The request's id.
    pub id: Option<HeaderValue>,
    /// W3C trace context as it came.
    pub trace: Option<HeaderValue>,
    class: Class,
    project: Option<Part>,
    repository: Option<Part>,
    /// The node that answered, or failed last.
    pub node: Option<Arc<Backend>>,
    /// How many nodes it was sent to.
    pub attempts: u32,
    /// How often another node went on with the answer.
    pub resumed: u32,
    /// What another node would need to go on with the answer, where one can.
    pub onward: Option<Onward>,
    /// What the answer's bytes are compared with, where they are.
    pub proof: Option<Box<Proof>>,
    /// The answer's status; 499 while there is none, for a client that did not wait.
    pub status: StatusCode,
    /// When the answer began.
    pub first_byte: Option<Duration>,
    /// How far the request's body came.
    pub progress: Option<Arc<Progress>>,
    /// Body bytes sent to the client.
    pub bytes_out: u64,
    /// The client's seat for it, where seats are counted.
    pub seat: Option<Seat>,
    /// How it ended, as far as it is known.
    pub ended: Ended,
    sinks: Arc<Sinks>,
    _lasts: Lasts,
}

impl Record {
    /// Begins the record of a request.
    pub fn begin<B>(
        request: &http::Request<B>,
        client: IpAddr,
        sinks: Arc<Sinks>,
        lasts: Lasts,
    ) -> Box<Self> {
        Box::new(Record {
            started: Instant::now(),
            client,
            method: request.method().clone(),
            path: request.uri().path_and_query().cloned(),
            version: request.version(),
            authorization: request.headers().get(http::header::AUTHORIZATION).cloned(),
            id: None,
            trace: request.headers().get(TRACEPARENT).cloned(),
            class: Class::Other,
            project: None,
            repository: None,
            node: None,
            attempts: 0,
            resumed: 0,
            onward: None,
            proof: None,
            status: StatusCode::from_u16(499).unwrap_or_default(),
            first_byte: None,
            progress: None,
            bytes_out: 0,
            seat: None,
            ended: Ended::ClientGone,
            sinks,
            _lasts: lasts,
        })
    }

    /// Notes what the request turned out to be.
    pub fn concerns(&mut self, target: &Target<'_>) {
        let path = self.path.as_ref().map_or("", PathAndQuery::as_str);
        self.class = target.class;
        self.project = target.project().map(|name| Part::of(path, name));
        self.repository = target
            .repository
            .as_deref()
            .map(|name| Part::of(path, name));
    }

    /// Path and query as they came.
    pub fn target(&self) -> Option<&PathAndQuery> {
        self.path.as_ref()
    }

    /// The digest that the path ends with.
    pub(super) fn digest(&self) -> Option<&str> {
        resume::digest(self.path.as_ref()?.path())
    }

    /// Time since the request's head was read.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The credentials that came with it.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// The metrics, for what else is counted on the way.
    pub fn metrics(&self) -> &Metrics {
        &self.sinks.metrics
    }

    fn line(&self, duration: Duration, bytes_in: u64) {
        if !self.sinks.access.is_enabled() {
            return;
        }
        let path = self.path.as_ref().map_or("/", PathAndQuery::as_str);
        let user = auth::user(self.authorization.as_ref());
        self.sinks.access.write(&Line {
            client: self.client,
            user: user.as_deref(),
            method: self.method.as_str(),
            path,
            protocol: protocol(self.version),
            status: self.status.as_u16(),
            class: self.class.slug(),
            project: self.project.as_ref().and_then(|part| part.read(path)),
            repository: self.repository.as_ref().and_then(|part| part.read(path)),
            node: self.node.as_ref().map(|node| &*node.name),
            attempts: self.attempts,
            resumed: self.resumed,
            bytes_in,
            bytes_out: self.bytes_out,
            first_byte: self.first_byte,
            duration,
            request_id: self
                .id
                .as_ref()
                .and_then(|id| id.to_str().ok())
                .unwrap_or_default(),
            trace_id: self
                .trace
                .as_ref()
                .and_then(|trace| trace.to_str().ok())
                .and_then(|trace| trace.split('-').nth(1)),
            ended: self.ended.slug(),
        });
    }
}

/// A piece of the path, by its place; a copy where it is spelt otherwise there.
enum Part {
    At(Range<usize>),
    Copy(Box<str>),
}

impl Part {
    fn of(path: &str, part: &str) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(path.as_ptr().addr());
        let range = start..start.wrapping_add(part.len());
        match path.get(range.clone()) {
            Some(same) if same == part => Part::At(range),
            _ => Part::Copy(part.into()),
        }
    }

    fn read<'a>(&'a self, path: &'a str) -> Option<&'a str> {
        match self {
            Part::At(range) => path.get(range.clone()),
            Part::Copy(text) => Some(text),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let bytes_in = self
            .progress
            .as_ref()
            .map_or(0, |progress| progress.bytes());
        let (metrics, class, code) = (
            &self.sinks.metrics,
            self.class.index(),
            self.status.as_u16(),
        );
        match &self.node {
            Some(node) => node.metrics.request(class, code),
            None => metrics.request(class, code),
        }
        metrics.duration(class, duration);
        if let Some(waited) = self.first_byte {
            metrics.first_byte(class, waited);
        }
        metrics.bytes(class, bytes_in, self.bytes_out);
        self.line(duration, bytes_in);
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
