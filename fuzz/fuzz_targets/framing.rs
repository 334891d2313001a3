//! Bytes of HTTP/1 connections: however they are cut into pieces, the flaw is the same, and what passes has the one length
//! that hyper's reader of heads finds, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::message::framing::Framing;

/// What became of `bytes` that came in pieces of `size`, and whether they were whole requests.
fn followed(bytes: &[u8], size: usize) -> (Vec<u8>, bool) {
    let (mut framing, mut bytes) = (Framing::default(), bytes.to_vec());
    bytes
        .chunks_mut(size)
        .for_each(|piece| framing.read(piece, true));
    (bytes, framing.is_between())
}

fn number(value: &[u8]) -> usize {
    let text = std::str::from_utf8(value).expect("digits");
    text.trim().parse().expect("a length that was let through")
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, bytes)) = bytes.split_first() else {
        return;
    };
    let (whole, between) = followed(bytes, bytes.len().max(1));
    assert_eq!(
        followed(bytes, usize::from(size).max(1)),
        (whole.clone(), between)
    );
    let changed = whole
        .iter()
        .zip(bytes)
        .filter(|(after, before)| after != before);
    assert!(
        changed.count() <= 1,
        "one byte is poisoned, and nothing else touched"
    );

    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(head)) = request.parse(&whole) else {
        return;
    };
    if whole != bytes {
        return;
    }
    let all = |name: &'static str| {
        request
            .headers
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
    };
    let lengths: Vec<usize> = all("content-length")
        .map(|field| number(field.value))
        .collect();
    let codings = all("transfer-encoding").count();
    assert!(lengths.len() + codings <= 1, "two lengths were let through");
    assert!(
        !request.path.unwrap_or_default().contains('#'),
        "a fragment was let through"
    );
    if codings == 1 || all("upgrade").next().is_some() {
        return;
    }
    // The body is as long as both say: before its end nobody is between requests, at its end everybody is.
    let end = head + lengths.first().copied().unwrap_or(0).min(1 << 16);
    let mut request = whole[..head].to_vec();
    request.resize(end, b'\n');
    assert!(lengths.first().is_some_and(|length| *length > 1 << 16) || followed(&request, end).1);
    assert!(!followed(&request, end).0.contains(&0) || bytes[..head].contains(&0));
    assert!(end == head || !followed(&request[..end - 1], end).1);
});
