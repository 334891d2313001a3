//! Leaving HTTP: only for websockets, and only once the node has said so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::Duration;

use crate::support::client::{Raw, get};
use crate::support::door::{Door, eventually};
use crate::support::origin::{Origin, Then, before};

fn wish(door: &Door, protocol: &str) -> String {
    format!(
        "GET /api/v2.0/jobs/log HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
         Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        door.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_passes_bytes_both_ways_after_101() {
    let origin = Origin::start(|talk| {
        talk.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n\r\n");
        talk.echo();
        Then::Close
    });
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    let answer = raw.ask(wish(&door, "websocket")).await;
    assert_eq!(answer.status, 101, "{}", answer.head);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("HSmrc0sMlYUkAGmm5OPpG2HaGWk=")
    );
    raw.say("HTTP/1.1 418 an echo\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 418);
    let heard = origin.only();
    assert_eq!(heard.header("upgrade"), Some("websocket"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_before_101_does_not_reach_a_node_that_refuses() {
    let origin = Origin::start(|talk| {
        talk.answer("403 Forbidden", "", "no");
        talk.wait();
        Then::Close
    });
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    raw.say(format!("{}\x01\x02early", wish(&door, "websocket")))
        .await;
    assert_eq!(raw.answer("GET").await.status, 403);
    drop(raw);
    drop(door);
    eventually("the node was hung up on", Duration::from_secs(5), || {
        origin.heard().len() == 1
    });
    assert!(origin.only().body.is_empty(), "{:?}", origin.only().body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_for_another_protocol_stays_at_the_door() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let door = before(&origin);
    for protocol in ["h2c", "foo", "websocket, h2c"] {
        let mut raw = Raw::to(&door).await;
        let answer = raw.ask(wish(&door, protocol)).await;
        assert_eq!(answer.status, 200, "{protocol}");
        let heard = origin.last();
        assert_eq!(heard.header("upgrade"), None, "{protocol}");
        assert_eq!(heard.header("connection"), None, "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_101_that_nobody_asked_for_is_no_answer() {
    let origin = Origin::start(|talk| {
        talk.say(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        talk.wait();
        Then::Close
    });
    let door = before(&origin);
    assert_eq!(get(&door, "/api/v2.0/systeminfo").await.status, 502);
}
