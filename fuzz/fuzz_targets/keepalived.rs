//! Configurations of keepalived: whatever a file holds, it is read or has a problem with a line.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use seawall::config::keepalived::import_text;

fuzz_target!(|text: &str| {
    // No file lies there that could be included.
    if let Err(problem) = import_text(text, Path::new("/proc/self/fuzz/k.conf"), Some("a")) {
        assert!(problem.line > 0);
    }
});
