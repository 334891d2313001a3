//! Requests that are taken back, by the client or by its making us do so.

use super::{SOON, node, serves};
use crate::support::door::eventually;
use crate::support::frames::{
    END_HEADERS, ENHANCE_YOUR_CALM, Frames, Gone, HEADERS, frame, reset, window,
};
use crate::support::origin::before;

/// CVE-2023-44487. The defence: `UNSEEN` in `front/serve.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn rapid_reset() {
    let origin = node(0);
    let door = before(&origin);
    let mut attacker = Frames::to(&door).await;
    for _ in 0..100 {
        let mut burst = Vec::new();
        for _ in 0..100 {
            let (stream, request) = attacker.get("/v2/slow/manifests/latest");
            burst.extend(request);
            burst.extend(reset(stream));
        }
        if !attacker.say(&burst).await {
            break;
        }
    }
    let gone = attacker.gone(SOON).await;
    assert_eq!(gone, Some(Gone::Told(ENHANCE_YOUR_CALM)));
    serves(&door).await;
    let heard = origin.heard().len();
    assert!(heard < 200, "{heard} requests reached the node");
}

/// The same by somebody who waits until each request has begun. The defence: `RESETS` in `message/frames.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn rapid_reset_of_requests_that_have_begun() {
    let origin = node(0);
    let door = before(&origin);
    let mut attacker = Frames::to(&door).await;
    let mut rounds = 0;
    loop {
        let (mut requests, mut resets) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let (stream, request) = attacker.get("/v2/slow/manifests/latest");
            requests.extend(request);
            resets.extend(reset(stream));
        }
        rounds += 1;
        assert!(rounds < 1000, "10,000 resets were taken");
        if !attacker.say(&requests).await || !attacker.lives().await {
            break;
        }
        attacker.say(&resets).await;
    }
    println!("{} resets", rounds * 10);
    serves(&door).await;
    eventually("the log says so", SOON, || {
        door.said("too many requests that were taken back")
    });
}

/// CVE-2025-8671. The defence: `BROKEN` in `front/serve.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn made_you_reset() {
    let origin = node(0);
    let door = before(&origin);
    let mut attacker = Frames::to(&door).await;
    for _ in 0..600 {
        let stream = attacker.open();
        let head = attacker.head("POST", "/v2/slow/blobs/uploads/");
        let mut bytes = frame(HEADERS, END_HEADERS, stream, &head);
        // More than a window can hold (RFC 9113 §6.9.1).
        bytes.extend(window(stream, (1 << 31) - 1));
        if !attacker.say(&bytes).await {
            break;
        }
    }
    let gone = attacker.gone(SOON).await;
    assert_eq!(gone, Some(Gone::Told(ENHANCE_YOUR_CALM)));
    serves(&door).await;
    let heard = origin.heard().len();
    assert!(heard < 300, "{heard} requests reached the node");
}
