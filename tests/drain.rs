//! The end of the process: nothing new, what runs may finish, and everybody is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use hyper::body::Incoming;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::support::clients::image::sha256;
use super::support::clients::raw::{self, Piped, Protocol, Raw, finish, soon};
use super::support::cluster::Cluster;
use super::support::door::eventually;
use super::support::harbor::Dialect;

const HALF: usize = 1 << 20;

/// A push of which the first half has arrived at a node.
struct Halfway {
    cluster: Cluster,
    pipe: mpsc::Sender<Bytes>,
    answer: JoinHandle<hyper::Result<Response<Incoming>>>,
}

async fn halfway(protocol: Protocol) -> Halfway {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    let mut client = Raw::connect(&cluster.door, protocol).await;
    let digest = format!("sha256:{}", sha256(&vec![b'd'; 2 * HALF]));
    let path = finish(&client.begin("library/drain").await, &digest);
    let (pipe, body) = Piped::new(2 * HALF as u64);
    let answer = tokio::spawn(async move { client.send(Method::PUT, &path, body).await });
    soon("the first half", pipe.send(vec![b'd'; HALF].into()))
        .await
        .unwrap();
    eventually("a node has the first half", raw::PATIENCE, || {
        let entries = cluster.nodes.iter().flat_map(|node| node.log().entries());
        entries.map(|entry| entry.body).sum::<u64>() >= HALF as u64
    });
    Halfway {
        cluster,
        pipe,
        answer,
    }
}

async fn a_push_finishes(protocol: Protocol) {
    let Halfway {
        mut cluster,
        pipe,
        answer,
    } = halfway(protocol).await;
    let door = &mut cluster.door;
    door.signal(Signal::SIGTERM);
    eventually("it stops accepting", Duration::from_secs(5), || {
        TcpStream::connect(door.address).is_err()
    });
    eventually("it says what it waits for", Duration::from_secs(5), || {
        let lines = door.log();
        lines.iter().any(|line| {
            line.contains("still waiting") && line.contains("push") && line.contains(":1")
        })
    });
    assert!(!answer.is_finished());
    soon("the second half", pipe.send(vec![b'd'; HALF].into()))
        .await
        .unwrap();
    drop(pipe);
    let answer = soon("the end", answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
    if protocol == Protocol::Http1 {
        assert_eq!(answer.headers()[header::CONNECTION], "close");
    }
    assert_eq!(door.wait(Duration::from_secs(10)).code(), Some(0));
    assert!(door.said("drained"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_http_1_finishes_before_the_door_ends() {
    a_push_finishes(Protocol::Http1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_http_2_finishes_before_the_door_ends() {
    a_push_finishes(Protocol::Http2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_work_the_door_ends_at_once_and_well() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    cluster.door.signal(Signal::SIGTERM);
    let status = cluster.door.wait(Duration::from_secs(5));
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_door_at_once() {
    let Halfway {
        mut cluster, pipe, ..
    } = halfway(Protocol::Http1).await;
    let door = &mut cluster.door;
    door.signal(Signal::SIGTERM);
    let drains = || door.said("draining");
    eventually("it drains", Duration::from_secs(5), drains);
    let began = Instant::now();
    door.signal(Signal::SIGTERM);
    let status = door.wait(Duration::from_secs(5));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(status.code(), Some(1));
    drop(pipe);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_http_1_client_sees_the_end_of_its_connection() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let mut stream = raw::dial(&cluster.door, &[b"http/1.1"]).await;
    stream
        .write_all(b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut some = [0; 4096];
    assert!(soon("an answer", stream.read(&mut some)).await.unwrap() > 0);
    cluster.door.signal(Signal::SIGTERM);
    let mut rest = Vec::new();
    // A close_notify, not just the end of the stream, which would be an error here.
    soon("the end", stream.read_to_end(&mut rest))
        .await
        .expect("a clean end");
    assert_eq!(cluster.door.wait(Duration::from_secs(5)).code(), Some(0));
}

/// Reads frames of HTTP/2 up to one of `kind`, and its payload.
async fn frame(stream: &mut (impl AsyncReadExt + Unpin), kind: u8) -> std::io::Result<Vec<u8>> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, found, ..] = head;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        stream.read_exact(&mut payload).await?;
        if found == kind {
            return Ok(payload);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_http_2_client_is_told_to_go_away() {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    for _ in 0..3 {
        let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
        let mut stream = raw::dial(&cluster.door, &[b"h2"]).await;
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .unwrap();
        soon("its settings", frame(&mut stream, SETTINGS))
            .await
            .unwrap();
        cluster.door.signal(Signal::SIGTERM);
        let told = soon("a GOAWAY", frame(&mut stream, GOAWAY)).await;
        let told = told.expect("a GOAWAY before the end");
        let no_error = [0; 4];
        assert_eq!(told.get(4..8), Some(no_error.as_slice()), "{told:?}");
        // A client that never answers the PING of a graceful end cannot hold it up for long.
        assert_eq!(cluster.door.wait(Duration::from_secs(10)).code(), Some(0));
    }
}
