//! Addresses that a registry hands out: where to fetch a token, where an upload goes on, where a blob lies.

use std::fmt::Write as _;

use crate::config::Url;

/// Reads an address, absolute or from the root of `base`; `None` when it is neither.
pub fn resolve(base: &Url, address: &str) -> Option<(Url, String)> {
    if address.starts_with('/') && !address.starts_with("//") {
        return Some((base.clone(), address.to_owned()));
    }
    let (scheme, rest) = address.split_once("://")?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let origin = format!("{scheme}://{authority}").parse().ok()?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path = path.split('#').next().unwrap_or_default();
    Some((origin, format!("{slash}{path}")))
}

/// Appends a parameter to a path that may have a query.
pub fn with(path: &str, name: &str, value: &str) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}{name}={}", encode(value))
}

/// A value for a query or a segment (RFC 3986 §2.3): everything but unreserved characters as `%XX`.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn resolved(address: &str) -> Option<(String, String)> {
        let base: Url = "https://registry.example".parse().unwrap();
        resolve(&base, address).map(|(origin, path)| (origin.to_string(), path))
    }

    fn pair(origin: &str, path: &str) -> Option<(String, String)> {
        Some((origin.to_owned(), path.to_owned()))
    }

    #[test]
    fn an_address_is_absolute_or_from_the_root() {
        assert_eq!(
            resolved("/v2/a/blobs/uploads/1?_state=x%3D"),
            pair(
                "https://registry.example",
                "/v2/a/blobs/uploads/1?_state=x%3D"
            )
        );
        assert_eq!(
            resolved("http://other:5000/v2/a?b#c"),
            pair("http://other:5000", "/v2/a?b")
        );
        assert_eq!(resolved("https://x?a=b"), pair("https://x", "/?a=b"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in ["", "v2/a", "//elsewhere/v2/", "ftp://x/", "https://u:p@x/"] {
            assert_eq!(resolved(address), None, "{address}");
        }
    }

    #[test]
    fn parameters_are_appended_and_encoded() {
        assert_eq!(with("/a", "digest", "sha256:00"), "/a?digest=sha256%3A00");
        assert_eq!(with("/a?b=c", "d", "e f"), "/a?b=c&d=e%20f");
    }
}
