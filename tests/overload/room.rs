//! A node has room for so many requests: who gets in, who waits, and who is sent away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::client::{Answer, Raw, get, request, until};
use crate::support::door::{Door, Plan, eventually};
use crate::support::origin::{Origin, Talk, Then};

const SOON: Duration = Duration::from_secs(20);
const BLOB: &str =
    "/v2/library/app/blobs/sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// Eight places, of which each share keeps two: so four pulls, or four pushes.
const ROOM: &str = "shares = { talk = 25, push = 25, pull = 25 }\n";
const MOST: u32 = 4;

/// Whether what is held may end.
type Go = Arc<AtomicBool>;

fn wait_for(go: &AtomicBool) {
    while !go.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A node that gives half of a blob, and waits in the middle of every upload, until it may go on.
fn node(go: &Go) -> Origin {
    let go = go.clone();
    Origin::start(move |talk: &mut Talk<'_>| {
        let heard = talk.request();
        match (heard.method(), heard.target().contains("/blobs/")) {
            ("GET", true) => {
                talk.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
                wait_for(&go);
                talk.say("after");
            }
            ("PATCH", true) => {
                talk.hear_all();
                wait_for(&go);
                let next = heard.target();
                talk.answer("202 Accepted", &format!("Location: {next}\r\n"), "");
            }
            ("POST", true) => {
                talk.answer(
                    "202 Accepted",
                    "Location: /v2/library/app/blobs/uploads/1\r\n",
                    "",
                );
            }
            _ => talk.answer("200 OK", "Content-Type: text/plain\r\n", "here"),
        }
        Then::Next
    })
}

/// A door before them, with further keys of `[limits]`.
fn door(nodes: &[&Origin], requests: u32, keys: &str) -> Door {
    let door = Door::start(&plan(nodes, requests, keys));
    door.settled();
    door
}

fn plan(nodes: &[&Origin], requests: u32, keys: &str) -> Plan {
    let mut plan = Plan::fronting(nodes.iter().map(|node| node.url()));
    plan.more += &format!("[limits]\nnode_requests = {requests}\n{ROOM}{keys}");
    plan
}

/// A pull that got its first bytes.
async fn pull(door: &Door) -> Raw {
    let mut raw = asks(door).await;
    assert_eq!(raw.head().await.status, 200);
    raw
}

/// A pull that was asked for.
async fn asks(door: &Door) -> Raw {
    let mut raw = Raw::to(door).await;
    let host = door.address;
    assert!(
        raw.say(format!("GET {BLOB} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await
    );
    raw
}

async fn pulls(door: &Door, count: u32) -> Vec<Raw> {
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(pull(door).await);
    }
    held
}

/// The sum of the numbers of a metric whose labels have `text`.
fn metric(door: &Door, name: &str, text: &str) -> u32 {
    let metrics = door.ask("GET", "/metrics").1;
    let lines = metrics.lines();
    let named = lines.filter(|line| line.starts_with(&format!("seawall_{name}{{")));
    let told = named.filter(|line| line.contains(text));
    told.map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap())
        .sum()
}

async fn queued(door: &Door, share: &str, count: u32) {
    let share = format!("share=\"{share}\"");
    until("they are in the queue", SOON, async || {
        metric(door, "node_queued", &share) == count
    })
    .await;
}

fn in_flight(door: &Door) -> u32 {
    metric(door, "node_in_flight", "")
}

