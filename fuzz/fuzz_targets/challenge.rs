//! Credentials of clients and challenges of nodes.
#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use seawall::harbor::auth::{Challenge, rewrite_realm, user};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Challenge::parse(text);
    }
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let _ = user(Some(&value));
        let _ = rewrite_realm(&value, |realm| Some(format!("https://door{realm}")));
    }
});
