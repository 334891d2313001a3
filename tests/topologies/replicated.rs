//! Several masters: each project has one that writes it.

use http::Method;
use serde_json::Value;

use super::{SOON, Two, puller, pulls, push, pusher};
use crate::support::clients::browser::Browser;
use crate::support::door::{Door, eventually};
use crate::support::harbor::{Component, Dialer, Mode, Switch};

async fn made(door: &Door, project: &str) {
    let client = pusher(door);
    let basic = client.basic();
    let lines = [
        ("authorization", basic.as_str()),
        ("content-type", "application/json"),
    ];
    let url = format!("{}/api/v2.0/projects", door.url());
    let body = format!("{{\"project_name\":\"{project}\",\"metadata\":{{\"public\":\"true\"}}}}");
    let answer = client.dialer.send(Method::POST, &url, &lines, body).await;
    assert_eq!(answer.unwrap().status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_written_at_one_node_through_whichever_door() {
    let two = Two::start("replicated", 3, |_| String::new()).await;
    for (round, door) in (0..6).zip(two.doors().into_iter().cycle()) {
        let repository = format!("library/alike-{round}");
        push(&pusher(door), &repository, "1", &repository)
            .await
            .unwrap();
    }
    let home = two.home("library/alike-0", "1");
    for round in 1..6 {
        assert_eq!(two.home(&format!("library/alike-{round}"), "1"), home);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_no_project_is_written_at_one_node() {
    let two = Two::start("replicated", 3, |_| String::new()).await;
    for (round, door) in (0..4).zip(two.doors().into_iter().cycle()) {
        made(door, &format!("team-{round}")).await;
    }
    let mut counts = Vec::new();
    for node in &two.apart.nodes {
        let (_, projects) = node
            .call("GET", "/api/v2.0/projects?page_size=100", None)
            .await;
        counts.push(projects.as_array().unwrap().len());
    }
    counts.sort_unstable();
    assert_eq!(counts[2] - counts[0], 4, "{counts:?}");
    assert_eq!(counts[0], counts[1], "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_is_followed_by_another_which_stays() {
    let mut two = Two::start("replicated", 2, |_| String::new()).await;
    push(&pusher(two.a()), "library/moves", "1", "one")
        .await
        .unwrap();
    let home = two.home("library/moves", "1");
    two.node(home).stop().await;
    // Through the door that has not seen a push yet, without waiting for its probes.
    push(&pusher(&two.b), "library/moves", "2", "two")
        .await
        .unwrap();
    let next = two.home("library/moves", "2");
    assert_ne!(next, home);
    assert!(two.b.said("another node writes the project from now on"));
    two.apart.nodes[home - 1].revive().await;
    for door in two.doors() {
        door.settled();
    }
    push(&pusher(two.a()), "library/moves", "3", "three")
        .await
        .unwrap();
    assert_eq!(two.home("library/moves", "3"), next);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_only_reads_is_followed_by_another() {
    let two = Two::start("replicated", 2, |_| String::new()).await;
    push(&pusher(two.a()), "library/locked", "1", "one")
        .await
        .unwrap();
    let home = two.home("library/locked", "1");
    two.node(home).switch(Switch::ReadOnly, true).await;
    push(&pusher(two.a()), "library/locked", "2", "two")
        .await
        .unwrap();
    assert_ne!(two.home("library/locked", "2"), home);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_writes_the_refusal_is_the_nodes_own() {
    let two = Two::start("replicated", 2, |_| String::new()).await;
    for number in [1, 2] {
        two.node(number).switch(Switch::ReadOnly, true).await;
    }
    let refused = push(&pusher(two.a()), "library/locked", "1", "one").await;
    let said = refused.unwrap_err();
    assert!(
        said.contains("403") && said.contains("read only mode"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_one_node_has_is_found_wherever_it_is_asked_for() {
    let two = Two::start("replicated", 3, |_| String::new()).await;
    for number in 1..=3 {
        let repository = format!("library/only-{number}");
        let digest = two.node(number).push(&repository, "1", &repository).await;
        for client in [puller(two.a()), puller(&two.b)] {
            for _ in 0..4 {
                assert_eq!(pulls(&client, &repository, "1").await.as_ref(), Ok(&digest));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_unknown() {
    let two = Two::start("replicated", 3, |_| String::new()).await;
    let client = puller(two.a());
    assert_eq!(client.digest("library/nothing", "1").await, Ok(None));
    let lines = || two.a().access();
    eventually("its line", SOON, || {
        !lines().iter().all(|line| line["class"] != "manifest_read")
    });
    let line = lines()
        .into_iter()
        .find(|line| line["class"] == "manifest_read")
        .unwrap();
    assert_eq!(
        (&line["status"], &line["attempts"]),
        (&Value::from(404), &Value::from(3))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_the_writer_lacks_is_lacking_for_a_push() {
    let two = Two::start("replicated", 2, |_| String::new()).await;
    push(&pusher(two.a()), "library/probe", "1", "one")
        .await
        .unwrap();
    let writer = two.home("library/probe", "1");
    let other = two.node(3 - writer);
    let digest = other.push("library/elsewhere", "1", "elsewhere").await;
    let manifest = puller(two.a())
        .manifest("library/elsewhere", &digest)
        .await
        .unwrap()
        .0;
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    // A push that heard of it would leave it out.
    for client in [pusher(two.a()), puller(two.a())] {
        assert_eq!(client.has_blob("library/elsewhere", layer).await, Ok(false));
    }
    assert_eq!(
        pusher(two.a()).digest("library/elsewhere", "1").await,
        Ok(None)
    );
    assert_eq!(
        puller(two.a()).digest("library/elsewhere", "1").await,
        Ok(Some(digest))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_on_when_a_node_fails_it() {
    let two = Two::start("replicated", 2, |_| String::new()).await;
    for number in [1, 2] {
        two.node(number).push("library/both", "1", "both").await;
    }
    two.node(1).set(Component::Registry, Mode::Down).await;
    for _ in 0..10 {
        pulls(&puller(two.a()), "library/both", "1").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_reads_back_through_the_door_reads_its_own() {
    let two = Two::start("replicated", 2, |_| String::new()).await;
    two.node(1).push("library/own", "1", "first").await;
    let second = two.node(2).push("library/own", "1", "second").await;
    let mut client = puller(two.a());
    client.dialer = Dialer {
        from: [127, 0, 0, 3].into(),
        agent: "harbor-registry-client".to_owned(),
    };
    for _ in 0..6 {
        assert_eq!(
            client.digest("library/own", "1").await,
            Ok(Some(second.clone()))
        );
    }
    two.node(1).push("library/first", "1", "x").await;
    assert_eq!(client.digest("library/first", "1").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_pages_stays_at_its_node_for_life() {
    let two = Two::start("replicated", 3, |_| String::new()).await;
    let mut browser = Browser::default();
    browser.log_in(two.a()).await;
    let nodes = |door: &Door| -> Vec<String> {
        let lines = door.access();
        let named = lines.iter().filter(|line| line["class"] == "ui_session");
        named
            .map(|line| line["node"].as_str().unwrap().to_owned())
            .collect()
    };
    eventually("its line", SOON, || !nodes(two.a()).is_empty());
    let home = nodes(two.a())[0].clone();
    let drained = two.a().ask("POST", &format!("/api/v1/nodes/{home}/drain"));
    assert_eq!(drained.0, 200, "{}", drained.1);
    for _ in 0..4 {
        for door in two.doors() {
            assert!(browser.is_logged_in(door).await);
        }
    }
}
