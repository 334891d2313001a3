//! Addresses that nodes send clients to.
#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use seawall::message::location::{Public, repair};

fuzz_target!(|bytes: &[u8]| {
    let public = Public {
        scheme: "https",
        authority: "registry.example.com",
    };
    if let Ok(value) = HeaderValue::from_bytes(bytes)
        && let Some(mended) = repair(&value, &public, &["node"])
    {
        assert_eq!(repair(&mended, &public, &["node"]), None);
    }
});
