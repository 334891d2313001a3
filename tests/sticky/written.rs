//! What is written to the store, seen by its own monitor: little, and no secret.

use std::collections::BTreeSet;

use super::{SOON, listed_once, nodes_of, other, sessions, status, store_is};
use crate::support::clients::browser::Browser;
use crate::support::clients::image::Image;
use crate::support::clients::raw::{Protocol, Raw};
use crate::support::clients::skopeo::Skopeo;
use crate::support::cluster::Cluster;
use crate::support::door::eventually;
use crate::support::harbor::Dialect;
use crate::support::redis::{Monitor, RedisServer, calls};

async fn with_store(redis: &RedisServer, door: &str) -> Cluster {
    let more = sessions(&redis.url_of(8), door);
    let cluster = Cluster::start_with(Dialect::Harbor2, 2, |_| {}, |plan| plan.more += &more).await;
    store_is(&cluster.door, true);
    cluster
}

/// The commands that a door sends on behalf of clients, without what it says of itself every second.
fn of_clients(monitor: &Monitor) -> Vec<Vec<String>> {
    let own = |command: &Vec<String>| {
        command.get(1).is_some_and(|name| {
            ["doors", "probe", "limits"]
                .iter()
                .any(|own| name.starts_with(&format!("seawall:{own}")))
        })
    };
    monitor
        .commands()
        .into_iter()
        .filter(|command| !own(command))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_writes_where_it_sticks_and_nothing_secret() {
    let redis = RedisServer::start();
    let cluster = with_store(&redis, "door-a").await;
    let monitor = Monitor::of(&redis);
    let skopeo = Skopeo::new(&cluster.door);
    skopeo.login("admin", "Harbor12345").done();
    let work = tempfile::tempdir().unwrap();
    let image = Image::make(&work.path().join("image"), 100 << 10);
    skopeo.push(&image, "library/watched:1", 0).done();
    let mut browser = Browser::default();
    browser.log_in(&cluster.door).await;
    let session = browser.session().unwrap().to_owned();
    eventually("the push is noted", SOON, || {
        of_clients(&monitor)
            .iter()
            .any(|command| command[1].starts_with("seawall:push:"))
    });
    let commands = of_clients(&monitor);
    for command in &commands {
        println!("{}", command.join(" "));
        assert!(
            matches!(
                command[0].to_ascii_uppercase().as_str(),
                "GET" | "SETEX" | "DEL"
            ),
            "{command:?}"
        );
        assert!(command[1].starts_with("seawall:"), "{command:?}");
    }
    let uuids: BTreeSet<String> = cluster
        .door
        .access()
        .iter()
        .filter_map(|line| {
            line["path"]
                .as_str()?
                .split("/blobs/uploads/")
                .nth(1)
                .map(str::to_owned)
        })
        .filter(|rest| rest.len() > 36)
        .map(|rest| rest[..36].to_owned())
        .collect();
    assert!(!uuids.is_empty());
    let all = monitor.lines().join("\n");
    for secret in ["Harbor12345", "YWRtaW46", "eyJ", session.as_str()] {
        assert!(!all.contains(secret), "{secret} was written");
    }
    for uuid in &uuids {
        assert!(!all.contains(uuid.as_str()), "{uuid} was written");
    }
    assert_eq!(
        all.matches("\"SETEX\" \"seawall:upload:").count(),
        uuids.len(),
        "{all}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_version_3_will_do() {
    let redis = RedisServer::as_of_3();
    let cluster = with_store(&redis, "door-a").await;
    let monitor = Monitor::of(&redis);
    let b = other(&cluster, &sessions(&redis.url_of(8), "door-b"));
    store_is(&b, true);
    let mut browser = Browser::default();
    browser.log_in(&cluster.door).await;
    assert!(browser.is_logged_in(&b).await);
    let mut client = Raw::connect(&b, Protocol::Http1).await;
    client
        .push("library/old", b"for an old server".as_slice().into())
        .await;
    listed_once(&b, "ui", 1);
    assert_eq!(b.ask("DELETE", "/api/v1/sessions?node=harbor-1").0, 200);
    assert_eq!(status(&b)["sessions"]["store"]["up"], true);
    let used: BTreeSet<String> = monitor
        .commands()
        .iter()
        .map(|command| command[0].to_ascii_uppercase())
        .collect();
    println!("commands used: {used:?}");
    // SET takes options only since 2.6.12, and none of ours has any.
    let plain = monitor
        .commands()
        .iter()
        .filter(|c| c[0].eq_ignore_ascii_case("set"))
        .all(|c| c.len() == 3);
    assert!(plain);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_door_does_not_know_costs_one_question_and_what_it_knows_none() {
    let redis = RedisServer::start();
    let cluster = with_store(&redis, "door-a").await;
    let b = other(&cluster, &sessions(&redis.url_of(8), "door-b"));
    store_is(&b, true);
    let mut people = Vec::new();
    for _ in 0..10 {
        let mut browser = Browser::default();
        browser.log_in(&cluster.door).await;
        people.push(browser);
    }
    let asked = |monitor: &Monitor| {
        let commands = of_clients(monitor);
        commands
            .iter()
            .filter(|c| c[0].eq_ignore_ascii_case("get"))
            .count()
    };
    let monitor = Monitor::of(&redis);
    for browser in &mut people {
        assert!(browser.is_logged_in(&b).await);
    }
    nodes_of(&b, "api_read", 10);
    assert_eq!(asked(&monitor), 10, "cold");
    let before = calls(redis.address, "get");
    assert!(before >= 10);
    for browser in &mut people {
        assert!(browser.is_logged_in(&b).await);
        assert!(browser.is_logged_in(&cluster.door).await);
    }
    nodes_of(&b, "api_read", 20);
    assert_eq!(asked(&monitor), 10, "warm");
}
