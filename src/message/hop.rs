//! Fields that end at this hop (RFC 9110 §7.6.1).

use http::header::{CONNECTION, HeaderName, TE, UPGRADE};
use http::{HeaderMap, HeaderValue};

use super::survey::Survey;

/// End-to-end fields that decide who somebody is or what a message is. `Connection` naming one of them is an attempt
/// to make us remove it (CVE class "hop-by-hop abuse"), not a wish to honour.
const END_TO_END: [&str; 22] = [
    "accept",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "docker-content-digest",
    "etag",
    "expect",
    "forwarded",
    "host",
    "location",
    "origin",
    "range",
    "referer",
    "set-cookie",
    "true-client-ip",
    "user-agent",
    "www-authenticate",
];
const END_TO_END_FAMILIES: [&str; 7] = [
    "x-forwarded-",
    "x-real-ip",
    "x-request-id",
    "x-harbor-",
    "x-ssl-",
    "x-xsrf",
    "if-",
];

/// Whether a field ends here whether `Connection` names it or not; framing is made anew on each side. `Trailer` passes:
/// it announces fields that pass too, and hyper sends none that are not announced (RFC 9110 §6.6.2).
pub(super) fn ends_here(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
    )
}

/// Removes what ends at this hop from a request. A client's wish for trailers (`TE: trailers`) is stated anew.
pub fn strip_request(headers: &mut HeaderMap, found: &Survey) {
    let trailers = found.te && has_token(headers, &TE, "trailers");
    strip(headers, found);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes what ends at this hop from a response.
pub fn strip_response(headers: &mut HeaderMap) {
    let mut found = Survey::default();
    for name in headers.keys() {
        match name.as_str() {
            "connection" => found.connection = true,
            name => found.hop |= ends_here(name),
        }
    }
    strip(headers, &found);
}

fn strip(headers: &mut HeaderMap, found: &Survey) {
    if found.connection {
        strip_named(headers);
        headers.remove(CONNECTION);
    }
    if found.hop || found.te {
        let ending = headers.keys().filter(|name| ends_here(name.as_str()));
        for name in ending.cloned().collect::<Vec<_>>() {
            headers.remove(name);
        }
    }
}

fn strip_named(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(tokens)
        .filter(|name| !is_ordinary(name) && !is_end_to_end(name))
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// Options of `Connection` that name no field, or one that goes anyway: spares the usual request an allocation.
fn is_ordinary(option: &str) -> bool {
    ["close", "keep-alive", "upgrade", "te"]
        .iter()
        .any(|o| option.eq_ignore_ascii_case(o))
}

fn is_end_to_end(name: &str) -> bool {
    END_TO_END.iter().any(|n| name.eq_ignore_ascii_case(n))
        || END_TO_END_FAMILIES.iter().any(|family| {
            name.get(..family.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(family))
        })
}

/// The protocol a client asks to change to, in the one form we carry on: `websocket`. To be called before
/// [`strip_request`], which removes the wish.
pub fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    if !has_token(headers, &CONNECTION, "upgrade") {
        return None;
    }
    let mut offers = headers.get_all(UPGRADE).iter().flat_map(tokens);
    let only = offers.next()?;
    let wanted = offers.next().is_none() && only.eq_ignore_ascii_case("websocket");
    wanted.then(|| HeaderValue::from_static("websocket"))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let mut all = headers.get_all(name).iter().flat_map(tokens);
    all.any(|t| t.eq_ignore_ascii_case(token))
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let text = value.to_str().unwrap_or_default();
    text.split(',').map(str::trim).filter(|t| !t.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    fn left(fields: &[(&str, &str)]) -> Vec<String> {
        let mut headers = map(fields);
        let found = Survey::of(&headers);
        strip_request(&mut headers, &found);
        headers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn what_ends_here_is_removed() {
        let fields = [
            ("connection", "keep-alive, X-Private"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("proxy-authorization", "Basic eA=="),
            ("transfer-encoding", "chunked"),
            ("x-private", "1"),
            ("accept", "*/*"),
        ];
        assert_eq!(left(&fields), ["accept"]);
    }

    #[test]
    fn connection_cannot_take_away_what_others_rely_on() {
        let fields = [
            (
                "connection",
                "close, Authorization, x-forwarded-for, X-Real-IP, Content-Length, host, cookie, If-None-Match",
            ),
            ("authorization", "Basic eA=="),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("content-length", "1"),
            ("host", "r"),
            ("cookie", "a=b"),
            ("if-none-match", "x"),
        ];
        assert_eq!(left(&fields).len(), fields.len() - 1);
    }

    #[test]
    fn every_connection_line_counts() {
        let fields = [
            ("connection", "a"),
            ("connection", "b"),
            ("a", ""),
            ("b", ""),
        ];
        assert!(left(&fields).is_empty());
    }

    #[test]
    fn the_wish_for_trailers_survives_alone() {
        let mut headers = map(&[("te", "gzip, Trailers"), ("connection", "te")]);
        let found = Survey::of(&headers);
        strip_request(&mut headers, &found);
        assert_eq!(headers.get(TE).unwrap(), "trailers");
        let mut headers = map(&[("te", "gzip")]);
        let found = Survey::of(&headers);
        strip_request(&mut headers, &found);
        assert!(headers.is_empty());
    }

    #[test]
    fn only_a_websocket_may_change_the_protocol() {
        let upgrades = |connection, protocol| {
            upgrade(&map(&[("connection", connection), ("upgrade", protocol)])).is_some()
        };
        assert!(upgrades("keep-alive, Upgrade", "WebSocket"));
        assert!(!upgrades("keep-alive", "websocket"));
        assert!(!upgrades("upgrade", "h2c"));
        assert!(!upgrades("upgrade", "websocket, h2c"));
    }
}
