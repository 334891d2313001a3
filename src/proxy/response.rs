//! Making a node's answer fit for the client: what a node behind TLS it does not see cannot get right by itself.

use http::header::{
    CONNECTION, CONTENT_LENGTH, LOCATION, SET_COOKIE, STRICT_TRANSPORT_SECURITY, UPGRADE,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, response};

use crate::harbor::class::{Class, Lane};
use crate::harbor::path::Target;
use crate::harbor::{auth, session};
use crate::message::hop;
use crate::message::location;
use crate::state::snapshot::Public;
use crate::upstream::backend::Backend;

const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains; preload");
const FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");

/// What an answer to one request needs.
pub struct Dress {
    class: Class,
    core: bool,
    https: bool,
    authority: HeaderValue,
}

impl Dress {
    /// For the answer to a request for `target` that came by `https` (or not) to `authority`.
    pub fn new(target: &Target<'_>, https: bool, authority: &HeaderValue) -> Self {
        Dress {
            class: target.class,
            core: target.core,
            https,
            authority: authority.clone(),
        }
    }

    /// The address by which the client knows a path.
    pub fn url(&self, path: &str) -> Option<HeaderValue> {
        let scheme = if self.https { "https" } else { "http" };
        let authority = self.authority.to_str().ok()?;
        HeaderValue::from_str(&format!("{scheme}://{authority}{path}")).ok()
    }

    /// Mends the head of an answer. True when its Content-Length was dropped because the node does not keep it.
    pub fn answer(
        &self,
        head: &mut response::Parts,
        node: &Backend,
        public: Option<&Public>,
    ) -> bool {
        head.version = http::Version::HTTP_11;
        head.extensions.clear();
        let headers = &mut head.headers;
        hop::strip_response(headers);
        self.mend_location(headers, node, public);
        self.mend_challenge(headers, node, public);
        self.mend_cookies(headers, node);
        self.add_security(headers, node);
        // Harbor announces the blob's whole length on 416 and sends a short text.
        let lies = head.status == StatusCode::RANGE_NOT_SATISFIABLE;
        if lies {
            headers.remove(CONTENT_LENGTH);
        }
        lies
    }

    /// Leaves on a 101 what the client needs to switch.
    pub fn switching(&self, headers: &mut HeaderMap) {
        let protocol = headers.get(UPGRADE).cloned();
        hop::strip_response(headers);
        if let Some(protocol) = protocol {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol);
        }
    }

    fn mend_location(&self, headers: &mut HeaderMap, node: &Backend, public: Option<&Public>) {
        if let Some(value) = headers.get(LOCATION)
            && let Some(mended) = self.as_seen_by_client(node, public, |public, ours| {
                location::repair(value, public, ours)
            })
        {
            headers.insert(LOCATION, mended);
        }
    }

    fn mend_challenge(&self, headers: &mut HeaderMap, node: &Backend, public: Option<&Public>) {
        let Some(value) = headers.get(WWW_AUTHENTICATE) else {
            return;
        };
        let mended = self.as_seen_by_client(node, public, |public, ours| {
            auth::rewrite_realm(value, |realm| {
                let realm = HeaderValue::from_str(realm).ok()?;
                let mended = location::repair(&realm, public, ours)?;
                mended.to_str().ok().map(str::to_owned)
            })
        });
        if let Some(mended) = mended {
            headers.insert(WWW_AUTHENTICATE, mended);
        }
    }

    /// Calls `mend` with the address that the client knows and the host names that stand for it.
    fn as_seen_by_client<T>(
        &self,
        node: &Backend,
        configured: Option<&Public>,
        mend: impl FnOnce(&location::Public<'_>, &[&str]) -> Option<T>,
    ) -> Option<T> {
        let authority = self.authority.to_str().ok()?;
        let public = location::Public {
            scheme: if self.https { "https" } else { "http" },
            authority,
        };
        let configured = configured
            .and_then(|public| public.authority.to_str().ok())
            .unwrap_or(authority);
        let node = node.endpoint(true).authority().to_str().unwrap_or_default();
        mend(&public, &[host(authority), host(configured), host(node)])
    }

    fn mend_cookies(&self, headers: &mut HeaderMap, node: &Backend) {
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let registry = self.class.lane() == Lane::Registry;
        let http::header::Entry::Occupied(lines) = headers.entry(SET_COOKIE) else {
            return;
        };
        let mend = |line: HeaderValue| {
            // Registry clients keep no cookies; a session for each of their requests helps nobody.
            if registry && session::issued(&line).is_some() {
                return None;
            }
            let secure = self.https && (node.is_direct() || session::is_harbor_cookie(&line));
            let http_only = node.is_direct() && !self.core;
            let mended = secure.then(|| session::secure(&line, http_only)).flatten();
            Some(mended.unwrap_or(line))
        };
        let (_, lines) = lines.remove_entry_mult();
        let lines: Vec<HeaderValue> = lines.filter_map(mend).collect();
        for line in lines {
            headers.append(SET_COOKIE, line);
        }
    }

    /// What Harbor's own nginx adds; in front of one that ends no TLS only the line about TLS is missing.
    fn add_security(&self, headers: &mut HeaderMap, node: &Backend) {
        if self.class.lane() == Lane::Registry {
            return;
        }
        if self.https && !headers.contains_key(STRICT_TRANSPORT_SECURITY) {
            headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
        }
        if node.is_direct() {
            headers
                .entry(FRAME_OPTIONS)
                .or_insert(HeaderValue::from_static("DENY"));
            headers
                .entry(http::header::CONTENT_SECURITY_POLICY)
                .or_insert(HeaderValue::from_static("frame-ancestors 'none'"));
        }
    }
}

/// The host of `host[:port]`, brackets kept.
fn host(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon)
            if !authority
                .get(colon..)
                .is_some_and(|rest| rest.contains(']')) =>
        {
            authority.get(..colon).unwrap_or(authority)
        }
        _ => authority,
    }
}
