//! Answers that break the rules, or seem to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use crate::support::client::{Raw, Two, get, request};
use crate::support::cluster::Cluster;
use crate::support::harbor::Dialect;
use crate::support::image::Image;
use crate::support::origin::{Origin, Then, before};

const BLOB: &str =
    "/v2/library/app/blobs/sha256:96f0b3f895dd2b387810047d256de70e7140b048e76f66a1fb4f058dbc333da2";

/// What distribution says to a range that cannot be: the blob's length, and a short text.
fn short() -> Origin {
    Origin::start(|talk| {
        if talk.request().header("range").is_none() {
            talk.answer("200 OK", "", "fine");
            return Then::Next;
        }
        talk.say("HTTP/1.1 416 Requested Range Not Satisfiable\r\nContent-Length: 52444988\r\nContent-Range: bytes */52444988\r\n\r\ninvalid range: failed to overlap\n");
        Then::Close
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_416_shorter_than_it_says_reaches_the_client_whole() {
    let origin = short();
    let door = before(&origin);
    let range = "Range: bytes=99999999-\r\n";
    let answer = request(&door, "GET", BLOB, range).await;
    assert_eq!(answer.status, 416);
    assert!(answer.whole, "{}", answer.head);
    assert_eq!(answer.text(), "invalid range: failed to overlap\n");
    let mut two = Two::to(&door).await;
    let request = two.request("GET", BLOB).header("range", "bytes=99999999-");
    let answer = two.ask(request).await.unwrap();
    assert_eq!(answer.status, 416);
    assert_eq!(answer.body.unwrap(), b"invalid range: failed to overlap\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_416_is_no_failure_and_its_connection_is_not_used_again() {
    let origin = short();
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    for _ in 0..12 {
        let head = format!("GET {BLOB} HTTP/1.1\r\nHost: a\r\n");
        let answer = raw.ask(format!("{head}Range: bytes=9-\r\n\r\n")).await;
        assert_eq!(answer.status, 416);
        assert_eq!(raw.ask(format!("{head}\r\n")).await.text(), "fine");
    }
    assert_eq!(door.node("harbor-1")["state"], "up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_range_beyond_the_end_is_answered_through_the_door() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let image = Image::new("range", &[50_000]);
    assert!(
        image
            .push(&cluster.door, "library/range:1")
            .status
            .success()
    );
    let manifest = std::fs::read(image.directory.path().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap();
    let target = format!("/v2/library/range/blobs/{digest}");
    let admin = crate::support::client::basic("admin", "Harbor12345");
    let far = format!("{admin}Range: bytes=99999999-\r\n");
    let answer = request(&cluster.door, "GET", &target, &far).await;
    assert_eq!(
        (answer.status, answer.whole),
        (416, true),
        "{}",
        answer.head
    );
    let near = format!("{admin}Range: bytes=10-19\r\n");
    let answer = request(&cluster.door, "GET", &target, &near).await;
    assert_eq!((answer.status, answer.body.len()), (206, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_keeps_its_length_and_has_no_body() {
    let origin = Origin::start(|talk| {
        let status = if talk.request().target() == BLOB {
            "200 OK"
        } else {
            "404 Not Found"
        };
        talk.say(format!(
            "HTTP/1.1 {status}\r\nContent-Length: 52444988\r\n\r\n"
        ));
        Then::Next
    });
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    for (target, status) in [(BLOB, 200), ("/v2/a/manifests/1", 404), (BLOB, 200)] {
        let answer = raw
            .ask(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-length"), Some("52444988"));
    }
    let mut two = Two::to(&door).await;
    let request = two.request("HEAD", BLOB);
    let answer = two.ask(request).await.unwrap();
    assert_eq!(answer.headers["content-length"], "52444988");
    assert!(answer.body.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_answers_pass_untouched() {
    let origin = Origin::start(|talk| {
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n";
        match talk.request().target() {
            "/service/token" => talk.say(format!("{head}Content-Length: 3\r\n\r\n\x1f\x0b\x08")),
            _ => talk.say(format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n3\r\n\x1f\x0b\x08\r\n0\r\n\r\n"
            )),
        }
        Then::Next
    });
    let door = before(&origin);
    for target in ["/service/token", "/main.js"] {
        let answer = request(&door, "GET", target, "Accept-Encoding: gzip\r\n").await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert_eq!(answer.body, b"\x1f\x0b\x08");
        assert_eq!(origin.last().header("accept-encoding"), Some("gzip"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_redirect_of_v2_gets_scheme_and_port_back() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let answer = get(&cluster.door, "/v2").await;
    assert_eq!(answer.status, 301);
    assert_eq!(
        answer.header("location").unwrap(),
        format!("{}/v2/", cluster.door.url())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_of_8_kilobytes_passes() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let door = before(&origin);
    let bearer = format!("Bearer {}", "a".repeat(8 << 10));
    let line = format!("Authorization: {bearer}\r\n");
    assert_eq!(request(&door, "GET", "/v2/", &line).await.status, 200);
    assert_eq!(origin.last().header("authorization"), Some(bearer.as_str()));
    let mut two = Two::to(&door).await;
    let request = two.request("GET", "/v2/").header("authorization", &bearer);
    assert_eq!(two.ask(request).await.unwrap().status, 200);
    assert_eq!(origin.last().header("authorization"), Some(bearer.as_str()));
}
