//! Clients that take their time (slowloris and its kin). The defence of each is the key that its test makes short.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{BLOB, MIB, SOON, UPLOAD, node, patient, serves};
use crate::support::client::{Knock, Raw};
use crate::support::door::eventually;
use crate::support::frames::{END_STREAM, Frames, HEADERS, frame};

#[tokio::test(flavor = "multi_thread")]
async fn slow_head() {
    let origin = node(0);
    let door = patient(&origin, "head = \"1s\"");
    let mut attackers = Vec::new();
    for _ in 0..50 {
        let mut attacker = Raw::to(&door).await;
        assert!(attacker.say("GET /v2/ HTTP/1.1\r\nHost: a").await);
        attackers.push(attacker);
    }
    serves(&door).await;
    for attacker in &mut attackers {
        let said = attacker.rest().await;
        assert!(!said.starts_with(b"HTTP/1.1 2"), "{said:?}");
    }
}

/// A client that says nothing after its handshake, half a preface, half a header block. The defence: `poll_head` in
/// `net/gather.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn slow_head_over_http_2() {
    let origin = node(0);
    let door = patient(&origin, "head = \"1s\"");
    let knock = Knock::at(&door);
    let silent = Frames::silent(&knock).await;
    let mut half = Frames::silent(&knock).await;
    assert!(half.say(b"PRI * HTT").await);
    let mut open = Frames::to(&door).await;
    let stream = open.open();
    let head = open.head("GET", "/v2/");
    assert!(open.say(&frame(HEADERS, END_STREAM, stream, &head)).await);
    let mut idle = Frames::to(&door).await;
    for mut attacker in [silent, half, open] {
        assert!(attacker.gone(Duration::from_secs(20)).await.is_some());
    }
    assert!(idle.lives().await, "who owes nothing may wait");
    serves(&door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_body() {
    let origin = node(0);
    let door = patient(&origin, "body_idle = \"1s\"");
    let mut attacker = Raw::to(&door).await;
    let host = door.address;
    let head = format!("PATCH {UPLOAD} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\nabc");
    assert!(attacker.say(head).await);
    assert_eq!(attacker.answer("PATCH").await.status, 408);
    serves(&door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_read() {
    const SIZE: u64 = 32 * MIB;
    let origin = node(SIZE as usize);
    let door = patient(&origin, "body_idle = \"1s\"");
    let mut attacker = Raw::to(&door).await;
    let host = door.address;
    assert!(
        attacker
            .say(format!("GET {BLOB} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await
    );
    eventually("the door gives up", SOON, || {
        door.access().iter().any(|line| line["path"] == BLOB)
    });
    let got = attacker.rest().await.len() as u64;
    assert!(got < SIZE, "all of it was there");
    serves(&door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_handshakes() {
    let origin = node(0);
    let door = patient(&origin, "handshake = \"1s\"");
    let mut attackers = Vec::new();
    for _ in 0..200 {
        attackers.push(TcpStream::connect(door.address).await.unwrap());
    }
    serves(&door).await;
    for attacker in &mut attackers {
        let end = tokio::time::timeout(SOON, attacker.read(&mut [0; 100])).await;
        assert!(matches!(end.expect("an end"), Ok(0) | Err(_)));
    }
}
