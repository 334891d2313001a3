//! Credentials, looked at and never kept: who asks (for the log), how we ask ourselves, and where a challenge sends
//! a client.

mod challenge;
pub mod scope;
pub mod token;

pub use challenge::{Challenge, rewrite_realm};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// Longest user name that is logged, in characters.
const LONGEST: usize = 128;
/// Credentials larger than this are not looked at: no genuine ones come near.
const LARGEST: usize = 64 * 1024;

/// Who is asking, for the log: the user of `Basic`, or the subject of a bearer token. Nothing is verified, and no
/// secret is ever part of it. `None` for anonymous requests and tokens without a subject.
pub fn user(authorization: Option<&HeaderValue>) -> Option<String> {
    let authorization = authorization?;
    if let Some(claims) = token::claims(authorization) {
        return sanitise(claims.subject.as_deref()?);
    }
    let pair = pair(authorization)?;
    let pair = String::from_utf8_lossy(&pair);
    // Without a colon it is no pair, and may well be a secret.
    sanitise(pair.split_once(':')?.0)
}

/// User and password of `Basic`, with the colon between them. `None` for other schemes.
pub fn pair(authorization: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, credentials) = authorization.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim();
    if credentials.len() > LARGEST || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(credentials).ok()
}

/// Without control characters and marks that reorder text, so that no name can forge a log line.
fn sanitise(name: &str) -> Option<String> {
    let shown: String = name
        .chars()
        .filter(|c| !c.is_control() && !reorders(*c))
        .take(LONGEST)
        .collect();
    (!shown.is_empty()).then_some(shown)
}

fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// An `Authorization: Basic` value (RFC 7617), marked sensitive so that no debug output shows it.
pub fn basic(user: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    // Base64 has no character that a header could not hold.
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    fn who(value: &str) -> Option<String> {
        user(Some(&HeaderValue::from_str(value).unwrap()))
    }

    fn token(claims: &str) -> String {
        format!("Bearer e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_user_of_basic_is_seen_and_the_password_is_not() {
        let value = basic("robot$ci+a", "s3:cret");
        assert_eq!(user(Some(&value)).as_deref(), Some("robot$ci+a"));
        assert!(value.is_sensitive());
        assert!(!format!("{value:?}").contains("Basic"));
    }

    #[test]
    fn the_subject_of_a_token_is_seen() {
        assert_eq!(who(&token(r#"{"sub":"admin"}"#)).as_deref(), Some("admin"));
        assert_eq!(who(&token(r#"{"sub":""}"#)), None);
        assert_eq!(who(&token(r#"{"iss":"x"}"#)), None);
        assert_eq!(who("Bearer opaque"), None);
    }

    #[test]
    fn every_token_has_its_own_subject_however_often_they_take_turns() {
        let token = |name: &str, signature: &str| {
            let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{name}"}}"#));
            format!("Bearer e30.{claims}.{signature}")
        };
        let long = |of: &str| of.repeat(64);
        for _ in 0..3 {
            for name in ["a", "b", "c"] {
                assert_eq!(who(&token(name, &long(name))).as_deref(), Some(name));
                // Too short for a genuine signature: nothing to remember it by.
                assert_eq!(who(&token(name, "c2ln")).as_deref(), Some(name));
            }
        }
    }

    #[test]
    fn what_might_be_a_bare_secret_is_not_shown() {
        assert_eq!(who(&format!("Basic {}", STANDARD.encode("secret"))), None);
        assert_eq!(who("Digest username=\"x\""), None);
        assert_eq!(who("secret"), None);
        assert_eq!(user(None), None);
    }

    #[test]
    fn a_name_cannot_forge_a_log_line() {
        let value = basic("a\nb\u{202e}c\u{1b}[31m", "x");
        assert_eq!(user(Some(&value)).as_deref(), Some("abc[31m"));
        let long = user(Some(&basic(&"x".repeat(1000), ""))).unwrap();
        assert_eq!(long.len(), 128);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "(Basic|Bearer|bearer)? ?[ -~]*") {
            let _ = who(&text);
        }

        #[test]
        fn no_claims_make_it_panic(claims in "\\PC*") {
            let _ = who(&token(&claims));
        }
    }
}
