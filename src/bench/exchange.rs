//! One client's connections: a request out, an answer back.
//!
//! As docker does, a client keeps one HTTP/2 connection to a host, or as many HTTP/1.1 connections as it has requests
//! at a time. No request is sent twice: only one of which nothing left this machine gets a second connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};

use super::failure::{Failure, Kind};
use super::payload::{Flow, Payload, Pulse};
use super::target::{Target, Wire};
use super::trace::{Stage, Trace};
use crate::config::Url;

const USER_AGENT: &str = concat!("seawall-bench/", env!("CARGO_PKG_VERSION"));

/// A request before it is sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is done.
    pub method: Method,
    /// To whom.
    pub origin: Url,
    /// Path and query, byte for byte.
    pub path: String,
    /// Besides `Host` and `User-Agent`.
    pub headers: HeaderMap,
    /// The body.
    pub payload: Payload,
}

impl Call {
    /// A request without headers and body.
    pub fn new(method: Method, origin: &Url, path: impl Into<String>) -> Self {
        Call {
            method,
            origin: origin.clone(),
            path: path.into(),
            headers: HeaderMap::new(),
            payload: Payload::Bytes(Bytes::new()),
        }
    }

    /// Method and path, for people: queries hold states and tokens.
    pub fn shown(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {path}", self.method)
    }

    fn build(&self, two: bool, pulse: &Pulse) -> Result<Request<Flow>, Failure> {
        let uri = if two {
            format!("{}{}", self.origin, self.path)
        } else {
            self.path.clone()
        };
        let mut request = Request::builder().method(self.method.clone()).uri(uri);
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.headers);
        }
        if !two {
            request = request.header(header::HOST, self.origin.authority());
        }
        request
            .header(header::USER_AGENT, USER_AGENT)
            .body(Flow::new(&self.payload, pulse.clone()))
            .map_err(|error| Failure::new(Kind::Malformed, format!("{}: {error}", self.shown())))
    }
}

/// The open connections of one client.
pub struct Wires {
    /// Whom they lead to.
    pub target: Arc<Target>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    idle: HashMap<Url, Vec<http1::SendRequest<Flow>>>,
    shared: HashMap<Url, http2::SendRequest<Flow>>,
}

