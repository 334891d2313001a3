//! Bearer tokens, opened and not verified: who holds one, which key signed it, where it may push.

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde::Deserialize;

/// A token larger than this is not opened: no genuine one comes near.
const LARGEST: usize = 64 * 1024;

/// What a token says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Its user; none in an anonymous one.
    pub subject: Option<String>,
    /// The id of the key that signed it.
    pub key: Option<String>,
    /// The repositories that it may push to.
    pushes: Vec<String>,
}

impl Claims {
    /// Whether it may push to `repository`.
    pub fn may_push(&self, repository: &str) -> bool {
        self.pushes.iter().any(|name| name == repository)
    }
}

/// The claims of the bearer token of an `Authorization` header (RFC 6750, RFC 7519). `None` for other schemes and for
/// what is no token of that form.
pub fn claims(authorization: &HeaderValue) -> Option<Arc<Claims>> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| remembered(token.trim()))
        .flatten()
}

/// The id of the key that signed `token`.
pub fn key(token: &str) -> Option<String> {
    open(token)?.key
}

fn open(token: &str) -> Option<Claims> {
    #[derive(Deserialize)]
    struct Head {
        kid: Option<String>,
    }
    #[derive(Deserialize)]
    struct Body {
        sub: Option<String>,
        access: Option<Vec<Access>>,
    }
    #[derive(Deserialize)]
    struct Access {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(default)]
        name: String,
        actions: Option<Vec<String>>,
    }
    if token.len() > LARGEST {
        return None;
    }
    let mut parts = token.split('.');
    let mut part = || URL_SAFE_NO_PAD.decode(parts.next()?).ok();
    let (head, body) = (part()?, part()?);
    let head: Option<Head> = serde_json::from_slice(&head).ok();
    let body: Body = serde_json::from_slice(&body).ok()?;
    let pushes = |access: &Access| {
        let mut actions = access.actions.iter().flatten();
        access.kind == "repository" && actions.any(|action| action == "push" || action == "*")
    };
    Some(Claims {
        subject: body.sub.filter(|sub| !sub.is_empty()),
        key: head.and_then(|head| head.kid),
        pushes: body
            .access
            .unwrap_or_default()
            .into_iter()
            .filter(pushes)
            .map(|access| access.name)
            .collect(),
    })
}

/// The end of a token: a piece of its signature that tells it from others and gives nobody access.
type Tail = [u8; 32];
/// A token that was opened, and what it said.
type Opened = (Tail, Option<Arc<Claims>>);

thread_local! {
    /// A client uses its token for many requests; opening one costs more than the rest of the log line.
    static OPENED: RefCell<[Option<Opened>; 16]> = const { RefCell::new([const { None }; 16]) };
}

fn remembered(token: &str) -> Option<Arc<Claims>> {
    let signature = token.rsplit('.').next().unwrap_or_default();
    let opened = || open(token).map(Arc::new);
    let Some((_, tail)) = signature.as_bytes().split_last_chunk() else {
        return opened();
    };
    OPENED.with_borrow_mut(|known| {
        let place = tail.iter().map(|byte| usize::from(*byte)).sum::<usize>() % known.len();
        let slot = known.get_mut(place)?;
        match slot {
            Some((known, claims)) if known == tail => claims.clone(),
            _ => {
                let claims = opened();
                *slot = Some((*tail, claims.clone()));
                claims
            }
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(head: &str, body: &str) -> HeaderValue {
        let (head, body) = (URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(body));
        HeaderValue::from_str(&format!("Bearer {head}.{body}.c2ln")).unwrap()
    }

    #[test]
    fn a_token_says_which_key_signed_it_and_where_it_may_push() {
        let access = r#"{"access":[
            {"type":"repository","name":"a/b","actions":["pull","push"]},
            {"type":"repository","name":"a/c","actions":["pull"]},
            {"type":"registry","name":"catalog","actions":["*"]},
            {"type":"repository","name":"a/d","actions":null}]}"#;
        let claims = claims(&token(r#"{"alg":"RS256","kid":"AB:CD"}"#, access)).unwrap();
        assert_eq!(claims.key.as_deref(), Some("AB:CD"));
        assert!(claims.may_push("a/b"));
        for other in ["a/c", "a/d", "catalog", "a"] {
            assert!(!claims.may_push(other), "{other}");
        }
    }

    #[test]
    fn a_token_without_a_key_id_is_opened_all_the_same() {
        let claims = claims(&token("{}", r#"{"sub":"admin"}"#)).unwrap();
        assert_eq!(
            (claims.subject.as_deref(), &claims.key),
            (Some("admin"), &None)
        );
    }

    proptest! {
        #[test]
        fn no_token_makes_it_panic(head in "\\PC*", body in "\\PC*", rest in "[ -~]*") {
            let _ = claims(&token(&head, &body));
            let _ = HeaderValue::from_str(&rest).map(|value| claims(&value));
        }
    }
}
