//! A push may last as long as it likes, as long as it moves.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use ring::digest::{Context, SHA256};

use super::support::clients::image::hex;
use super::support::clients::raw::{Piped, Protocol, Raw, finish, next, soon};
use super::support::cluster::Cluster;
use super::support::harbor::Dialect;

/// Sends `rate` bytes a second for `seconds` in ten pieces each second, as one request.
async fn push(protocol: Protocol, rate: usize, seconds: u64) {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    let mut client = Raw::connect(&cluster.door, protocol).await;
    let path = client.begin("library/slow").await;
    let piece = Bytes::from(vec![7u8; rate / 10]);
    let pieces = seconds * 10;
    let (pipe, body) = Piped::new(piece.len() as u64 * pieces);
    let began = Instant::now();
    let feed = async {
        let mut digest = Context::new(&SHA256);
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..pieces {
            tick.tick().await;
            digest.update(&piece);
            soon("room for a piece", pipe.send(piece.clone()))
                .await
                .expect("the push goes on");
        }
        drop(pipe);
        format!("sha256:{}", hex(digest.finish().as_ref()))
    };
    let (answer, digest) = tokio::join!(client.send(Method::PATCH, &path, body), feed);
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::ACCEPTED, "{answer:?}");
    let took = began.elapsed();
    let path = finish(&next(&answer), &digest);
    drop(answer);
    let put = client.send(Method::PUT, &path, Piped::empty());
    let answer = soon("the end", put).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
    let sent = piece.len() as u64 * pieces;
    println!("{protocol:?}: {sent} bytes in one request of {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_push_of_seconds_is_not_cut() {
    push(Protocol::Http2, 200_000, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lasts five minutes"]
async fn a_slow_push_of_five_minutes_is_not_cut() {
    tokio::join!(
        push(Protocol::Http1, 2_000_000, 300),
        push(Protocol::Http2, 2_000_000, 300)
    );
}
