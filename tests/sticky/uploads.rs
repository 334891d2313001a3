//! Uploads stay with the node that has their bytes.

use super::{Pair, SOON, listed, listed_once, nodes_of, other};
use crate::support::clients::image::sha256;
use crate::support::clients::raw::{Piped, Protocol, Raw, finish, next};
use crate::support::cluster::Cluster;
use crate::support::door::eventually;
use crate::support::harbor::Dialect;
use bytes::Bytes;
use http::{Method, StatusCode};

fn body(bytes: &'static [u8]) -> Piped {
    let (pipe, body) = Piped::new(bytes.len() as u64);
    pipe.try_send(Bytes::from_static(bytes)).unwrap();
    body
}

/// Sends a chunk to an upload; where the next one goes.
async fn chunk(client: &mut Raw, path: &str, bytes: &'static [u8]) -> String {
    let answer = client.send(Method::PATCH, path, body(bytes)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED, "{answer:?}");
    next(&answer)
}

async fn end(client: &mut Raw, path: &str, bytes: &[u8]) {
    let path = finish(path, &format!("sha256:{}", sha256(bytes)));
    let answer = client.send(Method::PUT, &path, Piped::empty()).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_begun_through_one_door_goes_on_through_the_other_at_the_same_node() {
    let pair = Pair::start().await;
    for number in 0..8 {
        let mut a = Raw::connect(pair.a(), Protocol::Http1).await;
        let mut b = Raw::connect(&pair.b, Protocol::Http2).await;
        let path = a.begin(&format!("library/two-doors-{number}")).await;
        let path = chunk(&mut b, &path, b"one").await;
        let path = chunk(&mut a, &path, b"two").await;
        end(&mut b, &path, b"onetwo").await;
    }
    let begun = nodes_of(pair.a(), "upload_start", 8);
    assert_eq!(begun, nodes_of(&pair.b, "upload_chunk", 8));
    assert_eq!(begun, nodes_of(pair.a(), "upload_chunk", 8));
    assert_eq!(begun, nodes_of(&pair.b, "upload_finish", 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_outlives_both_doors() {
    let pair = Pair::start().await;
    let mut client = Raw::connect(pair.a(), Protocol::Http1).await;
    let path = client.begin("library/restarted").await;
    let path = chunk(&mut client, &path, b"one").await;
    let home = nodes_of(pair.a(), "upload_start", 1);
    let (c, _rest) = pair.reopened();
    let mut client = Raw::connect(&c, Protocol::Http1).await;
    let path = chunk(&mut client, &path, b"two").await;
    end(&mut client, &path, b"onetwo").await;
    assert_eq!(nodes_of(&c, "upload_chunk", 1), home);
    assert_eq!(nodes_of(&c, "upload_finish", 1), home);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_listed_while_it_runs_and_forgotten_at_its_end() {
    let pair = Pair::start().await;
    let mut client = Raw::connect(pair.a(), Protocol::Http1).await;
    let path = client.begin("library/listed").await;
    let uploads = listed_once(&pair.b, "upload", 1);
    assert_eq!(uploads[0]["door"], "door-a");
    assert_eq!(uploads[0]["client"], "127.0.0.0/24");
    let mut other = Raw::connect(&pair.b, Protocol::Http1).await;
    let path = chunk(&mut other, &path, b"all").await;
    end(&mut other, &path, b"all").await;
    for door in [pair.a(), &pair.b] {
        eventually("it is over", SOON, || listed(door, "upload").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doors_that_cannot_talk_choose_the_same_node_for_a_repository() {
    let cluster = Cluster::start(Dialect::Harbor2, 3).await;
    let b = other(&cluster, "");
    for number in 0..12 {
        let repository = format!("library/alike-{number}");
        for door in [&cluster.door, &b] {
            Raw::connect(door, Protocol::Http1)
                .await
                .begin(&repository)
                .await;
        }
    }
    let ours = nodes_of(&cluster.door, "upload_start", 12);
    assert_eq!(ours, nodes_of(&b, "upload_start", 12));
    let mut nodes = ours.clone();
    nodes.sort();
    nodes.dedup();
    assert!(nodes.len() > 1, "all on one node: {ours:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_elsewhere_when_its_node_is_gone() {
    let pair = Pair::start().await;
    let mut client = Raw::connect(pair.a(), Protocol::Http1).await;
    let path = client.begin("library/orphan").await;
    let path = chunk(&mut client, &path, b"one").await;
    let home = nodes_of(pair.a(), "upload_chunk", 1);
    let number: usize = home[0].trim_start_matches("harbor-").parse().unwrap();
    pair.cluster.nodes[number - 1].stop().await;
    let path = chunk(&mut client, &path, b"two").await;
    // The other door hears where it is now.
    let mut other = Raw::connect(&pair.b, Protocol::Http1).await;
    end(&mut other, &path, b"onetwo").await;
    assert_ne!(nodes_of(&pair.b, "upload_finish", 1), home);
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_uploads_leave_nothing_behind() {
    let pair = Pair::start().await;
    let mut client = Raw::connect(pair.a(), Protocol::Http1).await;
    for number in 0..200 {
        let path = format!(
            "/v2/library/x/blobs/uploads/{number:08x}-1111-4111-8111-111111111111?_state=x"
        );
        let answer = client
            .send(Method::GET, &path, Piped::empty())
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        http_body_util::BodyExt::collect(answer.into_body())
            .await
            .unwrap();
    }
    assert!(listed(pair.a(), "upload").is_empty());
}
