//! Whether a request can be read in only one way. What cannot is refused here and never forwarded.

use std::sync::{Arc, OnceLock};

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, EXPECT, HOST, RANGE,
    TRANSFER_ENCODING,
};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Version};

use super::policy::Policy;
use super::rescue::Refusal;
use crate::message::survey::Survey;

/// The authority a request is for.
#[derive(Clone, Debug)]
pub struct Judged {
    /// `host[:port]` as the client wrote it.
    pub authority: HeaderValue,
    /// The host alone.
    pub host: Arc<str>,
}

/// The authority that a connection's requests were for so far: nearly all of them name the same one.
#[derive(Debug, Default)]
pub struct Habit(OnceLock<Judged>);

/// Judges the head of a request (RFC 9112 §3.2, §6.1; RFC 9110 §7.2, §10.1.1).
///
/// # Errors
/// The refusal that is due.
pub fn judge<B>(
    request: &Request<B>,
    found: &Survey,
    policy: &Policy,
    habit: &Habit,
) -> Result<Judged, Refusal> {
    // hyper counts those of HTTP/1 itself. Every crumb of a cookie is one (CVE-2026-47774).
    if request.headers().len() > policy.limits.count {
        return Err(Refusal::Fields);
    }
    if request.method() == Method::CONNECT || request.uri().path_and_query().is_none() {
        return Err(Refusal::Malformed("this is no forward proxy"));
    }
    if !is_spoken(request.method()) {
        return Err(Refusal::Method);
    }
    // The usual target is short and ASCII; `Uri` lets raw bytes above it through.
    if !request
        .uri()
        .path_and_query()
        .is_some_and(|target| target.as_str().is_ascii())
    {
        return Err(Refusal::Malformed(
            "the request target has bytes that must be percent-encoded",
        ));
    }
    framing(request, found)?;
    sole(request)?;
    let mut expectations = request.headers().get_all(EXPECT).iter();
    if found.expect
        && !expectations.all(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Refusal::Expectation);
    }
    let named = authority(request)?;
    match habit.0.get() {
        Some(judged) if judged.authority.as_bytes() == named => Ok(judged.clone()),
        _ => {
            let judged = serves(named, policy)?;
            let _ = habit.0.set(judged.clone());
            Ok(judged)
        }
    }
}

/// What Harbor and registries speak. Others are read by some servers and not by others.
fn is_spoken(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
    )
}

fn serves(named: &[u8], policy: &Policy) -> Result<Judged, Refusal> {
    let malformed = Refusal::Malformed("the Host header is malformed");
    let authority = HeaderValue::from_bytes(named).map_err(|_| malformed)?;
    let text = authority.to_str().map_err(|_| malformed)?;
    let parsed: Authority = text.parse().map_err(|_| malformed)?;
    let port = text.strip_prefix(parsed.host()).unwrap_or_default();
    if text.contains('@') || parsed.host().is_empty() || !is_port(port) {
        return Err(malformed);
    }
    if !policy.serves(parsed.host()) {
        return Err(Refusal::Misdirected);
    }
    let host = parsed.host().into();
    Ok(Judged { authority, host })
}

/// Whether what follows the host is nothing or `:port`; `Authority` takes any text for a port.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some("") => true,
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        }
        None => text.is_empty(),
    }
}

fn framing<B>(request: &Request<B>, found: &Survey) -> Result<(), Refusal> {
    let headers = request.headers();
    if !found.encoding && !found.length {
        return Ok(());
    }
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        let mut codings = encoding.as_bytes().rsplit(|byte| *byte == b',');
        let chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
        let framed = codings.next().is_some_and(chunked);
        let mut further = codings.peekable();
        let coded = further.peek().is_some();
        let twice = encodings.next().is_some() || further.any(chunked);
        if !framed || twice || headers.contains_key(CONTENT_LENGTH) {
            return Err(Refusal::Malformed(
                "the length of the body could be read in two ways",
            ));
        }
        if coded {
            return Err(Refusal::Coding);
        }
    }
    if headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(Refusal::Malformed(
            "the length of the body could be read in two ways",
        ));
    }
    Ok(())
}

/// Fields of which a reader takes the first, or the last, or all.
fn sole<B>(request: &Request<B>) -> Result<(), Refusal> {
    let headers = request.headers();
    // Without a repeated name there is nothing to look for.
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    let once = [AUTHORIZATION, CONTENT_TYPE, CONTENT_RANGE, RANGE];
    match once
        .iter()
        .all(|name| headers.get_all(name).iter().count() <= 1)
    {
        true => Ok(()),
        false => Err(Refusal::Malformed(
            "a header that may come only once came twice",
        )),
    }
}

