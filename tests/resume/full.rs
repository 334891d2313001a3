//! A download goes on at a node that has no room.

use std::sync::atomic::AtomicBool;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_at_a_node_that_is_full_although_nobody_else_gets_in() {
    let blob = Blob::new(1 << 20);
    let go = Arc::new(AtomicBool::new(false));
    let script = {
        let (blob, go) = (blob.clone(), go.clone());
        move |talk: &mut Talk<'_>, turn: usize| match turn {
            0 => {
                blob.serve(talk, 1 << 19);
                while !go.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Then::Reset
            }
            1..=7 => {
                blob.serve(talk, 1 << 19);
                talk.wait();
                Then::Close
            }
            _ => {
                blob.serve(talk, usize::MAX);
                Then::Next
            }
        }
    };
    let origins: [Origin; 2] = nodes(script);
    // Four pulls at each node.
    let limits = "stall = \"20s\"\n[limits]\nnode_requests = 8\nqueue = 0\nqueue_wait = \"200ms\"\n\
                  shares = { talk = 25, push = 25, pull = 25 }\n";
    let mut plan = Plan::fronting(origins.iter().map(Origin::url));
    plan.more += &format!("[timeouts]\n{limits}");
    let door = Door::start(&plan);
    door.settled();
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut raw = Raw::to(&door).await;
        let host = door.address;
        let path = blob.path();
        raw.say(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        held.push(raw);
        eventually("it has a place", SOON, || {
            let at = |name: &str| door.node(name)["in_flight"].as_u64().unwrap();
            at("harbor-1") + at("harbor-2") == held.len() as u64
        });
    }
    assert_eq!(pull(&door, &blob.path(), "").await.status, 503);
    go.store(true, Ordering::SeqCst);
    let answer = held[0].answer("GET").await;
    assert!(answer.whole && answer.body == blob.bytes);
    let metrics = door.ask("GET", "/metrics").1;
    let beyond = "seawall_queue_total{share=\"pull\",outcome=\"beyond\"} 1";
    assert!(metrics.contains(beyond), "{metrics}");
}
