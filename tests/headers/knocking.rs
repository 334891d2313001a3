//! How the door is knocked at: names, certificates, protocols, and who announces others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::net::SocketAddr;

use crate::support::certs::Authority;
use crate::support::client::{Knock, Two, request};
use crate::support::door::Door;
use crate::support::origin::{Origin, before, before_with};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn status_for(door: &Door, host: &str) -> u16 {
    let mut raw = Knock::at(door).raw().await.unwrap();
    raw.ask(format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        .await
        .status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_served_is_misdirected() {
    let origin = Origin::saying(OK);
    let door = before_with(&origin, |plan| {
        plan.listen = "hosts = [\"registry.example.com\", \"[::1]\"]".to_owned();
    });
    for (host, status) in [
        ("registry.example.com", 200),
        ("Registry.Example.Com:8443", 200),
        ("[::1]:443", 200),
        ("other.example.com", 421),
        ("registry.example.com.evil.example", 421),
    ] {
        assert_eq!(status_for(&door, host).await, status, "{host}");
    }
    let mut two = Two::to(&door).await;
    assert_eq!(two.get("/v2/").await.status, 421);
}

/// A door whose peers at 127.0.0.2 speak the PROXY protocol.
fn announced(origin: &Origin) -> Door {
    before_with(origin, |plan| {
        plan.listen = "proxy_protocol = [\"127.0.0.2/32\"]".to_owned();
    })
}

fn from(door: &Door, peer: &str, preface: &[u8]) -> Knock {
    let mut knock = Knock::at(door);
    knock.from = Some(SocketAddr::new(peer.parse().unwrap(), 0));
    knock.preface = preface.to_vec();
    knock
}

fn version_2(source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&source);
    header.extend_from_slice(&[192, 0, 2, 2, 0x30, 0x39, 0x01, 0xbb]);
    header
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_peer_announces_the_client_in_either_version() {
    let origin = Origin::saying(OK);
    let door = announced(&origin);
    let one = b"PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n".to_vec();
    for (preface, client) in [(one, "192.0.2.1"), (version_2([192, 0, 2, 9]), "192.0.2.9")] {
        let mut raw = from(&door, "127.0.0.2", &preface).raw().await.unwrap();
        raw.ask("GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(origin.last().all("x-real-ip"), [client]);
        assert_eq!(origin.last().all("x-forwarded-for"), [client]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_peer_that_announces_nobody_or_nonsense_is_refused() {
    let origin = Origin::saying(OK);
    let door = announced(&origin);
    for preface in [
        &b""[..],
        b"PROXY TCP4 192.0.2.1\r\n",
        b"PROXY TCP4 192.0.2.999 192.0.2.2 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x91\x11\0\x0c",
    ] {
        let refused = from(&door, "127.0.0.2", preface).raw().await;
        assert!(refused.is_err(), "{preface:?}");
    }
    assert!(origin.heard().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_not_listed_cannot_announce_anybody() {
    let origin = Origin::saying(OK);
    let door = announced(&origin);
    let one = b"PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n";
    assert!(from(&door, "127.0.0.3", one).raw().await.is_err());
    let mut raw = from(&door, "127.0.0.3", b"").raw().await.unwrap();
    raw.ask("GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(origin.only().all("x-real-ip"), ["127.0.0.3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_that_is_asked_for_picks_the_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    authority.issue(directory.path(), "first", &["first.example"]);
    authority.issue(directory.path(), "second", &["second.example"]);
    let origin = Origin::saying(OK);
    let door = before_with(&origin, |plan| {
        for name in ["first", "second"] {
            let path = directory.path().join(name);
            let path = path.display();
            plan.listen.push_str(&format!(
                "[[listen.certificate]]\nchain = \"{path}.pem\"\nkey = \"{path}-key.pem\"\n"
            ));
        }
    });
    for name in ["first.example", "second.example"] {
        let mut knock = Knock::with(door.address, &directory.path().join("ca.pem"));
        knock.name = name.to_owned();
        assert!(knock.raw().await.is_ok(), "{name}");
    }
    // The default is the first.
    let mut knock = Knock::with(door.address, &directory.path().join("ca.pem"));
    knock.name = "third.example".to_owned();
    let refused = knock.raw().await.err().unwrap().to_string();
    assert!(refused.contains("first.example"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_tls_are_spoken() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut knock = Knock::at(&door);
        knock.versions = vec![version];
        let mut raw = knock.raw().await.unwrap();
        let agreed = raw.stream.tls().unwrap().protocol_version();
        assert_eq!(agreed, Some(version.version));
        let answer = raw.ask("GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_agreed_on_by_name() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    for (offers, agreed) in [
        (vec!["h2", "http/1.1"], Some("h2")),
        (vec!["http/1.1"], Some("http/1.1")),
        (vec![], None),
    ] {
        let mut knock = Knock::at(&door);
        knock.alpn = offers.iter().map(|name| name.as_bytes().to_vec()).collect();
        let raw = knock.raw().await.unwrap();
        let got = raw.stream.tls().unwrap().alpn_protocol();
        assert_eq!(got, agreed.map(str::as_bytes), "{offers:?}");
    }
    assert_eq!(Two::to(&door).await.get("/v2/").await.status, 200);
    assert_eq!(request(&door, "GET", "/v2/", "").await.status, 200);
}