fn authority<B>(request: &Request<B>) -> Result<&[u8], Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Refusal::Malformed("the request names its host twice"));
    }
    match (request.uri().authority(), first) {
        (Some(target), Some(host))
            if !host
                .as_bytes()
                .eq_ignore_ascii_case(target.as_str().as_bytes()) =>
        {
            Err(Refusal::Malformed("the request names two hosts"))
        }
        (Some(target), _) => Ok(target.as_str().as_bytes()),
        (None, Some(host)) => Ok(host.as_bytes()),
        (None, None) if request.version() == Version::HTTP_10 => Ok(b"localhost"),
        (None, None) => Err(Refusal::Malformed("the request names no host")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::front::policy::tests::policy;

    fn judged(request: http::request::Builder) -> Result<Judged, Refusal> {
        let request = request.body(()).unwrap();
        let found = Survey::of(request.headers());
        judge(&request, &found, &policy(), &Habit::default())
    }

    fn is_malformed(request: http::request::Builder) -> bool {
        matches!(judged(request), Err(Refusal::Malformed(_)))
    }

    #[test]
    fn an_ordinary_request_keeps_its_host_with_the_port() {
        let judged =
            judged(Request::get("/v2/").header(HOST, "registry.example.com:8443")).unwrap();
        assert_eq!(judged.authority, "registry.example.com:8443");
        assert_eq!(&*judged.host, "registry.example.com");
    }

    #[test]
    fn another_host_on_the_same_connection_is_judged_anew() {
        let habit = Habit::default();
        let judged = |host: &str| {
            let request = Request::get("/v2/").header(HOST, host).body(()).unwrap();
            judge(&request, &Survey::of(request.headers()), &policy(), &habit)
        };
        assert_eq!(judged("a").unwrap().authority, "a");
        assert_eq!(judged("b").unwrap().authority, "b");
        assert!(judged("a/b").is_err());
        assert_eq!(judged("a").unwrap().authority, "a");
    }

    #[test]
    fn a_request_for_nobody_or_for_two_is_malformed() {
        assert!(is_malformed(Request::get("/v2/")));
        assert!(is_malformed(
            Request::get("/v2/").header(HOST, "a").header(HOST, "a")
        ));
        assert!(is_malformed(Request::get("http://a/v2/").header(HOST, "b")));
        assert!(is_malformed(Request::get("/v2/").header(HOST, "a/b?c")));
        assert!(is_malformed(Request::get("/v2/").header(HOST, "user@a")));
    }

    #[test]
    fn an_old_request_may_name_no_host() {
        assert!(judged(Request::get("/v2/").version(Version::HTTP_10)).is_ok());
    }

    #[test]
    fn a_body_whose_length_reads_in_two_ways_is_malformed() {
        let post = || Request::post("/v2/").header(HOST, "a");
        assert!(is_malformed(
            post()
                .header(CONTENT_LENGTH, "3")
                .header(CONTENT_LENGTH, "3")
        ));
        assert!(is_malformed(
            post()
                .header(CONTENT_LENGTH, "3")
                .header(TRANSFER_ENCODING, "chunked")
        ));
        assert!(is_malformed(
            post().header(TRANSFER_ENCODING, "chunked, gzip")
        ));
        assert!(is_malformed(
            post().header(TRANSFER_ENCODING, "chunked, chunked")
        ));
        assert_eq!(
            judged(post().header(TRANSFER_ENCODING, "gzip, chunked")).unwrap_err(),
            Refusal::Coding
        );
        assert!(is_malformed(
            post()
                .header(TRANSFER_ENCODING, "chunked")
                .header(TRANSFER_ENCODING, "chunked")
        ));
        assert!(judged(post().header(TRANSFER_ENCODING, "chunked")).is_ok());
    }

    #[test]
    fn what_may_come_once_comes_once() {
        let twice = |name| {
            Request::get("/v2/")
                .header(HOST, "a")
                .header(&name, "1")
                .header(&name, "2")
        };
        for name in [AUTHORIZATION, CONTENT_TYPE, CONTENT_RANGE, RANGE] {
            assert!(is_malformed(twice(name)));
        }
        assert!(judged(twice(http::header::ACCEPT)).is_ok());
    }

    #[test]
    fn only_one_expectation_is_understood() {
        let expecting = |what| judged(Request::post("/v2/").header(HOST, "a").header(EXPECT, what));
        assert!(expecting("100-Continue").is_ok());
        assert_eq!(
            expecting("y 100-continue").unwrap_err(),
            Refusal::Expectation
        );
    }

    #[test]
    fn this_is_no_forward_proxy() {
        assert!(is_malformed(
            Request::builder()
                .method("CONNECT")
                .uri("a:443")
                .header(HOST, "a:443")
        ));
    }

    #[test]
    fn a_method_that_nobody_speaks_is_refused() {
        for method in ["TRACE", "get", "helloGET", "PROPFIND"] {
            let request = Request::builder()
                .method(method)
                .uri("/v2/")
                .header(HOST, "a");
            assert_eq!(judged(request).unwrap_err(), Refusal::Method);
        }
    }

    #[test]
    fn a_name_that_is_not_served_is_misdirected() {
        let served = Policy {
            hosts: vec!["registry.example.com".to_owned()],
            ..policy()
        };
        let ask = |host| {
            judge(
                &Request::get("/").header(HOST, host).body(()).unwrap(),
                &Survey::default(),
                &served,
                &Habit::default(),
            )
        };
        assert!(ask("Registry.Example.com:443").is_ok());
        assert_eq!(ask("other.example.com").unwrap_err(), Refusal::Misdirected);
    }
}
