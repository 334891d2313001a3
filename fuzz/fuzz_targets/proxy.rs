//! Headers of the PROXY protocol: their beginnings are never refused, and what follows them is nobody's business.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::net::proxy_protocol::parse::header;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(found)) = header(bytes) else {
        return;
    };
    assert!((8..=bytes.len()).contains(&found.length));
    let (known, _) = bytes.split_at(found.length);
    for end in (0..found.length).rev().take(64) {
        assert!(
            matches!(header(&known[..end]), Ok(None)),
            "a beginning was judged: {end}"
        );
    }
    let more = [known, b"GET / HTTP/1.1\r\n"].concat();
    assert_eq!(header(&more).ok().flatten(), Some(found));
});
