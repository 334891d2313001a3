//! Clients that want more than their share: they are refused, and everybody else is served.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::client::{Answer, Knock, Raw, basic, until};
use super::support::cluster::Cluster;
use super::support::door::{Door, Plan, eventually};
use super::support::harbor::{Dialect, HarborNode, Options};
use super::support::origin::{Origin, Then, before_with};
use super::support::redis::RedisServer;

/// Nothing here takes longer.
const SOON: Duration = Duration::from_secs(60);
/// Two clients.
const A: &str = "127.0.0.1";
const B: &str = "127.0.0.2";

const LOGIN: &str = "/service/token?service=harbor-registry";
const CATALOG: &str = "/v2/_catalog";
const RIGHT: &str = "Harbor12345";

/// One node and a door with `more` in its configuration.
async fn cluster(more: &str) -> Cluster {
    let quick = |options: &mut Options| options.timing.lock = Duration::from_millis(1);
    let door = |plan: &mut Plan| plan.more += more;
    Cluster::start_with(Dialect::Harbor2, 1, quick, door).await
}

fn knock(door: &Door, from: &str) -> Knock {
    let from = SocketAddr::new(from.parse().unwrap(), 0);
    Knock {
        from: Some(from),
        ..Knock::at(door)
    }
}

async fn connect(door: &Door, from: &str) -> Raw {
    knock(door, from).raw().await.unwrap()
}

async fn ask(door: &Door, raw: &mut Raw, target: &str, more: &str) -> Answer {
    let host = door.address;
    raw.ask(format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"
    ))
    .await
}

/// `GET` by a client, on a connection of its own.
async fn get(door: &Door, from: &str, target: &str, more: &str) -> Answer {
    ask(door, &mut connect(door, from).await, target, more).await
}

async fn status(door: &Door, from: &str, target: &str, more: &str) -> u16 {
    get(door, from, target, more).await.status
}

fn limited(door: &Door, limit: &str, count: u32) {
    let line = format!("seawall_limited_total{{limit=\"{limit}\"}} {count}");
    let (_, metrics) = door.ask("GET", "/metrics");
    assert!(metrics.lines().any(|found| found == line), "{line}");
}

