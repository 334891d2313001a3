//! Windows that stay shut, and clients that do not read.

use super::{BLOB, MIB, SOON, node, patient, serves};
use crate::support::client::Knock;
use crate::support::door::eventually;
use crate::support::frames::{DATA, END_STREAM, Frame, Frames, HEADERS, RST_STREAM, window};
use crate::support::origin::before;

const WIDE: u32 = (1 << 31) - 1;

/// A stream whose window stays shut is reset, and its connection goes on. The defence: `poll_patience` in
/// `front/streams.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn window_stall() {
    let origin = node(64 << 10);
    let door = patient(&origin, "body_idle = \"1s\"");
    let mut attacker = Frames::with(&Knock::at(&door), 0).await;
    let (stalled, request) = attacker.get(BLOB);
    assert!(attacker.say(&request).await);
    let end = attacker.find(SOON, |frame| frame.kind == RST_STREAM).await;
    assert_eq!(end.expect("a reset").stream, stalled);
    assert!(attacker.lives().await);
    serves(&door).await;
    let (wide, mut request) = attacker.get(BLOB);
    request.extend(window(wide, 1 << 20));
    request.extend(window(0, 1 << 20));
    assert!(attacker.say(&request).await);
    let last = |frame: &Frame| frame.kind == DATA && frame.flags & END_STREAM != 0;
    assert_eq!(attacker.find(SOON, last).await.unwrap().stream, wide);
}

/// An answer that fits into one piece is all inside h2 when its window is shut; its connection ends. The defence: `stuck`
/// in `front/streams.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn window_stall_of_the_last_piece() {
    let origin = node(1000);
    let door = patient(&origin, "body_idle = \"1s\"");
    let mut attacker = Frames::with(&Knock::at(&door), 1).await;
    let (_, request) = attacker.get(BLOB);
    assert!(attacker.say(&request).await);
    assert!(attacker.gone(SOON).await.is_some());
}

/// As many answers as can be, with windows that let one byte through: each holds one piece. The defence: hyper asks a
/// body for its next piece only when h2 has the last one.
#[tokio::test(flavor = "multi_thread")]
async fn narrow_windows_hold_little() {
    held(1, 0, 8).await;
}

/// As many answers as can be, with windows as wide as can be, and nothing is read. The defence: `MOST` and `CEILING` in
/// `front/streams.rs`; most of what is left is what the connections to the nodes have read ahead.
#[tokio::test(flavor = "multi_thread")]
async fn wide_windows_hold_little() {
    held(WIDE, WIDE - 65_535, 24).await;
}

async fn held(stream_window: u32, connection_window: u32, most: u64) {
    const CONNECTIONS: u64 = 4;
    let origin = node(4 * MIB as usize);
    let door = before(&origin);
    serves(&door).await;
    let before = door.memory();
    let mut attackers = Vec::new();
    for number in 1..=CONNECTIONS {
        let mut attacker = Frames::with(&Knock::at(&door), stream_window).await;
        let mut requests = Vec::new();
        if connection_window > 0 {
            requests.extend(window(0, connection_window));
        }
        for _ in 0..100 {
            requests.extend(attacker.get(BLOB).1);
        }
        assert!(attacker.say(&requests).await);
        eventually("the node answers", SOON, || {
            origin.heard().len() as u64 > number * 100
        });
        attackers.push(attacker);
    }
    for attacker in &mut attackers {
        attacker.find(SOON, |frame| frame.kind == HEADERS).await;
    }
    serves(&door).await;
    let grown = door.memory().saturating_sub(before);
    println!("{} KiB a connection", grown / CONNECTIONS / 1024);
    assert!(grown < CONNECTIONS * most * MIB, "{grown} bytes more");
}
