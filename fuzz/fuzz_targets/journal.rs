//! Files of the journal that were damaged: what can be read of one can be written again, and means the same.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use seawall::placement::journal::table::{Line, Table};

fn said(table: &Table) -> BTreeSet<String> {
    let lines = table.lines().into_iter();
    lines
        .map(|line| serde_json::to_string(&line).expect("JSON"))
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let (mut table, mut again) = (Table::default(), Table::default());
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(line) = serde_json::from_slice::<Line>(line) {
            table.apply(line);
        }
    }
    table.lines().into_iter().for_each(|line| again.apply(line));
    assert_eq!(said(&again), said(&table));
    for repository in table.repositories() {
        assert!(
            table
                .entries_of(repository)
                .all(|entry| entry.repository == repository)
        );
    }
});
