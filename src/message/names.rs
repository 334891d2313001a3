//! Field names that a node might confuse with others.

use http::HeaderMap;
use http::header::HeaderName;

/// Whether a server might take `name` for another field's.
pub(super) fn is_alias(name: &str) -> bool {
    name.bytes().any(|byte| matches!(byte, b'_' | b'.'))
}

/// Removes every field whose name holds `_` or `.` and returns how many names that were. Some servers take `X_Real_IP`
/// for `X-Real-IP`, and so would believe what a client wrote where we thought we had overwritten it.
pub fn drop_aliases(headers: &mut HeaderMap) -> usize {
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_alias(name.as_str()))
        .cloned()
        .collect();
    for name in &found {
        headers.remove(name);
    }
    found.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn aliases_go_and_the_rest_stays() {
        let mut headers = HeaderMap::new();
        for name in ["x_real_ip", "x_real_ip", "x.forwarded.for", "x-real-ip"] {
            headers.append(name, HeaderValue::from_static("1"));
        }
        assert_eq!(drop_aliases(&mut headers), 2);
        assert_eq!(headers.len(), 1);
        assert_eq!(drop_aliases(&mut headers), 0);
    }
}
