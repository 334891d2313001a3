//! Clients that leave at every point of a conversation.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::{BLOB, UPLOAD, node, serves};
use crate::support::client::{Raw, request};
use crate::support::door::Door;
use crate::support::origin::{Origin, Then, before};

/// Whoever comes next on a connection to the node gets its own answer. The defence: a connection goes back to its pool
/// at the last byte alone (`proxy/body.rs`).
#[tokio::test(flavor = "multi_thread")]
async fn abandoned_at_every_byte() {
    let origin = Origin::start(|talk| {
        talk.hear_all();
        let target = talk.request().target().to_owned();
        talk.answer("200 OK", "", &target.repeat(1000));
        Then::Next
    });
    let door = before(&origin);
    let host = door.address;
    let whole = format!(
        "PATCH {UPLOAD} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    for end in (1..=whole.len()).step_by(7).chain([whole.len()]) {
        let mut raw = Raw::to(&door).await;
        raw.say(&whole[..end]).await;
        if end == whole.len() {
            raw.head().await;
        }
        raw.reset();
        let target = format!("/v2/library/app/manifests/{end}");
        let answer = request(&door, "GET", &target, "").await;
        assert_eq!(answer.text(), target.repeat(1000), "after {end} bytes");
    }
}

/// Seconds of processor time so far.
fn used(door: &Door) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", door.pid())).unwrap();
    let after = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<&str> = after.split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// CVE-2024-45506 and hyper 1.10.1: a side that is shut, and a loop that spins on it. The defence: versions, and
/// `half_close(false)`.
#[tokio::test(flavor = "multi_thread")]
async fn busy_loops() {
    let origin = node(8 << 20);
    let door = before(&origin);
    let host = door.address;
    let mut held = Vec::new();
    for said in [
        String::new(),
        "GET /v2/ HT".to_owned(),
        format!("GET /v2/slow HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("GET {BLOB} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        format!("PATCH {UPLOAD} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\nabc"),
        format!(
            "PATCH {UPLOAD} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"
        ),
    ] {
        for closes in [true, false] {
            let mut raw = Raw::to(&door).await;
            raw.say(&said).await;
            if closes {
                let _ = raw.stream.shutdown().await;
            }
            held.push(raw);
        }
    }
    serves(&door).await;
    let before = used(&door);
    let pause = tokio::time::Instant::now() + Duration::from_secs(2);
    while tokio::time::Instant::now() < pause {
        serves(&door).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let spent = used(&door) - before;
    assert!(spent < 1.0, "{spent} s of two");
}
