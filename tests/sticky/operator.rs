//! The operator's word, and what operators see.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Pair, SOON, database_8, listed, listed_once, nodes_of, other, sessions, store_is};
use crate::support::clients::browser::Browser;
use crate::support::clients::image::sha256;
use crate::support::clients::raw::{Piped, Protocol, Raw, finish, next};
use crate::support::door::{Door, Plan, eventually};

/// Runs the command line against a door.
fn seawall(door: &Door, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(arguments)
        .args(["--admin", &format!("http://{}", door.admin)])
        .output()
        .expect("seawall runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_at_one_door_is_obeyed_by_the_other_and_after_a_restart() {
    let pair = Pair::start().await;
    assert!(
        seawall(pair.a(), &["node", "drain", "harbor-1"])
            .status
            .success()
    );
    assert!(
        seawall(&pair.b, &["node", "weight", "harbor-2", "7"])
            .status
            .success()
    );
    for door in [pair.a(), &pair.b] {
        eventually("both obey", SOON, || {
            door.node("harbor-1")["state"] == "draining" && door.node("harbor-2")["weight"] == 7
        });
    }
    let Pair {
        mut cluster,
        b,
        store,
    } = pair;
    cluster.door.signal(Signal::SIGTERM);
    assert!(cluster.door.wait(SOON).success());
    let mut plan = Plan::fronting(cluster.nodes.iter().map(|node| node.url()));
    plan.more += &sessions(&database_8(&store), "door-a");
    let again = Door::start(&plan);
    eventually("it obeys from the start", SOON, || {
        again.node("harbor-1")["state"] == "draining" && again.node("harbor-2")["weight"] == 7
    });
    assert!(
        seawall(&again, &["node", "ready", "harbor-1"])
            .status
            .success()
    );
    eventually("the other hears of it", SOON, || {
        b.node("harbor-1")["state"] == "up"
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_outlives_a_store_that_lost_everything() {
    let mut pair = Pair::start().await;
    assert!(
        seawall(pair.a(), &["node", "drain", "harbor-2"])
            .status
            .success()
    );
    eventually("both obey", SOON, || {
        pair.b.node("harbor-2")["state"] == "draining"
    });
    pair.store.kill();
    store_is(&pair.b, false);
    pair.store.revive();
    store_is(&pair.b, true);
    let c = other_unsettled(&pair, "door-c");
    eventually("a new door hears of it", SOON, || {
        c.node("harbor-2")["state"] == "draining"
    });
}

fn other_unsettled(pair: &Pair, name: &str) -> Door {
    let mut plan = Plan::fronting(pair.cluster.nodes.iter().map(|node| node.url()));
    plan.more += &sessions(&database_8(&pair.store), name);
    Door::start(&plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_the_word_and_what_sticks() {
    let pair = Pair::start().await;
    let mut browser = Browser::default();
    browser.log_in(pair.a()).await;
    assert!(
        seawall(pair.a(), &["node", "drain", "harbor-1"])
            .status
            .success()
    );
    assert!(
        seawall(pair.a(), &["node", "weight", "harbor-2", "3"])
            .status
            .success()
    );
    let mut plan = Plan::fronting(pair.cluster.nodes.iter().map(|node| node.url()));
    plan.more += &sessions(&database_8(&pair.store), "door-a");
    plan.more += "[affinity.ui]\nttl = \"2h\"\n";
    pair.a().rewrite(&plan);
    let output = seawall(pair.a(), &["reload"]);
    assert!(output.status.success(), "{output:?}");
    let (one, two) = (pair.a().node("harbor-1"), pair.a().node("harbor-2"));
    assert_eq!(
        (&one["state"], &two["weight"]),
        (&Value::from("draining"), &Value::from(3))
    );
    listed_once(pair.a(), "ui", 1);
    store_is(pair.a(), true);
}

#[tokio::test(flavor = "multi_thread")]
async fn doors_with_other_nodes_say_so() {
    let pair = Pair::start().await;
    let mut plan = Plan::fronting([pair.cluster.nodes[0].url()]);
    plan.more += &sessions(&database_8(&pair.store), "door-c");
    let c = Door::start(&plan);
    eventually("both sides say it", SOON, || {
        pair.a().said("it lacks harbor-2") && c.said("it also has harbor-2")
    });
    assert!(said(&seawall(pair.a(), &["status"])).contains("OTHER NODES"));
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_is_heard_at_every_door() {
    let pair = Pair::start().await;
    for _ in 0..6 {
        let mut browser = Browser::default();
        browser.log_in(pair.a()).await;
        browser.is_logged_in(&pair.b).await;
    }
    let on = |door: &Door, node: &str| {
        listed(door, "ui")
            .iter()
            .filter(|one| one["node"] == node)
            .count()
    };
    let (first, second) = (on(pair.a(), "harbor-1"), on(pair.a(), "harbor-2"));
    assert_eq!(first + second, 6);
    let output = seawall(pair.a(), &["sessions", "forget", "--node", "harbor-1"]);
    assert_eq!(said(&output).trim(), format!("{first} forgotten"));
    for door in [pair.a(), &pair.b] {
        eventually("it is forgotten", SOON, || on(door, "harbor-1") == 0);
        assert_eq!(on(door, "harbor-2"), second);
    }
}

/// An upload whose client takes its time.
struct Slow {
    client: Raw,
    path: String,
    sent: Vec<u8>,
}

impl Slow {
    async fn begin(door: &Door, number: usize) -> Self {
        let mut client = Raw::connect(door, Protocol::Http1).await;
        let path = client.begin(&format!("library/slow-{number}")).await;
        Slow {
            client,
            path,
            sent: Vec::new(),
        }
    }

    async fn go_on(&mut self) {
        let bytes = vec![b'x'; 1000];
        let (pipe, body) = Piped::new(1000);
        pipe.try_send(Bytes::from(bytes.clone())).unwrap();
        let answer = self
            .client
            .send(Method::PATCH, &self.path, body)
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{answer:?}");
        self.path = next(&answer);
        self.sent.extend(bytes);
    }

    async fn end(mut self) {
        let path = finish(&self.path, &format!("sha256:{}", sha256(&self.sent)));
        let answer = self
            .client
            .send(Method::PUT, &path, Piped::empty())
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
    }
}

/// Fifty people and ten slow pushes are at work through both doors while a node is drained, watched and stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_drained_and_stopped_without_one_failed_request() {
    let pair = Pair::start().await;
    let doors = |number: usize| {
        if number.is_multiple_of(2) {
            pair.a()
        } else {
            &pair.b
        }
    };
    let mut people = Vec::new();
    for number in 0..50 {
        let mut browser = Browser::default();
        browser.log_in(doors(number)).await;
        people.push(browser);
    }
    let mut pushes = Vec::new();
    for number in 0..10 {
        let mut push = Slow::begin(doors(number), number).await;
        push.go_on().await;
        pushes.push(push);
    }
    let before = pair.a().node("harbor-1");
    let count = |node: &Value, key: &str| node[key].as_u64().unwrap();
    let (sessions, uploads) = (count(&before, "sessions"), count(&before, "uploads"));
    println!("before the drain: {sessions} sessions, {uploads} uploads");
    assert!(sessions > 5 && uploads > 0 && uploads < 10, "{before}");
    let table = said(&seawall(pair.a(), &["sessions", "--node", "harbor-1"]));
    assert!(
        table.contains(&format!("harbor-1: {sessions} sessions, {uploads} uploads")),
        "{table}"
    );

    let mut drain = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["node", "drain", "harbor-1", "--wait", "60s"])
        .args(["--admin", &format!("http://{}", pair.b.admin)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the pages have moved", SOON, || {
        let node = pair.a().node("harbor-1");
        node["state"] == "draining" && count(&node, "sessions") == 0
    });
    assert_eq!(count(&pair.a().node("harbor-1"), "uploads"), uploads);
    for (number, browser) in people.iter_mut().enumerate() {
        // Through the door that they did not come by.
        assert!(browser.is_logged_in(doors(number + 1)).await);
    }
    let mut left = uploads;
    for (number, mut push) in pushes.into_iter().enumerate() {
        assert!(
            drain.try_wait().unwrap().is_none() || left == 0,
            "it returned before the end"
        );
        push.go_on().await;
        push.end().await;
        let now = count(&pair.a().node("harbor-1"), "uploads");
        assert!(now <= left, "push {number}");
        left = now;
    }
    eventually("nothing is left", SOON, || {
        drain.try_wait().unwrap().is_some()
    });
    let output = drain.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    println!("{}", said(&output));
    assert!(said(&output).contains("nothing is left"));

    pair.cluster.nodes[0].stop().await;
    for (number, browser) in people.iter_mut().enumerate() {
        assert!(browser.is_logged_in(doors(number)).await);
    }
    for number in 0..4 {
        let mut push = Slow::begin(doors(number), 100 + number).await;
        push.go_on().await;
        push.end().await;
    }
    for door in [pair.a(), &pair.b] {
        let failed: Vec<Value> = door
            .access()
            .into_iter()
            .filter(|line| {
                line["status"].as_u64().is_some_and(|status| status >= 500)
                    || line["ended"] != "done"
            })
            .collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_closes_what_is_open_when_its_time_is_over() {
    let store = crate::support::redis::RedisServer::start();
    let more = sessions(&database_8(&store), "door-a") + "[timeouts]\nmaintenance = \"500ms\"\n";
    let cluster = crate::support::cluster::Cluster::start_with(
        crate::support::harbor::Dialect::Harbor2,
        2,
        // The node itself would be patient.
        |options| options.timing.body_stall = Duration::from_secs(60),
        |plan| plan.more += &more,
    )
    .await;
    let door = &cluster.door;
    let mut client = Raw::connect(door, Protocol::Http1).await;
    let path = client.begin("library/closed").await;
    let home = nodes_of(door, "upload_start", 1).remove(0);
    let (pipe, body) = Piped::new(2000);
    pipe.send(vec![b'x'; 1000].into()).await.unwrap();
    let running = tokio::spawn(async move { client.send(Method::PATCH, &path, body).await });
    eventually("it runs", SOON, || {
        door.node(&home)["in_flight"].as_u64() > Some(0)
    });
    assert!(
        seawall(door, &["node", "maintenance", &home])
            .status
            .success()
    );
    eventually("it is closed", Duration::from_secs(5), || {
        running.is_finished()
    });
    let answer = running.await.unwrap();
    assert_eq!(answer.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(pipe);
    assert!(seawall(door, &["node", "ready", &home]).status.success());
    eventually("it serves again", SOON, || {
        door.node(&home)["state"] == "up"
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_without_a_store_lists_what_it_remembers() {
    let cluster =
        crate::support::cluster::Cluster::start(crate::support::harbor::Dialect::Harbor2, 2).await;
    let mut browser = Browser::default();
    browser.log_in(&cluster.door).await;
    let table = said(&seawall(&cluster.door, &["sessions"]));
    assert!(table.contains("1 in all"), "{table}");
    let b = other(&cluster, "");
    assert!(listed(&b, "ui").is_empty());
}
