//! The little of a URL that a node or a public name needs.

use std::fmt;
use std::str::FromStr;

use super::{Wrong, host};

/// `http://` or `https://`, a host and a port; never a path, a user or a query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// Whether TLS is spoken.
    pub https: bool,
    /// In lower case; an IPv6 address without brackets.
    pub host: String,
    /// The one given, or 443 or 80.
    pub port: u16,
}

impl Url {
    /// `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Host and port as a `Host` header has them: the port only when it is not the scheme's own.
    pub fn authority(&self) -> String {
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        if self.port == default_port(self.https) {
            format!("{open}{}{close}", self.host)
        } else {
            format!("{open}{}{close}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority())
    }
}

impl FromStr for Url {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let wrong = |what: &str, fix: &str| {
            Err(Wrong::new(format!("`{}` {what}", text.escape_debug()), fix))
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong(
                "has no scheme",
                "write it like \"https://harbor.example.com\"",
            );
        };
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => {
                return wrong(
                    "is neither http nor https",
                    "begin it with http:// or https://",
                );
            }
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return wrong("names a user", "leave user and password out of the URL");
        }
        if authority.contains(['/', '?', '#']) {
            return wrong("has a path", "end it after the host and port");
        }
        let (name, port) = split_port(authority);
        let port = match port.map(port_number) {
            None => default_port(https),
            Some(Some(port)) => port,
            Some(None) => return wrong("has no sound port", "write a port from 1 to 65535"),
        };
        let Ok(host) = host::parse(name) else {
            return wrong(
                "has no sound host",
                "write a host name or an address; IPv6 addresses in brackets",
            );
        };
        Ok(Self { https, host, port })
    }
}

const fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// Splits off the port, if there is one.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        // The last colon of an IPv6 address without port is inside the brackets.
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (authority, None),
    }
}

/// Reads a port that one can connect to.
pub(super) fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scheme_host_and_port_are_read() {
        let url: Url = "HTTPS://Harbor.Example.com:8443/".parse().unwrap();
        assert_eq!(url.to_string(), "https://harbor.example.com:8443");
        assert!(url.https);
        let url: Url = "http://[::1]".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 80));
        assert_eq!(url.authority(), "[::1]");
        let url: Url = "http://[::1]:8080".parse().unwrap();
        assert_eq!(url.authority(), "[::1]:8080");
    }

    #[test]
    fn the_port_of_the_scheme_is_not_written() {
        let url: Url = "https://a:443".parse().unwrap();
        assert_eq!(url.to_string(), "https://a");
        let url: Url = "http://a:443".parse().unwrap();
        assert_eq!(url.to_string(), "http://a:443");
    }

    #[test]
    fn what_seawall_would_ignore_is_refused() {
        for text in [
            "",
            "harbor",
            "harbor:80",
            "ftp://a",
            "http://",
            "http:///",
            "http://a/harbor",
            "http://a?x",
            "http://a#x",
            "http://u:p@a",
            "http://a:0",
            "http://a:+80",
            "http://a:65536",
            "http://a:",
            "http://::1",
            "http://[::1]x",
            "http://a b",
            "http://a//",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_url_that_was_read_reads_the_same_again(text in "(https?://)?[a-z0-9.:\\[\\]-]{0,24}/?") {
            if let Ok(url) = text.parse::<Url>() {
                prop_assert_eq!(url.to_string().parse::<Url>().unwrap(), url);
            }
        }
    }
}
