//! Every connection to a node is ended at once, whatever it is busy with: clients see a node that broke off.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall::harbor::circuit::Circuit;
use seawall::session::word::Wish;
use seawall::upstream::backend::Backend;

use super::support::certs::Authority;
use super::support::client::{Knock, Raw, Two, until};
use super::support::door::HOSTS;
use super::support::house::House;
use super::support::origin::{End, Origin, Then};

const LIMIT: Duration = Duration::from_secs(10);
const BLOB: &str =
    "/v2/library/app/blobs/sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const UPLOAD: &str = "/v2/library/app/blobs/uploads/5d3cbbd1-61a6-4a4b-8e1c-5f7a0b6f3a11?_state=x";

fn house(origins: &[&Origin]) -> House {
    House::start(origins, "", Path::new("."))
}

async fn client(house: &House) -> Raw {
    let knock = Knock::with(house.address(), Path::new(""));
    knock.plain().await.unwrap()
}

fn get(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{more}\r\n")
}

fn in_flight(node: &Backend) -> u32 {
    node.capacity.in_flight()
}

/// A node that says `answer` to everything and then nothing more.
fn stuck_after(answer: &'static str) -> Origin {
    Origin::start(move |talk| {
        talk.say(answer);
        talk.wait();
        Then::Close
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_never_ends_as_if_it_were_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        // Such an answer ends with its connection.
        "HTTP/1.0 200 OK\r\n\r\nhalf",
    ] {
        let origin = stuck_after(answer);
        let house = house(&[&origin]);
        let mut raw = client(&house).await;
        raw.say(get(BLOB, "")).await;
        assert_eq!(raw.head().await.status, 200);
        assert_eq!(house.nodes[0].sever(), 1);
        let rest = String::from_utf8(raw.rest().await).unwrap();
        assert!(rest.contains("half"), "{rest}");
        assert!(!rest.contains("\r\n0\r\n"), "{answer} became {rest}");
        until("the lease is back", LIMIT, async || {
            in_flight(&house.nodes[0]) == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_over_http_2_is_reset() {
    let origin = stuck_after("HTTP/1.0 200 OK\r\n\r\nhalf");
    let directory = tempfile::tempdir().unwrap();
    Authority::new(directory.path()).issue(directory.path(), "door", &HOSTS);
    let keys = "[[listen.certificate]]\nchain = \"door.pem\"\nkey = \"door-key.pem\"";
    let house = House::start(&[&origin], keys, directory.path());
    let ca = directory.path().join("ca.pem");
    let mut two = Two::with(Knock::with(house.address(), &ca)).await;
    let (answer, _) = two.open(two.request("GET", BLOB), true).await.unwrap();
    let mut body = answer.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "half");
    assert_eq!(house.nodes[0].sever(), 1);
    assert!(body.data().await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_fails_as_when_its_node_breaks_off() {
    let origin = Origin::start(|talk| {
        talk.hear_all();
        Then::Close
    });
    let house = house(&[&origin]);
    let mut raw = client(&house).await;
    raw.say(format!(
        "PATCH {UPLOAD} HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf"
    ))
    .await;
    let arrived = async || origin.heard().first().is_some_and(|h| h.body == b"half");
    until("half of it is there", LIMIT, arrived).await;
    assert_eq!(house.nodes[0].sever(), 1);
    assert_eq!(raw.answer("PATCH").await.status, 503);
    let broken = async || origin.only().end == End::Broken;
    until("the node hears of it", LIMIT, broken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_waits_on_a_kept_connection_goes_to_another_node() {
    let held = Arc::new(AtomicBool::new(false));
    let start = || {
        let held = held.clone();
        Origin::start(move |talk| {
            if talk.request().header("x-hold").is_some() && !held.swap(true, Ordering::SeqCst) {
                talk.wait();
                return Then::Close;
            }
            talk.answer("200 OK", "", "ok");
            Then::Next
        })
    };
    let origins = [start(), start()];
    let house = house(&[&origins[0], &origins[1]]);
    let mut raw = client(&house).await;
    // Each has more than one connection that waits for work.
    while origins.iter().any(|origin| origin.heard().len() < 4) {
        let mut other = client(&house).await;
        other.say(get(BLOB, "")).await;
        assert_eq!(raw.ask(get(BLOB, "")).await.status, 200);
        assert_eq!(other.answer("GET").await.status, 200);
    }
    raw.say(get(BLOB, "X-Hold: 1\r\n")).await;
    until("it waits", LIMIT, async || held.load(Ordering::SeqCst)).await;
    let busy = house.nodes.iter().position(|node| in_flight(node) == 1);
    let busy = busy.expect("a node that works on it");
    house.nodes[busy].standing.set_wish(Wish::Maintenance);
    assert!(house.nodes[busy].sever() > 0);
    assert_eq!(raw.answer("GET").await.status, 200);
    let holds = |at: usize| {
        let heard = origins[at].heard();
        heard
            .iter()
            .filter(|h| h.header("x-hold").is_some())
            .count()
    };
    assert_eq!((holds(busy), holds(1 - busy)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_ends() {
    let origin = Origin::start(|talk| {
        talk.say(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        talk.echo();
        Then::Close
    });
    let house = house(&[&origin]);
    let mut raw = client(&house).await;
    let wish = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n";
    let answer = raw.ask(get("/api/v2.0/jobs/log", wish)).await;
    assert_eq!(answer.status, 101, "{}", answer.head);
    raw.say("HTTP/1.1 418 an echo\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 418);
    assert_eq!(house.nodes[0].sever(), 1);
    assert!(raw.is_closed().await);
    until("the lease is back", LIMIT, async || {
        in_flight(&house.nodes[0]) == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_in_maintenance_is_not_held_against_the_node() {
    let origin = stuck_after("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
    let well = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let house = house(&[&origin, &well]);
    let [node, other] = [0, 1].map(|at| house.nodes[at].clone());
    other.standing.set_wish(Wish::Drain);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut raw = client(&house).await;
        raw.say(get(BLOB, "")).await;
        assert_eq!(raw.head().await.status, 200);
        clients.push(raw);
    }
    node.standing.set_wish(Wish::Maintenance);
    assert_eq!(node.sever(), 20);
    for mut raw in clients {
        raw.rest().await;
    }
    assert!(!node.standing.ejection.is_out(Circuit::Pull));
}
