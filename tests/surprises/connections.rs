//! How long a node keeps a connection, and how bodies are framed on it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::client::{Raw, Two, get, request};
use crate::support::cluster::Cluster;
use crate::support::door::eventually;
use crate::support::harbor::Dialect;
use crate::support::origin::{End, Origin, Then, before, before_with};

const UPLOAD: &str = "/v2/library/app/blobs/uploads/5d3cbbd1-61a6-4a4b-8e1c-5f7a0b6f3a11?_state=x";
const BLOB: &str =
    "/v2/library/app/blobs/sha256:96f0b3f895dd2b387810047d256de70e7140b048e76f66a1fb4f058dbc333da2";

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_framed_for_the_node_as_the_client_framed_it() {
    let origin = Origin::start(|talk| {
        talk.hear_all();
        talk.answer("202 Accepted", "", "");
        Then::Next
    });
    let door = before(&origin);
    let head = format!("PATCH {UPLOAD} HTTP/1.1\r\nHost: a\r\n");
    let mut raw = Raw::to(&door).await;
    raw.ask(format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    ))
    .await;
    let heard = origin.last();
    assert_eq!(heard.all("transfer-encoding"), ["chunked"]);
    assert!(heard.all("content-length").is_empty());
    raw.ask(format!("{head}Content-Length: 5\r\n\r\nhello"))
        .await;
    let heard = origin.last();
    assert_eq!(heard.all("content-length"), ["5"]);
    assert!(heard.all("transfer-encoding").is_empty());
    let mut two = Two::to(&door).await;
    for (length, framing) in [(None, "transfer-encoding"), (Some("5"), "content-length")] {
        let mut request = two.request("PATCH", UPLOAD);
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let (answer, mut body) = two.open(request, false).await.unwrap();
        body.send_data("hello".into(), true).unwrap();
        assert_eq!(
            crate::support::client::read(answer).await.unwrap().status,
            202
        );
        let heard = origin.last();
        assert_eq!(heard.all(framing).len(), 1, "{}", heard.head);
        assert_eq!(heard.body, b"hello");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_node_closes_after_an_answer_is_not_used_again() {
    let origin = Origin::start(|talk| {
        talk.hear_all();
        talk.answer("200 OK", "Connection: close\r\n", "ok");
        Then::Close
    });
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    for _ in 0..20 {
        let answer = raw
            .ask("POST /api/v2.0/projects HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            .await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert_eq!(answer.header("connection"), None);
    }
    let connections: BTreeSet<usize> = origin.heard().iter().map(|h| h.connection).collect();
    assert_eq!(connections.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_closes_every_fifth_request_loses_none() {
    let cluster = Cluster::start_with(
        Dialect::Harbor2,
        1,
        |node| node.timing.requests_per_connection = 5,
        |_| {},
    )
    .await;
    let mut raw = Raw::to(&cluster.door).await;
    for _ in 0..50 {
        let post = raw
            .ask("POST /v2/library/app/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            .await;
        assert_eq!(post.status, 401, "{}", post.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_closes_idle_connections_loses_no_read() {
    // The worst of moments: right after an answer that promised to keep the connection.
    let origin = Origin::start(|talk| {
        talk.answer("200 OK", "", "ok");
        Then::Close
    });
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    for _ in 0..100 {
        let answer = raw.ask("GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(answer.status, 200, "{}", answer.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_before_the_node_would() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let door = before_with(&origin, |plan| {
        plan.more.push_str("[timeouts]\nnode_idle = \"300ms\"\n");
    });
    get(&door, "/v2/").await;
    let used = origin.only().connection;
    assert!(origin.is_open(used));
    eventually("it is closed", Duration::from_secs(5), || {
        !origin.is_open(used)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_401_leave_their_connection_open_for_the_next() {
    let origin = Origin::saying("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    let door = before(&origin);
    for _ in 0..10 {
        assert_eq!(get(&door, "/v2/").await.status, 401);
    }
    let connections: BTreeSet<usize> = origin.heard().iter().map(|h| h.connection).collect();
    assert_eq!(connections.len(), 1, "{connections:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_gives_up_on_a_stalled_body_is_an_error_for_the_client() {
    let cluster = Cluster::start_with(
        Dialect::Harbor2,
        1,
        |node| node.timing.body_stall = Duration::from_millis(300),
        |_| {},
    )
    .await;
    let mut raw = Raw::to(&cluster.door).await;
    let admin = crate::support::client::basic("admin", "Harbor12345");
    let answer = raw
        .ask(format!(
            "POST /v2/library/app/blobs/uploads/ HTTP/1.1\r\nHost: {}\r\n{admin}Content-Length: 0\r\n\r\n",
            cluster.door.address
        ))
        .await;
    assert_eq!(answer.status, 202, "{}", answer.head);
    let location = answer.header("location").unwrap();
    let target = location.strip_prefix(&cluster.door.url()).unwrap();
    let answer = raw
        .ask(format!(
            "PATCH {target} HTTP/1.1\r\nHost: {}\r\n{admin}Content-Length: 10\r\n\r\nhello",
            cluster.door.address
        ))
        .await;
    assert_eq!(answer.status, 503, "{}", answer.head);
    assert!(answer.text().contains("\"errors\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stalls_in_its_body_is_told_and_the_node_sees_it_broken() {
    let origin = Origin::start(|talk| {
        talk.hear_all();
        Then::Close
    });
    let door = before_with(&origin, |plan| {
        plan.more.push_str("[timeouts]\nbody_idle = \"300ms\"\n");
    });
    let mut raw = Raw::to(&door).await;
    let answer = raw
        .ask(format!(
            "PATCH {UPLOAD} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"
        ))
        .await;
    assert_eq!(answer.status, 408, "{}", answer.head);
    eventually("it is broken", Duration::from_secs(5), || {
        origin.only().end == End::Broken
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_falls_silent_in_a_blob_is_cut_off() {
    let origin = Origin::start(|talk| {
        talk.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        talk.wait();
        Then::Close
    });
    let door = before_with(&origin, |plan| {
        plan.more.push_str("[timeouts]\nstall = \"300ms\"\n");
    });
    let answer = request(&door, "GET", BLOB, "").await;
    assert_eq!((answer.status, answer.body.len()), (200, 5));
    assert!(!answer.whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_never_begins_its_answer_is_504() {
    let origin = Origin::start(|talk| {
        talk.wait();
        Then::Close
    });
    let door = before_with(&origin, |plan| {
        plan.more
            .push_str("[timeouts]\nfirst_byte = \"300ms\"\nfirst_byte_other = \"300ms\"\n");
    });
    for target in ["/v2/", "/api/v2.0/systeminfo"] {
        let answer = get(&door, target).await;
        assert_eq!(answer.status, 504, "{target}");
        assert!(answer.text().contains("\"errors\""), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_holds_little_and_serves_again() {
    const MANY: usize = 300;
    const MOST: u64 = 24 << 10;
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let door = before(&origin);
    let open = async |count| {
        let mut open = Vec::new();
        for _ in 0..count {
            let mut raw = Raw::to(&door).await;
            let answer = raw.ask("GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(answer.status, 200);
            open.push(raw);
        }
        open
    };
    // What the first ones cost is the program's, not theirs.
    let first = open(20).await;
    let before = door.memory();
    let mut idle = open(MANY).await;
    eventually("little is held", Duration::from_secs(20), || {
        door.memory().saturating_sub(before) < MOST * MANY as u64
    });
    for raw in &mut idle {
        let answer = raw.ask("GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }
    drop(first);
}
