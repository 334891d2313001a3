//! Health documents of nodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::harbor::health::read_document;

fuzz_target!(|bytes: &[u8]| {
    if let Some(document) = read_document(bytes) {
        assert!(!document.good.intersects(document.bad));
    }
});
