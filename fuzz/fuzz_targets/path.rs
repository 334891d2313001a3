//! Request paths: whatever a client sends is classified or refused, and the cleaned form of what passed means the same.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use seawall::harbor::classify;
use seawall::harbor::path::canonical::clean;

fuzz_target!(|path: &str| {
    // Whoever judged the request before let no other target through.
    if !path.starts_with('/') {
        return;
    }
    let cleaned = clean(path.split('?').next().unwrap_or_default());
    for method in [Method::GET, Method::POST, Method::PATCH, Method::PUT] {
        let Ok(target) = classify(&method, path) else {
            continue;
        };
        assert_eq!(
            clean(&cleaned),
            cleaned,
            "a reader that cleans twice sees another path"
        );
        let again = classify(&method, &cleaned).expect("what is clean is not confused");
        assert_eq!((again.class, again.core), (target.class, target.core));
        assert_eq!(again.repository, target.repository);
        assert_eq!(again.upload, target.upload);
        assert_eq!(again.reference, target.reference);
        assert_eq!(again.project(), target.project());
    }
});
