//! Packets of protocol 112, in every way an instance may be set up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::vip::packet::{Auth, Dialect};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[how, ttl], packet)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let (from, to, shared) = match how & 1 {
        0 => ("192.0.2.1", "224.0.0.18", "192.0.2.100"),
        _ => ("fe80::1", "ff02::12", "fe80::100"),
    };
    let auth = match how >> 1 & 3 {
        0 => Auth::None,
        1 => Auth::password("d0cker"),
        _ => Auth::Key(vec![7; 16]),
    };
    let (Ok(from), Ok(to), Ok(shared)) = (from.parse(), to.parse(), shared.parse()) else {
        return;
    };
    let dialect = Dialect {
        version: 2 + (how >> 3 & 1),
        router_id: 51,
        addresses: vec![shared],
        auth,
        unicast: how & 16 != 0,
    };
    if let Ok(advert) = dialect.decode(packet, from, to, ttl) {
        // What was understood can be said again, and means the same.
        let again = dialect.encode(advert, from, to);
        let read = dialect
            .decode(&again, from, to, 255)
            .expect("our own advert");
        assert_eq!(
            (read.priority, read.counter),
            (advert.priority, advert.counter)
        );
    }
});