impl Wires {
    /// None yet.
    pub fn new(target: Arc<Target>) -> Arc<Self> {
        Arc::new(Wires {
            target,
            kept: Mutex::default(),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept_wire(&self, origin: &Url) -> Option<Wire> {
        let mut kept = self.kept();
        if let Some(wire) = kept.shared.get(origin) {
            if !wire.is_closed() {
                return Some(Wire::Two(wire.clone()));
            }
            kept.shared.remove(origin);
        }
        kept.idle.get_mut(origin)?.pop().map(Wire::One)
    }

    async fn wire(&self, origin: &Url, trace: &Trace) -> Result<(Wire, bool), Failure> {
        while let Some(mut wire) = self.kept_wire(origin) {
            let ready = tokio::time::timeout(self.target.patience, async {
                match &mut wire {
                    Wire::One(wire) => wire.ready().await,
                    Wire::Two(wire) => wire.ready().await,
                }
            });
            if matches!(ready.await, Ok(Ok(()))) {
                return Ok((wire, false));
            }
        }
        let begun = Instant::now();
        let wire = self.target.dial(origin).await?;
        trace.took(Stage::Connect, begun.elapsed());
        if let Wire::Two(wire) = &wire {
            self.kept().shared.insert(origin.clone(), wire.clone());
        }
        Ok((wire, true))
    }

    /// Sends a request and returns when the head of its answer is there.
    pub async fn send(
        self: &Arc<Self>,
        stage: Stage,
        call: &Call,
        trace: &Trace,
    ) -> Result<Answer, Failure> {
        loop {
            let (mut wire, fresh) = self.wire(&call.origin, trace).await?;
            let begun = Instant::now();
            let pulse = Pulse::new();
            let patience = self.target.patience;
            let sent = match &mut wire {
                Wire::One(wire) => {
                    let request = call.build(false, &pulse)?;
                    pulse.watch(patience, wire.try_send_request(request)).await
                }
                Wire::Two(wire) => {
                    let request = call.build(true, &pulse)?;
                    pulse.watch(patience, wire.try_send_request(request)).await
                }
            };
            match self.judge(call, sent)? {
                Some(response) => {
                    // An early refusal leaves a layer half sent, and the connection is of no further use.
                    let refused = matches!(call.payload, Payload::Layer(_))
                        && !response.status().is_success();
                    let home = match wire {
                        Wire::One(wire) if !refused => {
                            Some((self.clone(), call.origin.clone(), wire))
                        }
                        _ => None,
                    };
                    let (head, body) = response.into_parts();
                    return Ok(Answer {
                        asked: call.shown(),
                        head,
                        body,
                        home,
                        clock: (stage, begun, trace.clone()),
                        patience,
                    });
                }
                None if fresh => {
                    let what = format!("{}: the connection closed at once", call.shown());
                    return Err(Failure::new(Kind::Lost, what));
                }
                // It had ended while it was idle, and nothing was sent.
                None => {}
            }
        }
    }

    /// `None`: nothing was sent.
    fn judge(
        &self,
        call: &Call,
        sent: Option<Result<Response<Incoming>, TrySendError<Request<Flow>>>>,
    ) -> Result<Option<Response<Incoming>>, Failure> {
        match sent {
            None => {
                let what = format!("{}: no answer in time", call.shown());
                Err(Failure::new(Kind::Timeout, what))
            }
            Some(Ok(response)) => Ok(Some(response)),
            Some(Err(error)) if error.message().is_some() => Ok(None),
            Some(Err(error)) => {
                let what = format!("{}: {}", call.shown(), chain(error.error()));
                Err(Failure::new(Kind::Lost, what))
            }
        }
    }
}

/// An answer whose body has not been read.
pub struct Answer {
    /// What was asked, for people.
    pub asked: String,
    /// Status and headers.
    pub head: http::response::Parts,
    body: Incoming,
    home: Option<(Arc<Wires>, Url, http1::SendRequest<Flow>)>,
    clock: (Stage, Instant, Trace),
    patience: std::time::Duration,
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Reads the body to its end, piece by piece, until `take` has seen enough.
    pub async fn each(
        mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<http::response::Parts, Failure> {
        loop {
            let frame = tokio::time::timeout(self.patience, self.body.frame()).await;
            match frame {
                Err(_) => {
                    let what = format!("{}: its body stopped in the middle", self.asked);
                    return Err(Failure::new(Kind::Timeout, what));
                }
                Ok(Some(Err(error))) => {
                    let what = format!("{}: {}", self.asked, chain(&error));
                    return Err(Failure::new(Kind::CutBody, what));
                }
                Ok(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        take(data)?;
                    }
                }
                Ok(None) => break,
            }
        }
        let (stage, begun, trace) = self.clock;
        trace.took(stage, begun.elapsed());
        if let Some((wires, origin, wire)) = self.home {
            wires.kept().idle.entry(origin).or_default().push(wire);
        }
        Ok(self.head)
    }

    /// The whole body, of at most `most` bytes.
    pub async fn whole(self, most: usize) -> Result<(http::response::Parts, Bytes), Failure> {
        let mut whole = BytesMut::new();
        let asked = self.asked.clone();
        let head = self
            .each(|piece| {
                if whole.len() + piece.len() > most {
                    let what = format!("{asked}: more than {most} bytes");
                    return Err(Failure::new(Kind::Malformed, what));
                }
                whole.extend_from_slice(piece);
                Ok(())
            })
            .await?;
        Ok((head, whole.freeze()))
    }

    /// Reads the answer to its end if its status is among `hoped`; else it is a failure.
    pub async fn hope(self, hoped: &[u16]) -> Result<http::response::Parts, Failure> {
        const MOST: usize = 64 << 10;
        let asked = self.asked.clone();
        let (head, body) = self.whole(MOST).await?;
        if hoped.contains(&head.status.as_u16()) {
            return Ok(head);
        }
        Err(Failure::status(&asked, head.status, &body))
    }
}

/// An error with everything that led to it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
