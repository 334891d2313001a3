//! The one place that turns a failure into an answer: OCI JSON under `/v2/`, Harbor's JSON under `/api/` and
//! `/service/`, a small page for a browser. Transient failures are 502, 503 or 504 with `Retry-After`; never 403, and
//! never HTML for a docker client.

use std::net::IpAddr;

use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

use crate::harbor::error::{self, Family};
use crate::proxy::body::Reply;
use crate::proxy::error::Fault;
use crate::proxy::finish::Ended;

/// Why Seawall answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No node gave an answer.
    Fault(Fault),
    /// The request is malformed or could be read in two ways.
    Malformed(&'static str),
    /// There are more clients than places.
    Full,
    /// The client's network may not do this.
    Forbidden,
    /// The client has as many requests under way as it may.
    Busy,
    /// Too many tokens; for so many seconds.
    TokenRate(u32),
    /// Too many other requests of a kind; for so many seconds.
    Rate(u32),
    /// Too many wrong passwords of this client for this user; for so many seconds.
    Guessing(u32),
    /// The name asked for is not served on this listener.
    Misdirected,
    /// Harbor's nginx does not serve this from outside either.
    NotServed,
    /// A method that Harbor does not know (RFC 9110 §9.1).
    Method,
    /// A body in a coding besides `chunked` (RFC 9112 §6.1).
    Coding,
    /// More header fields than `limits.headers`.
    Fields,
    /// An `Expect` that is not `100-continue` (RFC 9110 §10.1.1).
    Expectation,
}

impl Refusal {
    /// How the record of the request ends.
    pub fn ended(self) -> Ended {
        match self {
            Refusal::Fault(Fault::ClientGone) => Ended::ClientGone,
            Refusal::Fault(Fault::ClientSlow) => Ended::ClientSlow,
            Refusal::Fault(Fault::Busy) => Ended::Shed,
            Refusal::Fault(
                Fault::NodeBroke | Fault::NodeSilent | Fault::UploadCut | Fault::Unreachable,
            ) => Ended::NodeFailed,
            _ => Ended::Refused,
        }
    }

    const fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Refusal::Fault(Fault::NoNode | Fault::Unreachable) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UNAVAILABLE",
                "no Harbor node is available right now; try again shortly",
            ),
            // Not 429, which tells docker that this client asked too much; and Harbor says it in its own name.
            Refusal::Fault(Fault::Busy) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UNAVAILABLE",
                "too many requests at once right now; try again shortly",
            ),
            Refusal::Fault(Fault::NodeBroke) => (
                StatusCode::BAD_GATEWAY,
                "UNAVAILABLE",
                "the Harbor node broke off before it answered; try again",
            ),
            Refusal::Fault(Fault::NodeSilent) => (
                StatusCode::GATEWAY_TIMEOUT,
                "UNAVAILABLE",
                "the Harbor node did not answer in time; try again",
            ),
            // Docker begins the layer anew; 4xx would end the push (RFC 9110 §15.6.4).
            Refusal::Fault(Fault::UploadCut) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UNAVAILABLE",
                "the Harbor node broke off in the middle of the upload; upload the blob again",
            ),
            Refusal::Fault(Fault::ClientGone) => (
                StatusCode::BAD_REQUEST,
                "SIZE_INVALID",
                "the request body broke off",
            ),
            Refusal::Fault(Fault::ClientSlow) => (
                StatusCode::REQUEST_TIMEOUT,
                "UNAVAILABLE",
                "the request body arrived too slowly",
            ),
            Refusal::Fault(Fault::TooLarge) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "MANIFEST_INVALID",
                "the manifest is larger than any registry takes",
            ),
            Refusal::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UNAVAILABLE",
                "too many connections right now; try again shortly",
            ),
            Refusal::Forbidden => (
                StatusCode::FORBIDDEN,
                "DENIED",
                "not allowed from this network",
            ),
            Refusal::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UNAVAILABLE",
                "too many requests at once from this client; try again shortly",
            ),
            // Docker tries again after 503 and gives up after 429 (`retryOnError` of its `distribution`).
            Refusal::TokenRate(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UNAVAILABLE",
                "too many tokens asked for; try again later",
            ),
            Refusal::Rate(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "TOOMANYREQUESTS",
                "too many requests of this kind; try again later",
            ),
            // What Harbor says of a wrong password.
            Refusal::Guessing(_) => (
                StatusCode::UNAUTHORIZED,
                "UNAUTHORIZED",
                "unauthorized: too many wrong passwords for this user; try again later",
            ),
            Refusal::Malformed(why) => (StatusCode::BAD_REQUEST, "UNSUPPORTED", why),
            Refusal::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "UNSUPPORTED",
                "this name is not served on this connection",
            ),
            Refusal::NotServed => (StatusCode::NOT_FOUND, "NOT_FOUND", "not served here"),
            Refusal::Method => (
                StatusCode::NOT_IMPLEMENTED,
                "UNSUPPORTED",
                "this method is not understood",
            ),
            Refusal::Coding => (
                StatusCode::NOT_IMPLEMENTED,
                "UNSUPPORTED",
                "a body may be in chunks, and in no other transfer coding",
            ),
            Refusal::Fields => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "UNSUPPORTED",
                "the request has too many header fields",
            ),
            Refusal::Expectation => (
                StatusCode::EXPECTATION_FAILED,
                "UNSUPPORTED",
                "only `Expect: 100-continue` is understood",
            ),
        }
    }

    fn retry_after(self) -> Option<HeaderValue> {
        match self {
            Refusal::Fault(
                Fault::NoNode
                | Fault::Unreachable
                | Fault::NodeBroke
                | Fault::NodeSilent
                | Fault::UploadCut,
            ) => Some(HeaderValue::from_static("2")),
            Refusal::Full | Refusal::Fault(Fault::Busy) => Some(HeaderValue::from_static("5")),
            Refusal::Busy => Some(HeaderValue::from_static("1")),
            Refusal::TokenRate(wait) | Refusal::Rate(wait) | Refusal::Guessing(wait) => {
                Some(HeaderValue::from(wait))
            }
            _ => None,
        }
    }
}

