//! One try at one node: a connection, the request, the head of the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;

use super::error::Fault;
use crate::state::snapshot::Patience;
use crate::upstream::connection::Connection;
use crate::upstream::endpoint::{ConnectError, Endpoint};
use crate::upstream::lease::Failing;
use crate::upstream::outgoing::{Broken, Outgoing, Progress};

/// What is sent: everything that can be sent again, and the body.
pub struct Shipment {
    /// The method.
    pub method: Method,
    /// The origin-form target, byte for byte the client's.
    pub uri: Uri,
    /// What the node wants before its path.
    pub prefix: &'static str,
    /// The headers, made ready for a node.
    pub headers: HeaderMap,
    /// The body.
    pub body: Outgoing,
    /// How far the client's body came, where there is one.
    pub progress: Option<Arc<Progress>>,
    /// Whether the request may be sent again once it was written.
    pub repeatable: bool,
    /// Whether only a connection that is surely alive will do.
    pub careful: bool,
}

/// A try that got no answer.
#[derive(Debug)]
pub struct Missed {
    /// What happened.
    pub fault: Fault,
    /// What it says about the node, if anything.
    pub failing: Option<Failing>,
    /// Whether the request may be sent to another node.
    pub again: bool,
}

impl Missed {
    /// No node had room.
    pub(super) const fn busy() -> Self {
        Missed {
            fault: Fault::Busy,
            failing: None,
            again: false,
        }
    }

    fn node(fault: Fault, failing: Failing, again: bool) -> Self {
        Missed {
            fault,
            failing: Some(failing),
            again,
        }
    }
}

/// An answer that began.
pub type Answered = (Response<Incoming>, Connection);

/// Sends `shipment` to `endpoint` `now` and waits for the head of the answer, at most `patience.first_byte` after the last
/// byte of the request. The body is only read once a connection stands.
///
/// # Errors
/// [`Missed`]; whatever of the shipment can be sent again is still in it.
pub async fn attempt(
    endpoint: &Endpoint,
    shipment: &mut Shipment,
    patience: &Patience,
    first_byte: Duration,
    now: Instant,
) -> Result<Answered, Missed> {
    let cuts = endpoint.cuts();
    while let Some(connection) = endpoint
        .pool
        .take(shipment.careful, patience.node_idle, now)
    {
        match send(connection, shipment, first_byte).await {
            Ok(answered) => return Ok(answered),
            // The node had closed it meanwhile: no fault of anybody's, and another connection may do. When we closed it,
            // only another node will.
            Err(missed)
                if missed.again
                    && missed.failing == Some(Failing::Broke)
                    && endpoint.cuts() == cuts => {}
            Err(missed) => return Err(missed),
        }
    }
    // A rare and roomy part of a request's way has its own place.
    let connection = Box::pin(endpoint.connect(patience.connect))
        .await
        .map_err(|error| unreachable(&error))?;
    send(connection, shipment, first_byte).await
}

fn unreachable(error: &ConnectError) -> Missed {
    tracing::debug!(%error, "no connection to the node");
    Missed::node(Fault::Unreachable, Failing::Connect, true)
}

async fn send(
    mut connection: Connection,
    shipment: &mut Shipment,
    first_byte: Duration,
) -> Result<Answered, Missed> {
    let request = load(shipment);
    let outcome = connection
        .answer(request, first_byte, || left(shipment, first_byte))
        .await;
    match outcome {
        Ok(response) => {
            if let Some(progress) = &shipment.progress {
                progress.answered();
            }
            Ok((response, connection))
        }
        Err(None) => Err(Missed::node(Fault::NodeSilent, Failing::Silent, false)),
        Err(Some(mut error)) => {
            if let Some(request) = error.take_message() {
                unload(shipment, request);
                return Err(Missed::node(Fault::NodeBroke, Failing::Broke, true));
            }
            tracing::debug!(error = %error.error(), "the node broke off");
            Err(blame(shipment))
        }
    }
}

/// What is left of the node's time. While the client is still sending, its own pace is watched elsewhere; the node's
/// time begins after its last byte.
fn left(shipment: &Shipment, first_byte: Duration) -> Option<Duration> {
    let progress = shipment.progress.as_ref()?;
    match progress.ended_since() {
        None => progress.broken().is_none().then_some(first_byte),
        Some(since) => first_byte.checked_sub(since).filter(|left| !left.is_zero()),
    }
}

fn blame(shipment: &Shipment) -> Missed {
    let client = |fault| Missed {
        fault,
        failing: None,
        again: false,
    };
    match shipment
        .progress
        .as_ref()
        .and_then(|progress| progress.broken())
    {
        Some(Broken::ClientGone) => client(Fault::ClientGone),
        Some(Broken::TooSlow) => client(Fault::ClientSlow),
        Some(Broken::Unwanted) | None => {
            Missed::node(Fault::NodeBroke, Failing::Broke, shipment.repeatable)
        }
    }
}

/// Takes the request out of the shipment, leaving a copy where it may be needed again.
fn load(shipment: &mut Shipment) -> Request<Outgoing> {
    let (headers, body) = if shipment.repeatable {
        let body = match &shipment.body {
            Outgoing::Full(bytes) => Outgoing::Full(bytes.clone()),
            Outgoing::Empty | Outgoing::Client(_) => {
                std::mem::replace(&mut shipment.body, Outgoing::Empty)
            }
        };
        (shipment.headers.clone(), body)
    } else {
        (
            std::mem::take(&mut shipment.headers),
            std::mem::replace(&mut shipment.body, Outgoing::Empty),
        )
    };
    let mut request = Request::new(body);
    *request.method_mut() = shipment.method.clone();
    *request.uri_mut() = address(&shipment.uri, shipment.prefix);
    *request.headers_mut() = headers;
    request
}

fn address(uri: &Uri, prefix: &str) -> Uri {
    if prefix.is_empty() {
        return uri.clone();
    }
    format!("{prefix}{uri}")
        .parse()
        .unwrap_or_else(|_| uri.clone())
}

/// Puts back what was not sent.
fn unload(shipment: &mut Shipment, request: Request<Outgoing>) {
    let (head, body) = request.into_parts();
    shipment.headers = head.headers;
    shipment.body = body;
}
