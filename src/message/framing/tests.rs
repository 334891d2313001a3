#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

/// What became of `text` when it came in pieces of `size`.
fn followed(text: &str, size: usize) -> (Vec<u8>, Framing) {
    let mut framing = Framing::default();
    let mut bytes = text.as_bytes().to_vec();
    for piece in bytes.chunks_mut(size) {
        framing.read(piece, true);
    }
    (bytes, framing)
}

/// The place of the flaw, however the text comes in pieces.
fn flaw(text: &str) -> Option<usize> {
    let place = |size| {
        followed(text, size)
            .0
            .iter()
            .position(|byte| *byte == POISON)
    };
    let whole = place(text.len());
    for size in 1..text.len() {
        assert_eq!(place(size), whole, "in pieces of {size}: {text:?}");
    }
    whole
}

fn request(fields: &str, body: &str) -> String {
    format!("POST /v2/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

#[test]
fn what_is_read_in_one_way_is_left_alone() {
    for text in [
        request("", ""),
        request("Content-Length: 3\r\n", "a\n#"),
        request(
            "Transfer-Encoding: Chunked\r\n",
            "3;x=y\r\n\n\n#\r\nA \r\n0123456789\r\n0\r\nX-Sum: #\r\n\r\n",
        ),
        request(
            "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
            "",
        ),
        "\r\n\r\nGET / HTTP/1.0\r\n\r\n".to_owned(),
    ] {
        let twice = format!("{text}{text}");
        assert_eq!(flaw(&twice), None, "{text:?}");
        assert!(followed(&twice, 7).1.is_between(), "{text:?}");
    }
}

#[test]
fn a_line_that_ends_with_a_line_feed_alone_is_a_flaw() {
    assert_eq!(flaw("GET / HTTP/1.1\nHost: a\n\n"), Some(14));
    assert_eq!(flaw("GET / HTTP/1.1\r\nHost: a\n\r\n"), Some(23));
    assert_eq!(flaw("GET / HTTP/1.1\r\nHost: a\r\n\n"), Some(25));
    assert_eq!(flaw("\nGET / HTTP/1.1\r\n\r\n"), Some(0));
    assert_eq!(flaw("\rGET / HTTP/1.1\r\n\r\n"), Some(16));
}

#[test]
fn a_fragment_in_the_target_is_a_flaw() {
    assert_eq!(flaw("GET /v2/#/api HTTP/1.1\r\nHost: a\r\n\r\n"), Some(8));
}

#[test]
fn a_body_with_two_lengths_is_a_flaw() {
    for fields in [
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nX: y\r\ncontent-length:3\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Content-Length:                                                                  3\r\n",
    ] {
        let text = request(fields, "");
        let place = flaw(&text).unwrap();
        assert!(place < text.len() - 2, "{fields:?}: before the head ends");
    }
}

#[test]
fn a_chunk_that_does_not_begin_or_end_as_it_must_is_a_flaw() {
    for body in [
        "3\nabc\r\n",
        "0x3\r\nabc",
        "3;x\nabc",
        "g\r\n",
        "\r\n",
        "3\r\nabcd\r\n",
        "3 3\r\nabc",
        "11111111111111111\r\n",
    ] {
        let text = request("Transfer-Encoding: chunked\r\n", body);
        assert!(flaw(&text).is_some(), "{body:?}");
    }
    let text = request("Transfer-Encoding: chunked\r\n", "0\r\nX: y\n\r\n");
    assert!(flaw(&text).is_some());
}

#[test]
fn the_next_request_is_found_behind_a_body() {
    let second = "GET /#x HTTP/1.1\r\n\r\n";
    for first in [
        request("Content-Length: 5\r\n", "hello"),
        request("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        assert_eq!(flaw(&format!("{first}{second}")), Some(first.len() + 5));
    }
}

/// A request that wishes to leave HTTP.
fn leaves() -> String {
    request("Connection: Upgrade\r\nUpgrade: websocket\r\n", "")
}

#[test]
fn what_comes_in_a_tunnel_is_nobodys_request() {
    let (_, mut framing) = followed(&leaves(), 9);
    let mut bytes = b"GET /#x HTTP/1.1\n\n".to_vec();
    framing.read(&mut bytes, true);
    assert_eq!(bytes, b"GET /#x HTTP/1.1\n\n");
}

#[test]
fn after_a_tunnel_that_was_refused_the_next_request_is_read() {
    let (_, mut framing) = followed(&leaves(), 9);
    let mut bytes = b"GET /#x HTTP/1.1\r\n\r\n".to_vec();
    framing.read(&mut bytes, false);
    assert_eq!(bytes[5], POISON);
}

#[test]
fn what_was_said_into_a_tunnel_that_was_refused_is_never_a_request() {
    let (_, mut framing) = followed(&leaves(), 9);
    framing.read(&mut b"GET / HT".to_vec(), true);
    let mut bytes = b"TP/1.1\r\n\r\n".to_vec();
    framing.read(&mut bytes, false);
    assert_eq!(bytes[0], POISON);
}

proptest! {
    #[test]
    fn pieces_change_nothing(text in "(GET|POST) /[#a]? HTTP/1.1\r?\n((Content-Length|Transfer-Encoding|Upgrade|X): ?(3|chunked|abc)\r?\n){0,4}\r?\n[0-9a\r\n]{0,12}", size in 1..9usize) {
        let (whole, one) = followed(&text, text.len());
        let (pieces, other) = followed(&text, size);
        prop_assert_eq!(whole, pieces);
        prop_assert_eq!(one.at, other.at);
    }

    #[test]
    fn anything_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1..40usize, busy: bool) {
        let mut framing = Framing::default();
        let mut bytes = bytes;
        for piece in bytes.chunks_mut(size) {
            framing.read(piece, busy);
        }
    }
}
