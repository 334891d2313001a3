//! Downloads that go on between real registries: who may have it, and who has it.

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;

use super::*;
use crate::support::apart::Apart;
use crate::support::clients::raw::{self, Piped, Protocol};
use crate::support::cluster::Cluster;
use crate::support::harbor::{Dialect, HarborNode, Switch};

/// Too much for all buffers on the way.
const SIZE: usize = 48 << 20;

/// The node that works on something.
fn busy(door: &Door, count: usize) -> usize {
    let works = |at: &usize| door.node(&format!("harbor-{at}"))["in_flight"] == 1;
    (1..=count).find(works).expect("a node that serves")
}

/// Pulls `blob`; `meanwhile` is called with the number of the node that serves it. `None`: it was cut off.
async fn pull_while(
    door: &Door,
    nodes: &[HarborNode],
    path: &str,
    authorization: &str,
    meanwhile: impl AsyncFnOnce(usize),
) -> Option<Vec<u8>> {
    let mut client = raw::Raw::connect(door, Protocol::Http1).await;
    let mut answer = client
        .send_as(Method::GET, path, Piped::empty(), authorization)
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = Vec::new();
    while body.len() < 1 << 20 {
        let frame = answer.frame().await.unwrap().unwrap();
        body.extend_from_slice(frame.data_ref().unwrap());
    }
    meanwhile(busy(door, nodes.len())).await;
    while let Some(frame) = answer.frame().await {
        body.extend_from_slice(frame.ok()?.data_ref()?);
    }
    Some(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_node_decides_afresh_who_may_have_it() {
    for known in [true, false] {
        let cluster = Cluster::start(Dialect::Harbor2, 2).await;
        let (door, nodes) = (&cluster.door, &cluster.nodes);
        let blob = Blob::new(SIZE);
        let mut client = raw::Raw::connect(door, Protocol::Http1).await;
        let bytes = Bytes::from(blob.bytes.clone());
        client.push("private/app", bytes).await;
        let token = nodes[0].token("private/app").await;
        let (bearer, path) = (
            format!("Bearer {token}"),
            blob.path().replace("library", "private"),
        );
        let got = pull_while(door, nodes, &path, &bearer, async |serves| {
            let other = &nodes[2 - serves];
            other.switch(Switch::WrongTokenKey, !known).await;
            nodes[serves - 1].stop().await;
        });
        let got = got.await;
        assert_eq!(got.is_some_and(|body| body == blob.bytes), known);
        let outcome = if known { "resumed" } else { "refused" };
        assert_eq!(resumes(door, outcome), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_nodes_with_data_of_their_own_one_goes_on_that_has_it() {
    let apart = Apart::start(Dialect::Harbor2, 3, |_| {}, |_| {}).await;
    let (door, nodes) = (apart.door.as_ref().unwrap(), &apart.nodes);
    let blob = Blob::new(SIZE);
    // Two of three have it; nothing replicates a blob without a manifest.
    for node in &nodes[..2] {
        let bytes = Bytes::from(blob.bytes.clone());
        node.push_blob("library/app", bytes).await;
    }
    let bearer = format!("Bearer {}", nodes[0].token("library/app").await);
    let path = blob.path();
    let got = pull_while(door, nodes, &path, &bearer, async |serves| {
        nodes[serves - 1].stop().await;
    });
    assert!(got.await.unwrap() == blob.bytes);
    let line = line(door, &blob.path());
    assert_eq!(line["resumed"], 1, "{line}");
    assert_ne!(line["node"], "harbor-3");
}
