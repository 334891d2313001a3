//! What keeps other sites from acting for a browser: a masked token in a header beside a signed cookie (2.x), or
//! the same token in both (1.10).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use ring::hmac;
use std::time::{Duration, SystemTime};

use super::session::cookie;

pub const HEADER: &str = "X-Harbor-Csrf-Token";
pub const COOKIE: &str = "_gorilla_csrf";

/// What the check of 2.x found.
pub struct Gorilla {
    /// The cookie that has to be set because the request's was absent or not ours.
    pub set_cookie: Option<String>,
    /// What the answer tells in [`HEADER`].
    pub token: String,
    /// Whether an unsafe request may go on.
    pub valid: bool,
}

/// Reads the request's token and makes the answer's.
pub fn gorilla(key: &str, headers: &HeaderMap, secure: bool) -> Gorilla {
    let known = cookie(headers, COOKIE).and_then(|value| open(key, &value));
    let sent = headers
        .get(HEADER)
        .and_then(|value| STANDARD.decode(value.as_bytes()).ok())
        .filter(|masked| masked.len() == 64);
    let valid = match (&known, &sent) {
        (Some(real), Some(masked)) => unmask(masked) == *real,
        _ => false,
    };
    let real = known.clone().unwrap_or_else(|| random(32));
    let set_cookie = known.is_none().then(|| {
        let value = seal(key, &real);
        let expires = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(43_200));
        let secure = if secure { " Secure;" } else { "" };
        format!("{COOKIE}={value}; Path=/; Expires={expires}; Max-Age=43200; HttpOnly;{secure} SameSite=Strict")
    });
    Gorilla {
        set_cookie,
        token: mask(&real),
        valid,
    }
}

fn random(length: usize) -> Vec<u8> {
    (0..length).map(|_| fastrand::u8(..)).collect()
}

fn mask(real: &[u8]) -> String {
    let mut all = random(32);
    let mixed: Vec<u8> = all.iter().zip(real).map(|(a, b)| a ^ b).collect();
    all.extend(mixed);
    STANDARD.encode(all)
}

fn unmask(masked: &[u8]) -> Vec<u8> {
    let (pad, mixed) = masked.split_at(32);
    pad.iter().zip(mixed).map(|(a, b)| a ^ b).collect()
}

fn seal(key: &str, real: &[u8]) -> String {
    let inner = URL_SAFE_NO_PAD.encode(real);
    let tag = sign(key, COOKIE, &inner);
    URL_SAFE_NO_PAD.encode(format!("{inner}|{tag}"))
}

fn open(key: &str, value: &str) -> Option<Vec<u8>> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
    let (inner, tag) = text.split_once('|')?;
    (sign(key, COOKIE, inner) == tag).then(|| URL_SAFE_NO_PAD.decode(inner).ok())?
}

fn sign(key: &str, name: &str, value: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, format!("{name}|{value}").as_bytes()))
}

/// What the check of 1.10 found.
pub enum Xsrf {
    Good,
    /// 422: the request brings no token.
    Missing,
    /// 417: it brings another one.
    Mismatch,
}

/// The token that the request's `_xsrf` cookie holds, if this node's key signed it.
pub fn xsrf_cookie(key: &str, headers: &HeaderMap) -> Option<String> {
    let value = cookie(headers, "_xsrf")?;
    let mut parts = value.split('|');
    let (inner, stamp, tag) = (parts.next()?, parts.next()?, parts.next()?);
    (sign(key, stamp, inner) == tag).then_some(())?;
    String::from_utf8(STANDARD.decode(inner).ok()?).ok()
}

/// A new `_xsrf` cookie.
pub fn new_xsrf(key: &str) -> String {
    let token: String = (0..32).map(|_| fastrand::alphanumeric()).collect();
    let inner = STANDARD.encode(token);
    let stamp = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos())
        .to_string();
    let tag = sign(key, &stamp, &inner);
    let expires = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600))
        .replace("GMT", "UTC");
    format!("_xsrf={inner}|{stamp}|{tag}; Expires={expires}; Max-Age=3600; Path=/")
}

/// Compares an unsafe request's token with its cookie.
pub fn xsrf(known: Option<&str>, headers: &HeaderMap) -> Xsrf {
    let sent = headers
        .get("x-xsrftoken")
        .or_else(|| headers.get("x-csrftoken"))
        .and_then(|value| value.to_str().ok());
    match (sent, known) {
        (None, _) => Xsrf::Missing,
        (Some(sent), Some(known)) if sent == known => Xsrf::Good,
        _ => Xsrf::Mismatch,
    }
}
