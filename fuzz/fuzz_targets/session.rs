//! Values and keys of sessions in a store that others may write: what is taken can be said again, and means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::session::entry::{Entry, Record};
use seawall::session::key::{Key, Kind};

fuzz_target!(|bytes: &[u8]| {
    for kind in Kind::ALL {
        let Some(record) = Record::from_value(bytes, kind) else {
            continue;
        };
        assert!(record.node.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(
            Record::from_value(record.to_value().as_bytes(), kind),
            Some(record.clone())
        );
        let entry = Entry::from_record(record.clone(), record.last);
        let _ = entry.is_alive(60_000, record.first);
        entry.touch(record.last);
        let again = entry.record();
        assert_eq!((again.node, again.bound), (record.node, record.bound));
    }
    if let Ok(name) = std::str::from_utf8(bytes)
        && let Some(key) = Key::from_name(name, "seawall:")
    {
        assert_eq!(key.name("seawall:"), name);
    }
});
