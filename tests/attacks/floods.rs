//! Frames that carry nothing, by the thousand.

use std::time::Duration;

use bytes::Bytes;

use super::{BLOB, MIB, SOON, UPLOAD, node, serves};
use crate::support::client::{Two, read};
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, Frames, Gone, HEADERS, PING, PRIORITY,
    SETTINGS, frame, window,
};
use crate::support::origin::before;

/// Says one thing 20,000 times; the door says that it is enough, and others are served.
async fn flood(what: impl Fn(&mut Frames) -> Vec<u8>) {
    let origin = node(0);
    let door = before(&origin);
    let before = door.memory();
    let mut attacker = Frames::to(&door).await;
    let frames = what(&mut attacker).repeat(100);
    for _ in 0..200 {
        if !attacker.say(&frames).await {
            break;
        }
    }
    let gone = attacker.gone(SOON).await;
    assert_eq!(gone, Some(Gone::Told(ENHANCE_YOUR_CALM)));
    serves(&door).await;
    let grown = door.memory().saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes more");
}

/// CVE-2019-9512. The defence of this and what follows: `IDLE` in `message/frames.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn ping_flood() {
    flood(|_| frame(PING, 0, 0, b"flooding")).await;
}

/// CVE-2019-9515.
#[tokio::test(flavor = "multi_thread")]
async fn settings_flood() {
    flood(|_| frame(SETTINGS, 0, 0, &[])).await;
}

/// CVE-2019-9513.
#[tokio::test(flavor = "multi_thread")]
async fn priority_flood() {
    flood(|_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16])).await;
}

/// CVE-2019-9511, the client's side of it.
#[tokio::test(flavor = "multi_thread")]
async fn window_flood() {
    flood(|_| window(0, 1)).await;
}

fn upload(attacker: &mut Frames) -> (u32, Vec<u8>) {
    let stream = attacker.open();
    let head = attacker.head("PATCH", UPLOAD);
    (stream, frame(HEADERS, END_HEADERS, stream, &head))
}

/// Bytes of a body that come one by one. The defence: h2's own budget for what nobody reads, and `IDLE`.
#[tokio::test(flavor = "multi_thread")]
async fn small_frames() {
    flood(|attacker| {
        let (stream, mut bytes) = upload(attacker);
        for _ in 0..100 {
            bytes.extend(frame(DATA, 0, stream, b"x"));
        }
        bytes
    })
    .await;
}

/// CVE-2019-9518. The defence: h2's own bound of a hundred.
#[tokio::test(flavor = "multi_thread")]
async fn empty_data() {
    let origin = node(0);
    let door = before(&origin);
    let mut attacker = Frames::to(&door).await;
    let (stream, head) = upload(&mut attacker);
    assert!(attacker.say(&head).await);
    attacker.say(&frame(DATA, 0, stream, &[]).repeat(500)).await;
    let gone = attacker.gone(SOON).await;
    assert_eq!(gone, Some(Gone::Told(ENHANCE_YOUR_CALM)));
    serves(&door).await;
}

/// What Go's clients do beside their work: a piece as small as the program wrote it, a ping, a window.
#[tokio::test(flavor = "multi_thread")]
async fn a_chatty_but_honest_push_passes() {
    const PIECES: usize = 1800;
    let origin = node(0);
    let door = before(&origin);
    let mut pusher = Frames::to(&door).await;
    let (stream, head) = upload(&mut pusher);
    assert!(pusher.say(&head).await);
    for _ in 0..PIECES / 10 {
        let mut some = frame(DATA, 0, stream, &[b'x'; 1024]).repeat(10);
        some.extend(frame(PING, 0, 0, b"and I am").repeat(8));
        some.extend(window(0, 1));
        assert!(pusher.say(&some).await);
    }
    assert!(pusher.say(&frame(DATA, END_STREAM, stream, &[])).await);
    let answer = |frame: &Frame| frame.kind == DATA;
    let answer = pusher.find(SOON, answer).await.expect("an answer");
    assert_eq!(answer.payload, (PIECES * 1024).to_string().as_bytes());
}

/// h2 before 0.4.14 lost the windows of uploads that ended early. The defence: its version.
#[tokio::test(flavor = "multi_thread")]
async fn capacity_leak() {
    aborted_uploads(300, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lasts five minutes"]
async fn capacity_leak_of_ten_thousand() {
    aborted_uploads(10_000, Duration::from_millis(28)).await;
}

/// Uploads that are taken back, five times as many bytes as the connection's window, then one at full speed.
async fn aborted_uploads(count: usize, pause: Duration) {
    let origin = node(0);
    let door = before(&origin);
    let mut client = Two::to(&door).await;
    let piece = Bytes::from(vec![7; 64 << 10]);
    for _ in 0..count {
        let request = client.request("POST", UPLOAD);
        let (_answer, mut body) = client.open(request, false).await.expect("a stream");
        send(&mut body, piece.clone(), false).await;
        body.send_reset(h2::Reason::CANCEL);
        tokio::time::sleep(pause).await;
    }
    let request = client.request("PATCH", UPLOAD);
    let (answer, mut body) = client.open(request, false).await.expect("a stream");
    for _ in 0..128 {
        send(&mut body, piece.clone(), false).await;
    }
    send(&mut body, Bytes::new(), true).await;
    let answer = read(answer).await.expect("an answer");
    assert_eq!(answer.body.unwrap(), (8 * MIB).to_string().as_bytes());
    assert_eq!(client.get(BLOB).await.status, 200);
}

/// Sends as the windows allow, or not at all when the stream has ended.
async fn send(body: &mut h2::SendStream<Bytes>, mut piece: Bytes, end: bool) {
    while !piece.is_empty() {
        body.reserve_capacity(piece.len());
        let room = std::future::poll_fn(|cx| body.poll_capacity(cx));
        let room = tokio::time::timeout(Duration::from_secs(20), room).await;
        match room.expect("a window") {
            Some(Ok(room)) => {
                let some = piece.split_to(room.min(piece.len()));
                if body.send_data(some, end && piece.is_empty()).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
    if end && piece.is_empty() {
        let _ = body.send_data(Bytes::new(), true);
    }
}