/// Has another configuration read, with `more` in it.
async fn reload(cluster: &Cluster, more: &str) {
    let mut plan = Plan::fronting(cluster.nodes.iter().map(HarborNode::url));
    plan.more += more;
    cluster.door.rewrite(&plan);
    cluster.door.signal(Signal::SIGHUP);
    eventually("it is reloaded", SOON, || {
        cluster.door.said("configuration reloaded")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_all_its_connections_is_told_so_and_another_is_served() {
    let cluster = cluster("[limits.client]\nconnections = 2\n").await;
    let door = &cluster.door;
    let mut held = [connect(door, A).await, connect(door, A).await];
    let refused = get(door, A, "/v2/", "").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert!(refused.text().contains("UNAVAILABLE"));
    assert_eq!(status(door, B, "/v2/", "").await, 401);
    assert_eq!(ask(door, &mut held[0], "/v2/", "").await.status, 401);
    limited(door, "client_connections", 1);
    drop(held);
    until("it has places again", SOON, async || {
        status(door, A, "/v2/", "").await == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_all_its_requests_under_way_is_told_so_and_another_is_served() {
    let origin = Origin::start(|talk| {
        talk.hear_all();
        talk.answer("200 OK", "", "");
        Then::Next
    });
    let limit = "[limits.client]\nrequests = 1\n";
    let door = &before_with(&origin, |plan| plan.more += limit);
    let path = "/api/v2.0/labels";
    let mut slow = connect(door, A).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 2\r\n\r\n{{",
        door.address
    );
    assert!(slow.say(head).await);
    until("the first request counts", SOON, async || {
        status(door, A, path, "").await == 503
    })
    .await;
    let refused = get(door, A, path, "").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(status(door, B, path, "").await, 200);
    assert!(slow.say("}").await);
    assert_eq!(slow.answer("POST").await.status, 200);
    until("its end counts", SOON, async || {
        status(door, A, path, "").await == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_say_which_networks_may_do_what_until_they_are_reloaded() {
    let lists = "[[access]]\nclasses = [\"api_read\"]\nallow = [\"127.0.0.2\"]\n\
                 [[access]]\nclasses = [\"catalog\"]\ndeny = [\"127.0.0.2\"]\n";
    let cluster = cluster(lists).await;
    let door = &cluster.door;
    let refused = get(door, A, "/api/v2.0/ping", "").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("DENIED"));
    assert_eq!(status(door, B, "/api/v2.0/ping", "").await, 200);
    assert_eq!(status(door, B, CATALOG, "").await, 403);
    assert_eq!(status(door, A, CATALOG, "").await, 401);
    limited(door, "access", 2);
    eventually("the log has it", SOON, || {
        let lines = door.access();
        let refused = |line: &&serde_json::Value| line["status"] == 403;
        let refused: Vec<_> = lines.iter().filter(refused).collect();
        refused.len() == 2 && refused.iter().all(|line| line["ended"] == "refused")
    });
    // A connection that was there before hears of it, too.
    let mut raw = connect(door, A).await;
    assert_eq!(ask(door, &mut raw, "/api/v2.0/ping", "").await.status, 403);
    reload(&cluster, "").await;
    assert_eq!(ask(door, &mut raw, "/api/v2.0/ping", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_beyond_its_rates_waits_and_another_does_not_until_they_are_reloaded() {
    let rates =
        "[limits.client]\ntoken = \"3/h\"\ncatalog = \"1/h\"\nsearch = \"1/h\"\nlogin = \"1/h\"\n";
    let cluster = cluster(rates).await;
    let door = &cluster.door;
    let right = basic("admin", RIGHT);
    for _ in 0..3 {
        assert_eq!(status(door, A, LOGIN, &right).await, 200);
    }
    // Docker tries again after 503, and would give up after 429.
    let refused = get(door, A, LOGIN, &right).await;
    assert_eq!(refused.status, 503);
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1200).contains(&wait), "{wait}");
    assert_eq!(status(door, B, LOGIN, &right).await, 200);
    for (target, more) in [
        (CATALOG, ""),
        ("/api/v2.0/search?q=app", ""),
        ("/api/v2.0/projects", &*right),
    ] {
        assert_ne!(status(door, A, target, more).await, 429, "{target}");
        let refused = get(door, A, target, more).await;
        assert_eq!(refused.status, 429, "{target}");
        assert!(refused.text().contains("TOOMANYREQUESTS"));
        assert!(refused.header("retry-after").is_some());
        assert_ne!(status(door, B, target, more).await, 429, "{target}");
    }
    limited(door, "client_token", 1);
    limited(door, "client_catalog", 1);
    // What pushes and pulls need is never counted.
    for _ in 0..5 {
        assert_eq!(
            status(door, A, "/v2/library/app/manifests/1", "").await,
            401
        );
    }
    reload(
        &cluster,
        "[limits.client]\nexempt = [\"127.0.0.1\"]\ntoken = \"3/h\"\n",
    )
    .await;
    assert_eq!(status(door, A, LOGIN, &right).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_beyond_its_rate_waits_everywhere_and_nobody_else_can_use_it_up() {
    let cluster = cluster("[limits.user]\ntoken = \"2/h\"\n").await;
    let door = &cluster.door;
    let (right, wrong) = (basic("admin", RIGHT), basic("admin", "wrong"));
    for _ in 0..4 {
        assert_eq!(status(door, B, LOGIN, &wrong).await, 401);
    }
    let accepted = async |from| status(door, from, LOGIN, &right).await == 200;
    // The node locks the account for a moment.
    until("the first", SOON, async || accepted(A).await).await;
    assert!(accepted(B).await);
    for from in [A, B] {
        assert_eq!(status(door, from, LOGIN, &right).await, 503);
    }
    limited(door, "user_token", 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_passwords_reaches_no_node_and_others_with_that_name_go_on() {
    let cluster = cluster("[limits.client]\nfailures = \"3/h\"\n").await;
    let door = &cluster.door;
    let right = basic("admin", RIGHT);
    assert_eq!(status(door, A, LOGIN, &right).await, 200);
    for guess in ["one", "two", "three", "four", "five"] {
        assert_eq!(status(door, A, LOGIN, &basic("admin", guess)).await, 401);
    }
    let refused = get(door, A, "/api/v2.0/users/current", &basic("admin", "six")).await;
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("UNAUTHORIZED"));
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Basic realm=\"harbor\"")
    );
    assert!(refused.header("retry-after").is_some());
    limited(door, "failures", 3);
    eventually("the log has it", SOON, || {
        let lines = door.access();
        let stayed = |line: &&serde_json::Value| line["status"] == 401 && line["attempts"] == 0;
        lines.iter().filter(stayed).count() == 3
    });
    // The password that was right before goes on, even from there; and so does everybody elsewhere.
    for from in [A, B] {
        until("it is taken", SOON, async || {
            status(door, from, LOGIN, &right).await == 200
        })
        .await;
    }
    assert_eq!(status(door, B, LOGIN, &basic("admin", "six")).await, 401);
    limited(door, "failures", 3);
}

/// Whether the store is asked at the moment.
fn store_is(door: &Door, up: bool) {
    let line = format!("seawall_session_store_up {}", u8::from(up));
    eventually(&line, SOON, || {
        let (_, metrics) = door.ask("GET", "/metrics");
        metrics.lines().any(|found| found == line)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_doors_count_together_and_each_alone_without_the_store() {
    const MOST: usize = 400;
    let mut store = RedisServer::start();
    let tables = |door: &str| {
        format!(
            "[limits.client]\ncatalog = \"{MOST}/h\"\n[sessions]\nstore = \"{}\"\ndoor = \"{door}\"\nbudget = \"250ms\"\n",
            store.url_of(8)
        )
    };
    let cluster = cluster(&tables("door-a")).await;
    let mut plan = Plan::fronting(cluster.nodes.iter().map(HarborNode::url));
    plan.more += &tables("door-b");
    let (a, b) = (&cluster.door, Door::start(&plan));
    b.settled();
    for door in [a, &b] {
        store_is(door, true);
        eventually("they know each other", SOON, || {
            door.said("another door shares the session store")
        });
    }
    let mut raw = connect(a, A).await;
    for _ in 0..MOST {
        assert_eq!(ask(a, &mut raw, CATALOG, "").await.status, 401);
    }
    // On a slow machine, one or another has come back meanwhile.
    until("all is used", SOON, async || {
        ask(a, &mut raw, CATALOG, "").await.status == 429
    })
    .await;
    let (mut raw, mut served) = (connect(&b, A).await, 0);
    until("the other door has heard", SOON, async || {
        let refused = ask(&b, &mut raw, CATALOG, "").await.status == 429;
        served += usize::from(!refused);
        refused
    })
    .await;
    // All of them would be this door's own count.
    assert!(served < MOST, "{served}");
    assert_eq!(status(&b, B, CATALOG, "").await, 401);
    store.kill();
    store_is(&b, false);
    // What is known stays, and whoever comes is counted here.
    until("it is still used", SOON, async || {
        status(&b, A, CATALOG, "").await == 429
    })
    .await;
    assert_eq!(status(&b, "127.0.0.3", CATALOG, "").await, 401);
}
