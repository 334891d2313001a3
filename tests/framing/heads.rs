//! Heads that can be read in two ways.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use crate::support::client::{Answer, Raw, get};
use crate::support::door::Door;
use crate::support::origin::{Origin, before};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn say(door: &Door, text: &[u8]) -> (Raw, Answer) {
    let mut raw = Raw::to(door).await;
    let host = door.address.to_string();
    let mut bytes = Vec::new();
    for piece in text.split_inclusive(|byte| *byte == b'T') {
        bytes.extend_from_slice(piece);
        if bytes.ends_with(b"HOST") {
            bytes.truncate(bytes.len() - 4);
            bytes.extend_from_slice(host.as_bytes());
        }
    }
    raw.say(bytes).await;
    let answer = raw.answer("GET").await;
    (raw, answer)
}

/// Every one of `requests` is answered with `status`, the connection is closed, and the node hears nothing.
async fn all_refused(status: u16, requests: &[(&str, &[u8])]) {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    for (name, text) in requests {
        let (mut raw, answer) = say(&door, text).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.head);
        assert!(raw.is_closed().await, "{name}: left open");
        assert!(origin.heard().is_empty(), "{name}: {:?}", origin.heard());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_name_exactly_one_host_is_refused() {
    all_refused(
        400,
        &[
            ("no host", b"GET /v2/ HTTP/1.1\r\n\r\n"),
            ("an empty host", b"GET /v2/ HTTP/1.1\r\nHost:\r\n\r\n"),
            (
                "the same host twice",
                b"GET /v2/ HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n",
            ),
            (
                "two hosts",
                b"GET /v2/ HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n",
            ),
            (
                "another host in the target",
                b"GET https://evil.example/v2/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
            ),
            (
                "a path in the host",
                b"GET /v2/ HTTP/1.1\r\nHost: a/b?c\r\n\r\n",
            ),
            (
                "a user in the host",
                b"GET /v2/ HTTP/1.1\r\nHost: me@HOST\r\n\r\n",
            ),
            (
                "a space in the host",
                b"GET /v2/ HTTP/1.1\r\nHost: a b\r\n\r\n",
            ),
            (
                "two hosts in one line",
                b"GET /v2/ HTTP/1.1\r\nHost: a, b\r\n\r\n",
            ),
            (
                "a port that is none",
                b"GET /v2/ HTTP/1.1\r\nHost: a:80x\r\n\r\n",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_whose_length_can_be_read_in_two_ways_is_refused() {
    all_refused(
        400,
        &[
            (
                "two lengths",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            ),
            (
                "two lengths in a line",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3, 3\r\n\r\nabc",
            ),
            (
                "a sign",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nContent-Length: +3\r\n\r\nabc",
            ),
            (
                "xchunked",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            ),
            (
                "identity",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\na",
            ),
            (
                "chunked, identity",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            ),
            (
                "the same length twice",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            ),
            (
                "a length, then chunks",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nContent-Length: 38\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /behind HTTP/1.1\r\nHost: HOST\r\n\r\n",
            ),
            (
                "chunks, then a length",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 38\r\n\r\n0\r\n\r\nGET /behind HTTP/1.1\r\nHost: HOST\r\n\r\n",
            ),
            (
                "chunked, chunked",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            ),
            (
                "chunked in two lines",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
            (
                "chunked in HTTP/1.0",
                b"POST /api/x HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
            (
                "a folded line",
                b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_line_is_refused() {
    all_refused(
        400,
        &[
            ("line feeds alone", b"GET /v2/ HTTP/1.1\nHost: HOST\n\n"),
            (
                "a line feed alone behind a field",
                b"GET /v2/ HTTP/1.1\r\nHost: HOST\n\r\n",
            ),
            (
                "a fragment",
                b"GET /v2/#/api HTTP/1.1\r\nHost: HOST\r\n\r\n",
            ),
            ("a tab", b"GET\t/v2/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
            ("two spaces", b"GET  /v2/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
            ("version 1.9", b"GET /v2/ HTTP/1.9\r\nHost: HOST\r\n\r\n"),
            (
                "raw bytes",
                b"GET /v2/\xc3\xa4 HTTP/1.1\r\nHost: HOST\r\n\r\n",
            ),
            ("a tunnel", b"CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n"),
            (
                "no path",
                b"OPTIONS * HTTP/1.1\r\nHost: HOST\r\nX: \0\r\n\r\n",
            ),
            (
                "a space before the colon",
                b"GET /v2/ HTTP/1.1\r\nHost: HOST\r\nX-A : b\r\n\r\n",
            ),
            (
                "a space in a name",
                b"GET /v2/ HTTP/1.1\r\nHost: HOST\r\nX A: b\r\n\r\n",
            ),
            (
                "a carriage return",
                b"GET /v2/ HTTP/1.1\r\nHost: HOST\r\nX-A: b\rc\r\n\r\n",
            ),
            (
                "a zero byte",
                b"GET /v2/ HTTP/1.1\r\nHost: HOST\r\nX-A: b\0c\r\n\r\n",
            ),
            (
                "a folded line",
                b"GET /v2/ HTTP/1.1\r\nHost: HOST\r\nX-A: b\r\n c\r\n\r\n",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_means_two_things_is_refused() {
    all_refused(
        400,
        &[
            (
                "a climb",
                b"GET /v2/../api/v2.0/ping HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
            ),
            (
                "a hidden climb",
                b"GET /v2/..%2fapi/v2.0/ping HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
            ),
            (
                "a double slash",
                b"GET //api/v2.0/ping HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
            ),
            (
                "a backslash",
                b"GET /v2\\..\\api HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_other_than_100_continue_is_417() {
    all_refused(
        417,
        &[
            ("another", b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nExpect: y\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            ("more", b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nExpect: y 100-continue\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            ("a second", b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\nExpect: y\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_with_too_many_lines_is_431() {
    let mut request = b"GET /v2/ HTTP/1.1\r\nHost: HOST\r\n".to_vec();
    for number in 0..100 {
        request.extend_from_slice(format!("X-{number}: a\r\n").as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    all_refused(431, &[("101 lines", &request)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_another_coding_is_501() {
    all_refused(
        501,
        &[(
            "gzip, chunked",
            b"POST /api/x HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        )],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flaw_in_a_later_request_of_a_connection_is_refused_too() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let host = door.address;
    let mut raw = Raw::to(&door).await;
    for body in [
        "Content-Length: 3\r\n\r\na#\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\na#\n\r\n0\r\n\r\n",
    ] {
        raw.say(format!("POST /api/x HTTP/1.1\r\nHost: {host}\r\n{body}"))
            .await;
        assert_eq!(raw.answer("POST").await.status, 200);
        assert_eq!(origin.last().body, b"a#\n");
    }
    raw.say(format!("GET /v2/ HTTP/1.1\nHost: {host}\r\n\r\n"))
        .await;
    assert_eq!(raw.answer("GET").await.status, 400);
    assert!(raw.is_closed().await);
    assert_eq!(origin.heard().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_a_node_could_take_for_another_do_not_reach_it() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let more = "X_Forwarded_For: 1.2.3.4\r\nX.Real.IP: 1.2.3.4\r\nX-Fine: yes\r\n";
    crate::support::client::request(&door, "GET", "/v2/", more).await;
    let heard = origin.only();
    assert_eq!(heard.header("x-fine"), Some("yes"));
    assert!(!heard.head.contains("1.2.3.4"), "{}", heard.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_cannot_take_away_what_a_node_needs() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    let answer = raw
        .ask(format!(
            "POST /api/v2.0/x HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic YTpi\r\nContent-Length: 3\r\nX-Mine: a\r\n\
             Connection: close, content-length, authorization, x-forwarded-proto, host, x-mine\r\n\r\nabc",
            door.address
        ))
        .await;
    assert_eq!(answer.status, 200);
    let heard = origin.only();
    assert_eq!(heard.header("content-length"), Some("3"));
    assert_eq!(heard.header("authorization"), Some("Basic YTpi"));
    assert_eq!(heard.header("x-forwarded-proto"), Some("https"));
    assert_eq!(heard.header("x-mine"), None);
    assert_eq!(heard.body, b"abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_with_a_body_leaves_no_second_request_behind() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    let host = door.address;
    let hidden = format!("GET /behind HTTP/1.1\r\nHost: {host}\r\n\r\n");
    raw.say(format!(
        "POST /v1/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{hidden}",
        hidden.len()
    ))
    .await;
    assert_eq!(raw.answer("POST").await.status, 404);
    raw.say(format!(
        "GET /next HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    ))
    .await;
    raw.rest().await;
    let targets: Vec<String> = origin
        .heard()
        .iter()
        .map(|heard| heard.target().to_owned())
        .collect();
    assert!(!targets.contains(&"/behind".to_owned()), "{targets:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_is_answered_and_hung_up_on() {
    let origin = Origin::start(|talk| {
        talk.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        crate::support::origin::Then::Next
    });
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    raw.say("GET /v2/ HTTP/1.0\r\n\r\n").await;
    let answer = raw.head().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(raw.rest().await, b"ok");
    assert_eq!(get(&door, "/v2/").await.text(), "ok");
}