fn is_shed(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("5"));
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["errors"][0]["code"], "UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_logins_and_pushes_get_through_while_pulls_fill_everything() {
    let go = Go::default();
    let node = node(&go);
    let door = door(&[&node], 8, "");
    let mut held = pulls(&door, MOST).await;
    let mut next = asks(&door).await;
    queued(&door, "pull", 1).await;
    for path in [
        "/harbor/projects",
        "/service/token?service=s",
        "/api/v2.0/projects",
        "/v2/",
    ] {
        assert_eq!(get(&door, path).await.status, 200, "{path}");
    }
    let upload = request(
        &door,
        "POST",
        "/v2/library/app/blobs/uploads/",
        "Content-Length: 0\r\n",
    );
    assert_eq!(upload.await.status, 202);
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/status"] {
        assert_eq!(door.ask("GET", path).0, 200, "{path}");
    }
    assert_eq!(metric(&door, "node_limit", ""), 8);
    assert_eq!(
        metric(&door, "node_share_in_flight", "share=\"pull\""),
        MOST
    );
    assert_eq!(metric(&door, "node_queued", "share=\"pull\""), 1);
    go.store(true, Ordering::SeqCst);
    for raw in held.iter_mut() {
        until("the rest", SOON, async || raw.more().await).await;
    }
    let answer = next.answer("GET").await;
    assert!(answer.whole && answer.status == 200, "{answer:?}");
    assert_eq!(metric(&door, "queue_total", "outcome=\"served\""), 1);
    drop((held, next));
    eventually("all places are free", SOON, || in_flight(&door) == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_sends_away_in_the_clients_own_format_and_blames_no_node() {
    let go = Go::default();
    let node = node(&go);
    let door = door(&[&node], 8, "queue = 1\n");
    let _held = pulls(&door, MOST).await;
    let waiting = asks(&door).await;
    queued(&door, "pull", 1).await;
    is_shed(&get(&door, BLOB).await);
    eventually("a line", SOON, || {
        door.access()
            .iter()
            .any(|line| line["ended"] == "shed" && line["node"].is_null())
    });
    assert_eq!(metric(&door, "queue_total", "outcome=\"full\""), 1);
    assert_eq!(metric(&door, "node_ejections_total", ""), 0);
    assert_eq!(door.node("harbor-1")["state"], "up");
    // Who leaves the queue frees their place in it.
    waiting.reset();
    queued(&door, "pull", 0).await;
    let _waits = asks(&door).await;
    queued(&door, "pull", 1).await;
    assert_eq!(metric(&door, "queue_total", "outcome=\"left\""), 1);
    go.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_too_long_is_sent_away() {
    let go = Go::default();
    let node = node(&go);
    let door = door(&[&node], 8, "queue_wait = \"200ms\"\n");
    let _held = pulls(&door, MOST).await;
    is_shed(&get(&door, BLOB).await);
    assert_eq!(metric(&door, "queue_total", "outcome=\"late\""), 1);
    go.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_held_until_the_last_byte_and_free_when_the_client_leaves() {
    let go = Go::default();
    let node = node(&go);
    let door = door(&[&node], 8, "");
    let mut held = pulls(&door, MOST).await;
    // Their heads came long ago.
    let mut next = asks(&door).await;
    queued(&door, "pull", 1).await;
    assert_eq!(in_flight(&door), MOST);
    held.pop().unwrap().reset();
    assert_eq!(next.head().await.status, 200);
    assert_eq!(in_flight(&door), MOST);
    drop((held, next));
    eventually("all places are free", SOON, || in_flight(&door) == 0);
    go.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_with_room_is_asked_before_anybody_waits() {
    let go = Go::default();
    let nodes = [node(&go), node(&go)];
    let door = door(&[&nodes[0], &nodes[1]], 8, "queue = 0\n");
    let _held = pulls(&door, 2 * MOST).await;
    for name in ["harbor-1", "harbor-2"] {
        assert_eq!(door.node(name)["in_flight"], MOST);
    }
    is_shed(&get(&door, BLOB).await);
    go.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_began_waits_where_a_new_one_is_sent_away() {
    let go = Go::default();
    let node = node(&go);
    let door = door(&[&node], 8, "queue = 0\nqueue_wait = \"0s\"\n");
    let door = &door;
    let chunk = async || {
        let body = "Content-Length: 0\r\n";
        let path = "/v2/library/app/blobs/uploads/1?_state=a";
        request(door, "PATCH", path, body).await.status
    };
    let (first, second, third, fourth, fifth, ()) =
        tokio::join!(chunk(), chunk(), chunk(), chunk(), chunk(), async {
            queued(door, "push", 1).await;
            let path = "/v2/library/app/blobs/uploads/";
            is_shed(&request(door, "POST", path, "Content-Length: 0\r\n").await);
            go.store(true, Ordering::SeqCst);
        });
    assert_eq!([first, second, third, fourth, fifth], [202; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_limit_and_loses_no_count() {
    let go = Go::default();
    let node = node(&go);
    let mut door = door(&[&node], 8, "");
    let held = pulls(&door, MOST).await;
    let mut next = asks(&door).await;
    queued(&door, "pull", 1).await;
    let reload = |door: &mut Door, requests| {
        door.rewrite(&plan(&[&node], requests, ""));
        assert_eq!(door.ask("POST", "/api/v1/reload").0, 200);
    };
    reload(&mut door, 16);
    assert_eq!(next.head().await.status, 200);
    assert_eq!(in_flight(&door), MOST + 1);
    reload(&mut door, 8);
    assert_eq!(
        (in_flight(&door), metric(&door, "node_limit", "")),
        (MOST + 1, 8)
    );
    let _waits = asks(&door).await;
    queued(&door, "pull", 1).await;
    drop((held, next));
    eventually("only who waited is left", SOON, || in_flight(&door) == 1);
    go.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_have_room_of_its_own() {
    let go = Go::default();
    let nodes = [node(&go), node(&go)];
    let mut plan = plan(&[&nodes[0], &nodes[1]], 8, "");
    plan.keys = vec!["requests = 100\n".to_owned()];
    let door = Door::start(&plan);
    door.settled();
    assert_eq!(metric(&door, "node_limit", "harbor-1"), 100);
    assert_eq!(metric(&door, "node_limit", "harbor-2"), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_a_failing_answer_does_not_wait_for_another_node() {
    let go = Go::default();
    let well = node(&go);
    let failing = {
        let go = go.clone();
        Origin::start(move |talk: &mut Talk<'_>| {
            match talk.request().target().contains("/blobs/") {
                true => {
                    talk.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
                    wait_for(&go);
                    talk.say("after");
                }
                false => talk.answer("502 Bad Gateway", "X-Whose: node\r\n", ""),
            }
            Then::Next
        })
    };
    let keys =
        "queue_wait = \"200ms\"\n[outlier]\nconsecutive = 100\n[timeouts]\nstall = \"60s\"\n";
    let door = door(&[&well, &failing], 8, keys);
    let mut held = pulls(&door, 2 * MOST).await;
    // One place is free, and it is at the node that fails.
    let mut freed = false;
    while !freed {
        held.pop().expect("a pull at the failing node").reset();
        let at = |name: &str| door.node(name)["in_flight"].as_u64().unwrap();
        let before = 2 * u64::from(MOST);
        eventually("a place is free", SOON, || {
            at("harbor-1") + at("harbor-2") < before
        });
        freed = at("harbor-2") < u64::from(MOST);
        if !freed {
            held.push(pull(&door).await);
        }
    }
    let answer = get(&door, "/v2/library/app/manifests/1").await;
    assert_eq!(
        (answer.status, answer.header("x-whose")),
        (502, Some("node")),
        "{answer:?}"
    );
    assert_eq!(metric(&door, "queue_total", "outcome=\"late\""), 1);
    assert_eq!(in_flight(&door), 2 * MOST - 1);
    go.store(true, Ordering::SeqCst);
}
