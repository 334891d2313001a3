//! `Content-Range` of an answer with a part of something (RFC 9110 §14.4).

use std::ops::Range;

use http::header::CONTENT_RANGE;
use http::{HeaderMap, HeaderValue};

/// Which bytes of how many an answer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The bytes, the last one excluded.
    pub bytes: Range<u64>,
    /// Of the whole.
    pub total: u64,
}

/// The part that an answer says it has: one, of bytes, with the length of the whole.
pub fn part(headers: &HeaderMap) -> Option<Part> {
    let mut values = headers.get_all(CONTENT_RANGE).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let text = value.to_str().ok()?;
    let (unit, rest) = text.split_once(' ')?;
    let (range, total) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let part = Part {
        bytes: number(first)?..number(last)?.checked_add(1)?,
        total: number(total)?,
    };
    let sound = part.bytes.start < part.bytes.end && part.bytes.end <= part.total;
    (unit.eq_ignore_ascii_case("bytes") && sound).then_some(part)
}

/// Digits alone: no sign, as `parse` would take.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The `Range` that asks for these bytes (RFC 9110 §14.2).
pub fn asking(bytes: &Range<u64>) -> Option<HeaderValue> {
    let last = bytes.end.checked_sub(1)?;
    HeaderValue::from_str(&format!("bytes={}-{last}", bytes.start)).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Part> {
        let value = HeaderValue::from_str(text).ok()?;
        part(&HeaderMap::from_iter([(CONTENT_RANGE, value)]))
    }

    #[test]
    fn a_part_tells_its_bytes_and_the_whole() {
        let part = read("bytes 52444888-52444987/52444988").unwrap();
        assert_eq!(part.bytes, 52_444_888..52_444_988);
        assert_eq!(part.total, 52_444_988);
        assert_eq!(asking(&part.bytes).unwrap(), "bytes=52444888-52444987");
    }

    #[test]
    fn what_says_less_or_contradicts_itself_is_no_part() {
        for text in [
            "bytes */100",
            "bytes 0-9/*",
            "bytes 9-0/100",
            "bytes 0-100/100",
            "bytes +0-9/100",
            "bytes 0-9/100, bytes 20-29/100",
            "items 0-9/100",
            "bytes 0-18446744073709551615/18446744073709551615",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_range_that_was_asked_for_is_recognised(start in 0..u64::MAX / 4, more in 1..u64::MAX / 4, after in 0..u64::MAX / 4) {
            let bytes = start..start + more;
            let asked = asking(&bytes).unwrap();
            let range = asked.to_str().unwrap().strip_prefix("bytes=").unwrap();
            let total = bytes.end + after;
            prop_assert_eq!(read(&format!("bytes {range}/{total}")), Some(Part { bytes, total }));
        }

        #[test]
        fn nothing_makes_it_panic(text in "(bytes )?[ -~]{0,60}") {
            let _ = read(&text);
        }
    }
}
