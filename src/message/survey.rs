//! What a head holds of the fields that a hop must look at.
//!
//! The usual request has none of most of them. One pass over its names spares it some twenty lookups that find nothing.

use http::HeaderMap;

use super::{forwarded, hop, names};

/// Found in one pass over the names of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// `Connection`, which may name further fields that end here.
    pub connection: bool,
    /// `TE`.
    pub te: bool,
    /// Another field that ends at this hop.
    pub hop: bool,
    /// A name that a node might take for another one.
    pub alias: bool,
    /// A field that tells of the way here.
    pub forwarded: bool,
    /// `Expect`.
    pub expect: bool,
    /// `Cookie`.
    pub cookie: bool,
    /// `Content-Length`.
    pub length: bool,
    /// `Transfer-Encoding`.
    pub encoding: bool,
}

impl Survey {
    /// Looks at every name once.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Survey::default();
        for name in headers.keys() {
            match name.as_str() {
                // The usual ones come first.
                "host" | "user-agent" | "accept" | "authorization" | "accept-encoding" => {}
                "content-length" => found.length = true,
                "connection" => found.connection = true,
                "expect" => found.expect = true,
                "cookie" => found.cookie = true,
                "te" => found.te = true,
                "transfer-encoding" => (found.encoding, found.hop) = (true, true),
                name if hop::ends_here(name) => found.hop = true,
                name => {
                    found.alias |= names::is_alias(name);
                    found.forwarded |= forwarded::is_family(name);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn survey(names: &[&'static str]) -> Survey {
        let value = HeaderValue::from_static("1");
        let fields = names
            .iter()
            .map(|name| (HeaderName::from_static(name), value.clone()));
        Survey::of(&fields.collect())
    }

    #[test]
    fn an_ordinary_head_has_nothing_to_look_at() {
        let usual = ["host", "user-agent", "accept", "authorization", "range"];
        assert_eq!(survey(&usual), Survey::default());
    }

    #[test]
    fn everything_of_note_is_found() {
        let all = survey(&[
            "connection",
            "te",
            "keep-alive",
            "x_real_ip",
            "x-forwarded-for",
            "expect",
            "cookie",
            "content-length",
            "transfer-encoding",
        ]);
        let Survey {
            connection,
            te,
            hop,
            alias,
            forwarded,
            expect,
            cookie,
            length,
            encoding,
        } = all;
        let found = [connection, te, hop, alias, forwarded, expect, cookie];
        assert!(found.iter().all(|it| *it) && length && encoding);
    }
}
