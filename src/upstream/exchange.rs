//! One small request to one node on a connection of its own, read whole: what probes, the journal and the doctor need.

use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, StatusCode, request};
use http_body_util::{BodyExt, Limited};

use super::endpoint::{ConnectError, Endpoint};
use super::outgoing::Outgoing;

/// The largest answer that a probe reads.
const MOST_BYTES: usize = 256 << 10;
/// The largest answer with a page of a list.
const MOST_OF_A_LIST: usize = 8 << 20;

/// What came back.
#[derive(Debug)]
pub struct Received {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// What went wrong instead.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke before the answer was whole.
    #[error("the connection broke: {0}")]
    Broke(String),
    /// The answer was not whole in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Addresses a request as a client of `public` (`host[:port]`, and whether by https) would, so that Harbor builds the URLs
/// that it would build for one; without that, by the endpoint's own name.
pub fn addressed(
    request: request::Builder,
    endpoint: &Endpoint,
    public: Option<&(HeaderValue, bool)>,
) -> request::Builder {
    let (host, https) = match public {
        Some((authority, https)) => (authority, *https),
        None => (endpoint.authority(), false),
    };
    request
        .header(HOST, host)
        .header("x-forwarded-proto", if https { "https" } else { "http" })
}

/// Asks without a body; see [`send`].
///
/// # Errors
/// See [`Unanswered`].
pub async fn ask(
    endpoint: &Endpoint,
    request: Request<()>,
    limit: Duration,
) -> Result<Received, Unanswered> {
    exchange(
        endpoint,
        request.map(|()| Outgoing::Empty),
        MOST_BYTES,
        limit,
    )
    .await
}

/// The same with a body, and for answers as long as lists are.
///
/// # Errors
/// See [`Unanswered`].
pub async fn send(
    endpoint: &Endpoint,
    request: Request<Bytes>,
    limit: Duration,
) -> Result<Received, Unanswered> {
    exchange(endpoint, request.map(Outgoing::full), MOST_OF_A_LIST, limit).await
}

async fn exchange(
    endpoint: &Endpoint,
    request: Request<Outgoing>,
    most: usize,
    limit: Duration,
) -> Result<Received, Unanswered> {
    let told = async {
        // Half, so that a node that drops packets is told from one that accepts and says nothing.
        let mut sender = endpoint.connect(limit / 2).await?.set_free();
        let broke = |error: &dyn std::fmt::Display| Unanswered::Broke(error.to_string());
        let response = sender.send_request(request).await.map_err(|e| broke(&e))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, most)
            .collect()
            .await
            .map_err(|e| broke(&e))?;
        Ok(Received {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    };
    tokio::time::timeout(limit, told)
        .await
        .unwrap_or(Err(Unanswered::TimedOut(limit)))
}
