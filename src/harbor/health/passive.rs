//! What an answer to a client says about the node that gave it.

use crate::harbor::class::Class;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// How a node failed a request by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// 502: something behind the node's nginx or core is dead.
    BadGateway,
    /// 503: in 1.x, Redis is gone.
    Unavailable,
    /// 504: something behind it hangs.
    GatewayTimeout,
}

impl FailureKind {
    /// The name in logs and metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            FailureKind::BadGateway => "bad_gateway",
            FailureKind::Unavailable => "unavailable",
            FailureKind::GatewayTimeout => "gateway_timeout",
        }
    }
}

/// Whether an answer counts against the node. Refusals (401, 403, 404, 412, 416, 429) never do, nor does a single
/// 500; nor does anything about charts, whose server is no part of push and pull.
///
/// Harbor 1.x refuses API writes in read-only mode with 503 and plain text, whereas a node without Redis answers
/// 503 with a page. A malformed session cookie would earn a 503 too: [`clean_cookies`](crate::harbor::session::clean_cookies)
/// must have run on the request, or any client could talk a node out of the cluster.
pub fn counts_as_failure(status: u16, class: Class, headers: &HeaderMap) -> Option<FailureKind> {
    if matches!(class, Class::Chart | Class::Internal) {
        return None;
    }
    match status {
        502 => Some(FailureKind::BadGateway),
        503 if class == Class::ApiWrite && !is_page(headers) => None,
        503 => Some(FailureKind::Unavailable),
        504 => Some(FailureKind::GatewayTimeout),
        _ => None,
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.get(..9)
            .is_some_and(|head| head.eq_ignore_ascii_case(b"text/html"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn typed(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    #[test]
    fn a_refusal_is_not_a_failure() {
        for status in [
            200, 307, 401, 403, 404, 405, 409, 412, 416, 417, 429, 499, 500,
        ] {
            let counted = counts_as_failure(status, Class::BlobRead, &HeaderMap::new());
            assert_eq!(counted, None, "{status}");
        }
    }

    #[test]
    fn a_dead_part_behind_the_node_is_a_failure() {
        let none = HeaderMap::new();
        let counted = |status| counts_as_failure(status, Class::ManifestRead, &none);
        assert_eq!(counted(502), Some(FailureKind::BadGateway));
        assert_eq!(counted(503), Some(FailureKind::Unavailable));
        assert_eq!(counted(504), Some(FailureKind::GatewayTimeout));
    }

    #[test]
    fn read_only_mode_is_not_a_failure_but_a_dead_redis_is() {
        let read_only = typed("text/plain; charset=utf-8");
        assert_eq!(counts_as_failure(503, Class::ApiWrite, &read_only), None);
        let page = typed("text/html; charset=utf-8");
        assert_eq!(
            counts_as_failure(503, Class::ApiWrite, &page),
            Some(FailureKind::Unavailable)
        );
    }

    #[test]
    fn a_dead_chart_server_does_not_count() {
        assert_eq!(
            counts_as_failure(502, Class::Chart, &HeaderMap::new()),
            None
        );
    }
}
