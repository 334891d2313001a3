//! `Content-Range` of nodes: what is believed is within the whole, and can be asked for.
#![no_main]

use http::header::CONTENT_RANGE;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use seawall::message::range::{asking, part};

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let mut headers = HeaderMap::from_iter([(CONTENT_RANGE, value.clone())]);
    let Some(found) = part(&headers) else {
        return;
    };
    assert!(found.bytes.start < found.bytes.end && found.bytes.end <= found.total);
    let asked = asking(&found.bytes).expect("bytes to ask for");
    let asked = asked.to_str().expect("text").replace('=', " ");
    let said = HeaderValue::from_str(&format!("{asked}/{}", found.total)).expect("text");
    assert_eq!(
        part(&HeaderMap::from_iter([(CONTENT_RANGE, said)])),
        Some(found)
    );
    headers.append(CONTENT_RANGE, value);
    assert_eq!(part(&headers), None, "two are none");
});
