//! Redirects and upload addresses that point at a node, or at the right host with the wrong scheme or without its
//! port. Harbor's nginx up to 2.2 overwrites `X-Forwarded-Proto`, so that uploads continue at `http://…`, and in every
//! version its own redirect of `/v2` loses scheme and port.

use http::HeaderValue;

/// The registry as its clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Public<'a> {
    /// `https` or `http`.
    pub scheme: &'a str,
    /// `host` or `host:port`.
    pub authority: &'a str,
}

/// Beginnings of the paths that Harbor builds absolute addresses for.
const PATHS: [&str; 4] = ["/v2", "/service", "/api", "/c"];

/// The same address at the public scheme and authority; `None` when it must stay as it is. Only an absolute http(s)
/// address is touched, and only if its host (whatever the port) is the public one or among `ours`, and its path belongs
/// to the registry: a signed address of some storage goes to the client untouched. The rest of the address is copied
/// byte for byte.
pub fn repair(location: &HeaderValue, public: &Public<'_>, ours: &[&str]) -> Option<HeaderValue> {
    let text = location.to_str().ok()?;
    let (scheme, rest) = text.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    // User information is never ours, and before a host it is a way to disguise it.
    if authority.contains('@') {
        return None;
    }
    let host = host_of(authority)?;
    let is_ours = |name: &str| host_of(name).is_some_and(|name| host.eq_ignore_ascii_case(name));
    if !is_ours(public.authority) && !ours.iter().any(|name| is_ours(name)) {
        return None;
    }
    if !PATHS.iter().any(|prefix| begins(path, prefix)) {
        return None;
    }
    let Public { scheme, authority } = public;
    let mended = format!("{scheme}://{authority}{path}");
    if mended == text {
        return None;
    }
    HeaderValue::from_str(&mended).ok()
}

fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

/// The host of `host`, `host:port`, `[v6]` and `[v6]:port`; `None` for anything else.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => {
            let colon = authority.find(':').unwrap_or(authority.len());
            authority.split_at_checked(colon)?
        }
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_port = digits.bytes().all(|b| b.is_ascii_digit());
    (!host.is_empty() && is_port && (port.is_empty() || port.starts_with(':'))).then_some(host)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PUBLIC: Public<'_> = Public {
        scheme: "https",
        authority: "registry.example.com:8443",
    };
    const OURS: [&str; 3] = ["harbor-1:80", "10.0.0.1", "[2001:db8::1]"];

    fn repaired(location: &str) -> Option<String> {
        let location = HeaderValue::from_str(location).unwrap();
        repair(&location, &PUBLIC, &OURS).map(|v| v.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_address_of_ours_becomes_public() {
        for (from, path) in [
            (
                "http://registry.example.com:8443",
                "/v2/a/b/blobs/uploads/1-2?_state=a%2Fb==",
            ),
            ("https://registry.example.com", "/v2/"),
            ("http://10.0.0.1", "/v2/"),
            ("HTTP://HARBOR-1:8080", "/api/v2.0/projects/a%252Fb"),
            ("http://[2001:db8::1]:80", "/service/token"),
            ("http://10.0.0.1:80", "/c/oidc/callback?code=x#y"),
            ("http://10.0.0.1", "/v2?x"),
        ] {
            assert_eq!(
                repaired(&format!("{from}{path}")),
                Some(format!("https://registry.example.com:8443{path}"))
            );
        }
    }

    #[test]
    fn everything_else_stays() {
        for location in [
            "https://registry.example.com:8443/v2/",
            "/v2/a/b/blobs/uploads/1",
            "//10.0.0.1/v2/",
            "https://bucket.s3.example/v2/a?X-Amz-Signature=1",
            "http://10.0.0.1/harbor/projects",
            "http://10.0.0.1/v2x",
            "http://10.0.0.1",
            "http://10.0.0.1@evil.example/v2/",
            "http://evil.example\\@10.0.0.1/v2/",
            "http://10.0.0.1\\/v2/",
            "http://10.0.0.1:x/v2/",
            "http://10.0.0.1.evil.example/v2/",
            "https,http://10.0.0.1/v2/",
            "ftp://10.0.0.1/v2/",
            "http:///v2/",
            "",
        ] {
            assert_eq!(repaired(location), None, "{location}");
        }
    }

    proptest! {
        #[test]
        fn a_repaired_address_is_public_and_needs_no_repair(
            location in "(https?|HTTP)://(10\\.0\\.0\\.1|harbor-1|x|\\[2001:db8::1\\])(:[0-9]{0,4})?/(v2|api|c|x)[ -~]{0,12}",
        ) {
            if let Some(mended) = repaired(&location) {
                prop_assert!(mended.starts_with("https://registry.example.com:8443/"));
                let tail = |text: &str| text.splitn(4, '/').nth(3).map(str::to_owned);
                prop_assert_eq!(tail(&mended), tail(&location));
                prop_assert_eq!(repaired(&mended), None);
            }
        }

        #[test]
        fn no_text_makes_it_panic(location in "(http|://|/|:|@|\\[|\\]|[ -~])*") {
            let _ = repaired(&location);
        }
    }
}