/// The answer for a request to `path` that was refused.
pub fn answer(refusal: Refusal, path: &str) -> Response<Reply> {
    let (status, code, message) = refusal.words();
    let (content_type, body) = error::body(Family::of(path), status, code, message);
    let mut response = Response::new(Reply::local(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(after) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, after);
    }
    if matches!(refusal, Refusal::Guessing(_)) {
        // Harbor's own, and needed with every 401 (RFC 9110 §11.6.1).
        let challenge = HeaderValue::from_static("Basic realm=\"harbor\"");
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if matches!(refusal, Refusal::Malformed(_)) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A word in the log about a failure that operators should see.
pub fn tell(refusal: Refusal, path: &str, client: IpAddr) {
    if let Refusal::Fault(
        fault @ (Fault::NoNode
        | Fault::Unreachable
        | Fault::NodeBroke
        | Fault::NodeSilent
        | Fault::UploadCut),
    ) = refusal
    {
        tracing::debug!(%fault, path, %client, "answered for the nodes");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_nodes_is_a_503_that_asks_to_come_again() {
        let answer = answer(Refusal::Fault(Fault::NoNode), "/v2/library/app/manifests/1");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key(RETRY_AFTER));
        let kind = answer.headers().get(CONTENT_TYPE).unwrap();
        assert!(kind.to_str().unwrap().starts_with("application/json"));
    }

    #[test]
    fn a_browser_gets_a_page_and_a_docker_client_never() {
        let kind = |path| {
            let answer = answer(Refusal::Fault(Fault::Unreachable), path);
            answer
                .headers()
                .get(CONTENT_TYPE)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert!(kind("/harbor/projects").starts_with("text/html"));
        for path in ["/v2/", "/api/v2.0/projects", "/service/token"] {
            assert!(kind(path).starts_with("application/json"), "{path}");
        }
    }

    #[test]
    fn a_clients_own_fault_is_not_blamed_on_a_node() {
        assert_eq!(Refusal::Fault(Fault::ClientGone).ended(), Ended::ClientGone);
        assert_eq!(Refusal::Fault(Fault::NodeBroke).ended(), Ended::NodeFailed);
        assert_eq!(Refusal::NotServed.ended(), Ended::Refused);
        assert_eq!(Refusal::Fault(Fault::Busy).ended(), Ended::Shed);
    }
}
