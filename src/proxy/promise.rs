//! What a client was promised by the head of an answer, and whether another node's answer keeps it.
//!
//! Only what is named by its digest can be promised: then the bytes are the same wherever they come from.

use std::ops::Range;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, ETAG};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::harbor::class::Class;
use crate::message::range;

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The bytes that an answer's head promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    /// Their place in the whole, the last one excluded.
    pub bytes: Range<u64>,
    /// The length of the whole.
    pub total: u64,
    /// Whether nodes give parts of it; of manifests they do not (`registry/handlers/manifests.go`).
    pub in_parts: bool,
}

impl Promise {
    /// What the answer to a `GET` of `digest` promises: nothing without a length or without a word on the digest, as when
    /// a proxy cache fetches what it sends.
    pub fn of(class: Class, digest: &str, status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        if !agrees(headers, digest)? {
            return None;
        }
        let length = length(headers)?;
        let (bytes, total) = match status {
            StatusCode::OK => (0..length, length),
            StatusCode::PARTIAL_CONTENT => {
                let part = range::part(headers)?;
                (part.bytes, part.total)
            }
            _ => return None,
        };
        (bytes.end - bytes.start == length).then_some(Promise {
            bytes,
            total,
            in_parts: class == Class::BlobRead,
        })
    }

    /// What is left of it after `sent` bytes.
    pub fn rest(&self, sent: u64) -> Range<u64> {
        self.bytes.start.saturating_add(sent)..self.bytes.end
    }

    /// Whether an answer has exactly the `rest` of what was promised; how many bytes of it come before that.
    ///
    /// # Errors
    /// In which way it does not.
    pub fn kept(
        &self,
        rest: &Range<u64>,
        digest: &str,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<u64, Unkept> {
        let expected = match self.in_parts {
            true => StatusCode::PARTIAL_CONTENT,
            false => StatusCode::OK,
        };
        match status {
            status if status == expected => {}
            StatusCode::NOT_FOUND => return Err(Unkept::NotThere),
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Err(Unkept::Different),
            _ => return Err(Unkept::Refused),
        }
        let (bytes, total) = match self.in_parts {
            true => {
                let part = range::part(headers).ok_or(Unkept::Different)?;
                (part.bytes, part.total)
            }
            false => (0..self.total, self.total),
        };
        let exact = length(headers) == Some(bytes.end - bytes.start);
        let same = match self.in_parts {
            true => bytes == *rest,
            false => bytes.end == rest.end,
        };
        if !exact || !same || total != self.total || agrees(headers, digest) == Some(false) {
            return Err(Unkept::Different);
        }
        Ok(rest.start - bytes.start)
    }
}

/// Why another node's answer does not keep a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unkept {
    /// It knows of no such thing.
    NotThere,
    /// It does not give it to this client, or sends it elsewhere.
    Refused,
    /// It gives something else.
    Different,
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the headers say that this is what `digest` names; `None` where they say nothing of it.
fn agrees(headers: &HeaderMap, digest: &str) -> Option<bool> {
    // Then these are other bytes.
    if headers.contains_key(CONTENT_ENCODING) {
        return Some(false);
    }
    let said = headers
        .get(DIGEST)
        .map(|value| value.as_bytes() == digest.as_bytes());
    let tag = headers.get(ETAG).and_then(|value| value.to_str().ok());
    let tagged = tag
        .and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'))
        .filter(|tag| is_digest(tag))
        .map(|tag| tag == digest);
    match (said, tagged) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (None, None) => None,
        _ => Some(true),
    }
}

