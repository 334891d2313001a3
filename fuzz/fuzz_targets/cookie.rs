//! Cookies of clients and of nodes: what is passed on is always sound.
#![no_main]

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use seawall::harbor::session::{clean_cookies, secure};

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let _ = secure(&value, true);
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, value);
    if let Some(kept) = clean_cookies(&headers) {
        headers.remove(COOKIE);
        kept.into_iter().for_each(|line| {
            headers.append(COOKIE, line);
        });
        assert_eq!(clean_cookies(&headers), None);
    }
});
