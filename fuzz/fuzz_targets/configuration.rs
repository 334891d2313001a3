//! Configurations: whatever a file holds, it is read, or each problem is one line that says where it is and what to do.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use seawall::config::{changes, parse};

fuzz_target!(|text: &str| {
    match parse(text, Path::new("seawall.toml")) {
        Ok(config) => {
            assert!(!config.listen.is_empty() && !config.cluster.node.is_empty());
            assert_eq!(changes(&config, &config), Vec::<String>::new());
            let _ = config.warnings();
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            let lines = text.split('\n').count();
            for problem in problems {
                assert!((1..=lines).contains(&problem.line), "{problem}");
                assert!(!problem.to_string().contains('\n'), "{problem:?}");
                assert!(!problem.fix.is_empty());
            }
        }
    }
});