/// Whether a reference names its content: no tag has a colon.
pub(super) fn is_digest(reference: &str) -> bool {
    reference.contains(':')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const A: &str = "sha256:aa";

    fn head(lines: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = lines.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        pairs.collect()
    }

    fn promised(status: u16, lines: &[(&'static str, &str)]) -> Option<Range<u64>> {
        let status = StatusCode::from_u16(status).unwrap();
        Promise::of(Class::BlobRead, A, status, &head(lines)).map(|promise| promise.bytes)
    }

    #[test]
    fn a_blob_with_a_length_and_its_digest_is_promised() {
        let digest = ("docker-content-digest", A);
        assert_eq!(
            promised(200, &[("content-length", "9"), digest]),
            Some(0..9)
        );
        let part = ("content-range", "bytes 5-8/20");
        let lines = [("content-length", "4"), digest, part];
        assert_eq!(promised(206, &lines), Some(5..9));
        let tag = ("etag", "\"sha256:aa\"");
        assert_eq!(promised(200, &[("content-length", "9"), tag]), Some(0..9));
    }

    #[test]
    fn nothing_else_is() {
        let (length, digest) = (("content-length", "9"), ("docker-content-digest", A));
        for (status, lines) in [
            (200, vec![digest]),
            (200, vec![length]),
            (200, vec![length, ("docker-content-digest", "sha256:bb")]),
            (200, vec![length, digest, ("etag", "\"sha256:bb\"")]),
            (200, vec![length, digest, ("content-encoding", "gzip")]),
            (206, vec![length, digest]),
            (206, vec![length, digest, ("content-range", "bytes 0-9/20")]),
            (404, vec![length, digest]),
            (307, vec![length, digest]),
        ] {
            assert_eq!(promised(status, &lines), None, "{status} {lines:?}");
        }
    }

    fn kept(class: Class, status: u16, lines: &[(&'static str, &str)]) -> Result<u64, Unkept> {
        let whole = [("content-length", "20"), ("docker-content-digest", A)];
        let promise = Promise::of(class, A, StatusCode::OK, &head(&whole)).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        promise.kept(&promise.rest(5), A, status, &head(lines))
    }

    #[test]
    fn the_rest_of_a_blob_has_its_bytes_its_length_and_its_digest() {
        let kept = |status, lines: &[_]| kept(Class::BlobRead, status, lines);
        let (length, range) = (("content-length", "15"), ("content-range", "bytes 5-19/20"));
        assert_eq!(kept(206, &[length, range]), Ok(0));
        assert_eq!(
            kept(206, &[length, range, ("docker-content-digest", A)]),
            Ok(0)
        );
        for lines in [
            vec![length],
            vec![range],
            vec![("content-length", "14"), range],
            vec![("content-length", "14"), ("content-range", "bytes 6-19/20")],
            vec![("content-length", "16"), ("content-range", "bytes 5-20/21")],
            vec![length, range, ("docker-content-digest", "sha256:bb")],
            vec![length, range, ("content-encoding", "gzip")],
        ] {
            assert_eq!(kept(206, &lines), Err(Unkept::Different), "{lines:?}");
        }
        // From the start again: never mixed in.
        let whole = [("content-length", "20"), ("docker-content-digest", A)];
        assert_eq!(kept(200, &whole), Err(Unkept::Different));
    }

    #[test]
    fn a_node_that_refuses_or_points_elsewhere_keeps_nothing() {
        for status in [401, 403, 301, 307, 416, 500] {
            let kept = kept(Class::BlobRead, status, &[]);
            assert_eq!(kept, Err(Unkept::Refused), "{status}");
        }
        assert_eq!(kept(Class::BlobRead, 404, &[]), Err(Unkept::NotThere));
    }

    #[test]
    fn a_manifest_comes_whole_and_what_the_client_has_of_it_is_left_out() {
        let lines = [("content-length", "20"), ("docker-content-digest", A)];
        assert_eq!(kept(Class::ManifestRead, 200, &lines), Ok(5));
        let other = [("content-length", "21"), ("docker-content-digest", A)];
        let kept = kept(Class::ManifestRead, 200, &other);
        assert_eq!(kept, Err(Unkept::Different));
    }
}
