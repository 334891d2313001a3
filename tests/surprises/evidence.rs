//! What looks like health and is not, and the other way round.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::Duration;

use crate::support::client::{basic, get, request};
use crate::support::cluster::Cluster;
use crate::support::door::{Door, Plan, eventually};
use crate::support::harbor::{Component, Dialect, Mode};
use crate::support::origin::{Origin, Then, before};

const SOON: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_get_of_http_1_1_with_the_public_host() {
    for dialect in [Dialect::Harbor2, Dialect::Harbor1, Dialect::Harbor15] {
        let cluster = Cluster::start(dialect, 1).await;
        let public = cluster.door.registry();
        let probes = cluster.nodes[0].log().entries();
        assert!(probes.len() > 4);
        for probe in probes {
            assert_eq!(probe.method, "GET");
            assert_eq!(probe.version, http::Version::HTTP_11);
            assert_eq!(probe.values("host").collect::<Vec<_>>(), [public.as_str()]);
            assert_ne!(probe.status, Some(400), "{}", probe.target);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_do_not_leave_a_session_each_behind() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let node = &cluster.nodes[0];
    node.log().clear();
    let core = |target: &str| target.starts_with("/api") || target.starts_with("/v2");
    eventually("a few rounds", SOON, || node.log().entries().len() > 15);
    for probe in node.log().entries().iter().filter(|e| core(&e.target)) {
        assert!(probe.header("cookie").is_some(), "{}", probe.target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_401_never_count_against_a_node() {
    let origin = Origin::saying("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    let door = before(&origin);
    for _ in 0..30 {
        assert_eq!(get(&door, "/v2/library/app/manifests/1").await.status, 401);
    }
    assert_eq!(door.node("harbor-1")["state"], "up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_document_is_judged_by_its_words_and_not_by_its_200() {
    let ill = r#"{"status":"unhealthy","components":[{"name":"core","status":"healthy"},{"name":"registry","status":"unhealthy","error":"refused"}]}"#;
    let origin = Origin::probed(
        move |head| {
            let document = head.starts_with("GET /api/v2.0/health ");
            let body = match head.split(' ').nth(1).unwrap() {
                _ if document => ill,
                "/api/v2.0/ping" => "Pong",
                _ => "[]",
            };
            Some(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
        },
        |_| Then::Close,
    );
    let door = Door::start(&Plan::fronting([origin.url()]));
    eventually("the registry is called ill", SOON, || {
        let node = door.node("harbor-1");
        node["serves"]["registry"] == false && node["serves"]["api"] == true
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_for_every_path_are_no_health() {
    let page =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>";
    let pages = Origin::probed(
        |_| None,
        move |talk| {
            talk.say(page);
            Then::Next
        },
    );
    let well = Origin::saying("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    let mut plan = Plan::fronting([pages.url(), well.url()]);
    plan.more = plan
        .more
        .replace("[health]\n", "[health]\nprobe = \"harbor-2\"\n");
    let door = Door::start(&plan);
    eventually("the pages are seen through", SOON, || {
        door.node("harbor-1")["serves"]["registry"] == false
            && door.node("harbor-2")["state"] == "up"
    });
    for _ in 0..10 {
        assert_eq!(get(&door, "/v2/").await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_502_instead_of_refusing_costs_reads_nothing() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    cluster.nodes[0].set(Component::Core, Mode::Down).await;
    for _ in 0..20 {
        let answer = get(&cluster.door, "/v2/").await;
        assert_eq!(answer.status, 401, "{}", answer.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_502_of_core_itself_costs_reads_nothing() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    cluster.nodes[0].set(Component::Registry, Mode::Down).await;
    let admin = basic("admin", "Harbor12345");
    for _ in 0..20 {
        let answer = request(&cluster.door, "GET", "/v2/", &admin).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
    }
}
