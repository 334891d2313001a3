//! Who the client was, as told to nodes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use crate::support::client::{Two, request};
use crate::support::origin::{Origin, before, before_with};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const CLAIMS: &str = "Forwarded: for=1.2.3.4;host=evil.example;proto=http\r\nX-Forwarded-For: 1.2.3.4\r\n\
    X-Forwarded-Host: mirror.example\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /evil\r\n\
    X-Forwarded-Server: evil\r\nX-Forwarded-Scheme: ftp\r\nX-Real-IP: 1.2.3.4\r\nX-Original-URL: /evil\r\nTrue-Client-IP: 1.2.3.4\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_claims_about_the_client_is_overwritten() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    request(&door, "GET", "/v2/", CLAIMS).await;
    let heard = origin.only();
    assert_eq!(heard.all("x-forwarded-proto"), ["https"]);
    assert_eq!(heard.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(heard.all("x-real-ip"), ["127.0.0.1"]);
    for gone in ["1.2.3.4", "evil", "mirror", "x-forwarded-port", "ftp"] {
        assert!(!heard.head.contains(gone), "{gone}: {}", heard.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trusted_forwarder_says_of_the_client_is_kept() {
    let origin = Origin::saying(OK);
    let door = before_with(&origin, |plan| {
        plan.listen = "trusted_forwarders = [\"127.0.0.0/8\"]".to_owned();
    });
    request(&door, "GET", "/v2/", CLAIMS).await;
    let heard = origin.only();
    assert_eq!(heard.all("x-forwarded-proto"), ["http"]);
    assert_eq!(heard.all("x-forwarded-for"), ["1.2.3.4, 127.0.0.1"]);
    assert_eq!(heard.all("x-real-ip"), ["1.2.3.4"]);
    assert_eq!(heard.all("x-forwarded-host"), ["mirror.example"]);
    assert!(heard.all("forwarded").is_empty(), "{}", heard.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheme_said_twice_by_a_trusted_forwarder_is_replaced_by_one() {
    let origin = Origin::saying(OK);
    let door = before_with(&origin, |plan| {
        plan.listen = "trusted_forwarders = [\"127.0.0.0/8\"]".to_owned();
    });
    for claim in [
        "X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n",
        "X-Forwarded-Proto: https,http\r\n",
        "X-Forwarded-Proto: gopher\r\n",
    ] {
        request(&door, "GET", "/v2/", claim).await;
        let heard = origin.last();
        assert_eq!(heard.all("x-forwarded-proto"), ["https"], "{claim}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_reaches_the_node_with_its_port() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let host = door.address.to_string();
    request(&door, "GET", "/v2/", "").await;
    assert_eq!(origin.last().all("host"), [host.as_str()]);
    Two::to(&door).await.get("/v2/").await;
    assert_eq!(origin.last().all("host"), [host.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absolute_target_reaches_the_node_as_path_and_host() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let host = door.address.to_string();
    request(&door, "GET", &format!("https://{host}/v2/?a=b"), "").await;
    let heard = origin.only();
    assert_eq!(heard.target(), "/v2/?a=b");
    assert_eq!(heard.all("host"), [host.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_kept_and_said_back() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let answer = request(&door, "GET", "/v2/", "X-Request-ID: mine-1\r\n").await;
    assert_eq!(answer.all("x-request-id").collect::<Vec<_>>(), ["mine-1"]);
    assert_eq!(origin.only().all("x-request-id"), ["mine-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_id_is_given_one() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let answer = request(&door, "GET", "/v2/", "").await;
    let heard = origin.only();
    let id = heard.header("x-request-id").expect("an id");
    assert_eq!(answer.header("x-request-id"), Some(id));
    assert!(id.len() >= 32, "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_the_request_id_back_too() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let answer = request(&door, "GET", "/v1/search", "X-Request-ID: mine-2\r\n").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("x-request-id"), Some("mine-2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_at_a_hop_ends_at_the_door() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: timeout=5\r\nProxy-Connection: a\r\nX-Mine: b\r\nX-Yours: c\r\n\r\nok",
    );
    let door = before(&origin);
    let more = "Keep-Alive: timeout=9\r\nProxy-Authorization: Basic YTpi\r\nProxy-Connection: keep-alive\r\nTE: trailers, gzip\r\nX-Fine: yes\r\n";
    let answer = request(&door, "GET", "/api/v2.0/x", more).await;
    for gone in ["keep-alive", "proxy-connection", "x-mine"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!(answer.header("x-yours"), Some("c"));
    let heard = origin.only();
    for gone in ["keep-alive", "proxy-authorization", "proxy-connection"] {
        assert_eq!(heard.header(gone), None, "{gone}");
    }
    assert_eq!(heard.header("te"), Some("trailers"));
    assert_eq!(heard.header("x-fine"), Some("yes"));
}
