//! `X-Request-ID`: one word that finds a request in our log, in Harbor's, and in the answer.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a client, in bytes.
const LONGEST: usize = 128;

/// The id of a request, which afterwards carries exactly this one: the client's own if it is a single visible word
/// of sane length, else a new one in the form of a random UUID (RFC 9562 §5.4).
pub fn take(headers: &mut HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(&X_REQUEST_ID).iter();
    if let (Some(id), None) = (given.next(), given.next())
        && is_sane(id.as_bytes())
    {
        return id.clone();
    }
    let id = fresh();
    headers.insert(X_REQUEST_ID, id.clone());
    id
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

fn fresh() -> HeaderValue {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let random = fastrand::u128(..);
    let bits = (random & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'-');
    let mut text = [b'-'; 36];
    let mut places = text.iter_mut();
    for (count, byte) in bits.to_be_bytes().into_iter().enumerate() {
        if matches!(count, 4 | 6 | 8 | 10) {
            places.next();
        }
        for (nibble, place) in [byte >> 4, byte & 0xf].into_iter().zip(&mut places) {
            *place = digit(nibble);
        }
    }
    // Hexadecimal digits always fit into a header.
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn taken(given: &[&str]) -> (HeaderValue, HeaderMap) {
        let mut headers = HeaderMap::new();
        for id in given {
            headers.append(X_REQUEST_ID, HeaderValue::from_str(id).unwrap());
        }
        (take(&mut headers), headers)
    }

    #[test]
    fn a_sane_id_is_kept() {
        let (id, headers) = taken(&["trace-1/2"]);
        assert_eq!(id, "trace-1/2");
        assert_eq!(headers.get(X_REQUEST_ID), Some(&id));
    }

    #[test]
    fn an_odd_one_is_replaced() {
        let long = "x".repeat(LONGEST + 1);
        for given in [&["a b"][..], &[""], &[&long], &["a", "b"], &[]] {
            let (id, headers) = taken(given);
            assert!(!given.iter().any(|g| id == *g));
            assert_eq!(headers.get_all(X_REQUEST_ID).iter().count(), 1);
            assert_eq!(headers.get(X_REQUEST_ID), Some(&id));
        }
    }

    #[test]
    fn a_new_one_looks_like_a_random_uuid() {
        let (id, _) = taken(&[]);
        let id = id.to_str().unwrap();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(id.split('-').nth(2).unwrap().starts_with('4'));
        assert!(
            id.split('-')
                .nth(3)
                .unwrap()
                .starts_with(['8', '9', 'a', 'b'])
        );
    }
}
