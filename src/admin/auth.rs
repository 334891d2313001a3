//! Who may ask: anybody on loopback or a Unix socket, else whoever knows the token. Names that a browser was tricked
//! into resolving to us are refused, so that a web page cannot reach the listener through its visitor.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method};

/// Whether a request may pass.
pub fn may(headers: &HeaderMap, method: &Method, token: Option<&str>) -> bool {
    if let Some(token) = token {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        return given
            .strip_prefix("Bearer ")
            .is_some_and(|given| same(given.trim().as_bytes(), token.as_bytes()));
    }
    let host = headers
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("localhost");
    let from_page = headers.contains_key(ORIGIN) && method != Method::GET;
    is_numeric_or_local(host) && !from_page
}

fn is_numeric_or_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost")
        || name.is_empty()
        || name.parse::<std::net::IpAddr>().is_ok()
}

/// Compares in a time that does not depend on where two secrets differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_token_that_is_asked_for_must_be_given() {
        let good = headers(&[("authorization", "Bearer let-me-in")]);
        let bad = headers(&[("authorization", "Bearer let-me-on")]);
        assert!(may(&good, &Method::GET, Some("let-me-in")));
        assert!(!may(&bad, &Method::GET, Some("let-me-in")));
        assert!(!may(&HeaderMap::new(), &Method::GET, Some("let-me-in")));
    }

    #[test]
    fn a_rebound_name_is_refused() {
        assert!(may(
            &headers(&[("host", "127.0.0.1:9180")]),
            &Method::GET,
            None
        ));
        assert!(may(
            &headers(&[("host", "localhost:9180")]),
            &Method::GET,
            None
        ));
        assert!(!may(
            &headers(&[("host", "evil.example:9180")]),
            &Method::GET,
            None
        ));
    }

    #[test]
    fn a_web_page_cannot_act() {
        let page = headers(&[
            ("host", "127.0.0.1:9180"),
            ("origin", "https://evil.example"),
        ]);
        assert!(!may(&page, &Method::POST, None));
    }
}
