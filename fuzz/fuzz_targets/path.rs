//! Request paths: whatever a client sends is classified or refused.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use seawall::harbor::classify;

fuzz_target!(|path: &str| {
    for method in [Method::GET, Method::POST, Method::PATCH, Method::PUT] {
        if let Ok(target) = classify(&method, path) {
            let _ = target.project();
        }
    }
});
