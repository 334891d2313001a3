//! Heads that are larger than they look.

use super::{BLOB, MIB, SOON, node, serves};
use crate::support::client::{Knock, Two};
use crate::support::door::Door;
use crate::support::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, Frames, HEADERS, field, frame,
};
use crate::support::origin::before;

/// An empty `cookie` by the static table (RFC 7541, appendix A, 32).
const CRUMB: u8 = 0x80 | 32;

/// CVE-2024-27316, CVE-2023-45288. The defence: h2's own bound, which follows `max_header_list_size` in `front/serve.rs`,
/// and `IDLE` in `message/frames.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn continuation_flood() {
    let origin = node(0);
    let door = before(&origin);
    let before = door.memory();
    let mut attacker = Frames::to(&door).await;
    let stream = attacker.open();
    let head = attacker.head("GET", "/v2/");
    assert!(
        attacker
            .say(&frame(HEADERS, END_STREAM, stream, &head))
            .await
    );
    let more = frame(CONTINUATION, 0, stream, &field("x-more", &"x".repeat(1000)));
    let mut said = 0;
    while said < 10_000 && attacker.say(&more).await {
        said += 1;
    }
    assert!(said < 10_000, "all of them were taken");
    serves(&door).await;
    let grown = door.memory().saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes more");
}

/// Every field of HTTP/2 counts. The defence: the count in `front/judge.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_crumbs_are_431() {
    let origin = node(0);
    let door = before(&origin);
    let mut client = Two::to(&door).await;
    for (crumbs, status) in [(90, 202), (101, 431), (400, 431)] {
        let mut request = client.request("GET", "/v2/library/app/tags/list");
        for _ in 0..crumbs {
            request = request.header("cookie", "a=b");
        }
        let answer = client.ask(request).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{crumbs} crumbs");
    }
    assert_eq!(origin.heard().len(), 1);
}

/// CVE-2026-49975, CVE-2026-47774. One byte makes a field; the answers cannot leave. The defence: the count in
/// `front/judge.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn http2_bomb() {
    const CONNECTIONS: u64 = 10;
    let origin = node(MIB as usize);
    let door = before(&origin);
    serves(&door).await;
    // What the first one leaves behind, the allocator keeps for the others.
    let mut attackers = vec![bomb(&door).await];
    let before = door.memory();
    for _ in 0..CONNECTIONS {
        attackers.push(bomb(&door).await);
    }
    serves(&door).await;
    let grown = door.memory().saturating_sub(before);
    println!("{} KiB a connection", grown / CONNECTIONS / 1024);
    assert!(grown < 2 * CONNECTIONS * MIB, "{grown} bytes more");
    assert!(origin.heard().iter().all(|heard| heard.target() != BLOB));
}

async fn bomb(door: &Door) -> Frames {
    let mut attacker = Frames::with(&Knock::at(door), 0).await;
    let mut bomb = Vec::new();
    for _ in 0..200 {
        let stream = attacker.open();
        let mut head = attacker.head("GET", BLOB);
        head.extend([CRUMB; 400]);
        bomb.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
    }
    attacker.say(&bomb).await;
    attacker.find(SOON, |frame| frame.kind == HEADERS).await;
    attacker
}
