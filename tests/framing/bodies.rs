//! Bodies that break off, and what comes around them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::Duration;

use bytes::Bytes;

use crate::support::client::{Raw, Two, get, read};
use crate::support::door::eventually;
use crate::support::origin::{End, Origin, Then, before};

const UPLOAD: &str = "/v2/library/app/blobs/uploads/5d3cbbd1-61a6-4a4b-8e1c-5f7a0b6f3a11?_state=x";
const BLOB: &str =
    "/v2/library/app/blobs/sha256:96f0b3f895dd2b387810047d256de70e7140b048e76f66a1fb4f058dbc333da2";

/// A node that reads uploads to their end.
fn reader() -> Origin {
    Origin::start(|talk| {
        talk.hear_all();
        match talk.request().end {
            End::Clean => talk.answer("202 Accepted", "", ""),
            _ => return Then::Close,
        }
        Then::Next
    })
}

fn ends(origin: &Origin, end: End) {
    eventually("the node saw the end", Duration::from_secs(10), || {
        origin.heard().last().is_some_and(|heard| heard.end == end)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_a_chunked_body_never_ends_it_for_the_node() {
    let origin = reader();
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    raw.say(format!(
        "PATCH {UPLOAD} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        door.address
    ))
    .await;
    eventually("the node hears it", Duration::from_secs(5), || {
        origin.heard().len() == 1
    });
    drop(raw);
    ends(&origin, End::Broken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_in_a_body_with_a_length_breaks_it_for_the_node() {
    let origin = reader();
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    raw.say(format!(
        "PATCH {UPLOAD} HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\r\nhello",
        door.address
    ))
    .await;
    eventually("the node hears it", Duration::from_secs(5), || {
        origin.heard().len() == 1
    });
    raw.reset();
    ends(&origin, End::Broken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_reset_in_its_body_breaks_it_for_the_node() {
    let origin = reader();
    let door = before(&origin);
    let mut two = Two::to(&door).await;
    let request = two.request("PATCH", UPLOAD);
    let (answer, mut body) = two.open(request, false).await.unwrap();
    body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    eventually("the node hears it", Duration::from_secs(5), || {
        origin.heard().len() == 1
    });
    body.send_reset(h2::Reason::CANCEL);
    ends(&origin, End::Broken);
    assert!(read(answer).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_shorter_than_it_announced_is_no_whole_body_for_the_node() {
    let origin = reader();
    let door = before(&origin);
    let mut two = Two::to(&door).await;
    let request = two.request("PATCH", UPLOAD).header("content-length", "100");
    let (answer, mut body) = two.open(request, false).await.unwrap();
    body.send_data(Bytes::from_static(b"hello"), true).unwrap();
    let _ = read(answer).await;
    eventually("no whole body", Duration::from_secs(5), || {
        origin.heard().iter().all(|heard| heard.end == End::Broken)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_chunk_is_400_and_never_a_whole_body_for_the_node() {
    let origin = reader();
    let door = before(&origin);
    for chunk in [
        "0x1\r\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "fffffffffffffffff\r\na\r\n0\r\n\r\n",
        "1;x\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
    ] {
        let mut raw = Raw::to(&door).await;
        let answer = raw
            .ask(format!(
                "PATCH {UPLOAD} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}",
                door.address
            ))
            .await;
        assert!(
            matches!(answer.status, 0 | 400),
            "{chunk:?}: {}",
            answer.head
        );
        assert!(raw.is_closed().await, "{chunk:?}");
        eventually("no whole body", Duration::from_secs(5), || {
            origin.heard().iter().all(|heard| heard.end == End::Broken)
        });
    }
}

fn breaking(head: &'static str) -> Origin {
    Origin::start(move |talk| {
        talk.say(head);
        Then::Close
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_in_a_blob_never_ends_it_for_the_client() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let origin = breaking(head);
        let door = before(&origin);
        let answer = get(&door, BLOB).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, b"hello");
        assert!(!answer.whole, "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_in_a_blob_resets_the_stream_of_the_client() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let origin = breaking(head);
        let door = before(&origin);
        let mut two = Two::to(&door).await;
        let request = two.request("GET", BLOB);
        match two.ask(request).await {
            Ok(answer) => {
                assert_eq!(answer.status, 200);
                assert!(answer.body.is_err(), "{head}");
            }
            // Head and reset may arrive as one, and then the client tells of the reset alone.
            Err(error) => assert!(error.is_reset(), "{head}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_an_answer_reach_both_kinds_of_clients() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let door = before(&origin);
    let two = Two::to(&door).await.get("/v2/").await;
    assert_eq!(two.body.unwrap(), b"ok");
    assert_eq!(two.trailers.unwrap()["x-sum"], "7");
    let more = "TE: trailers\r\n";
    let one = crate::support::client::request(&door, "GET", "/v2/", more).await;
    assert!(one.whole);
    assert_eq!(one.trailers.len(), 1, "{}", one.head);
    assert!(one.trailers[0].0.eq_ignore_ascii_case("x-sum"));
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_a_request_reach_the_node() {
    let origin = reader();
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    let answer = raw
        .ask(format!(
            "PATCH {UPLOAD} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
            door.address
        ))
        .await;
    assert_eq!(answer.status, 202);
    let heard = origin.only();
    assert_eq!(heard.body, b"ok");
    assert_eq!(heard.trailers.to_lowercase(), "x-sum: 7\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_100_gets_it_and_then_its_answer() {
    let origin = reader();
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    raw.say(format!(
        "PATCH {UPLOAD} HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        door.address
    ))
    .await;
    assert_eq!(raw.head().await.status, 100);
    raw.say("hello").await;
    assert_eq!(raw.answer("PATCH").await.status, 202);
    let heard = origin.only();
    assert_eq!(heard.header("expect"), None);
    assert_eq!(heard.body, b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_100_is_told_at_once_when_no_node_is_there() {
    let origin = reader();
    let mut plan = crate::support::door::Plan::fronting([origin.url()]);
    plan.nodes[0].1 = format!("http://{}", crate::support::ports::free());
    let door = crate::support::door::Door::start(&plan);
    let mut raw = Raw::to(&door).await;
    let answer = raw
        .ask(format!(
            "PATCH {UPLOAD} HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            door.address
        ))
        .await;
    assert_eq!(answer.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_of_a_node_do_not_stand_for_the_answer() {
    let origin = Origin::saying(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    raw.say(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", door.address))
        .await;
    let mut answer = raw.answer("GET").await;
    while answer.status < 200 {
        answer = raw.answer("GET").await;
    }
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_answer_behind_the_first_is_nobodys() {
    let origin = Origin::start(|talk| {
        if talk.request().target() == "/api/first" {
            talk.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nameHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        } else {
            talk.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine");
        }
        Then::Next
    });
    let door = before(&origin);
    for _ in 0..10 {
        assert_eq!(get(&door, "/api/first").await.text(), "ame");
        assert_eq!(get(&door, "/api/second").await.text(), "mine");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_length_ends_with_the_nodes_connection() {
    let origin = Origin::start(|talk| {
        talk.say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it");
        Then::Close
    });
    let door = before(&origin);
    let answer = get(&door, BLOB).await;
    assert!(answer.whole);
    assert_eq!(answer.text(), "all of it");
}
