//! The door as a whole: what it answers when nodes come and go.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;

use super::support::client::Knock;
use super::support::cluster::Cluster;
use super::support::door::eventually;
use super::support::harbor::{Dialect, HarborNode};
use super::support::origin::{Origin, before};

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_through_the_door_gets_harbors_challenge() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    let url = format!("{}/v2/", cluster.door.url());
    let curl = Command::new("curl")
        .args(["-si", "--cacert"])
        .arg(cluster.door.ca())
        .arg(url)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&curl.stdout);
    assert!(text.contains("401"), "{text}");
    let realm = format!("realm=\"{}/service/token\"", cluster.door.url());
    assert!(text.contains(&realm), "{text}");
}

fn seawall(cluster: &Cluster, arguments: &[&str]) -> std::process::Output {
    let admin = format!("http://{}", cluster.door.admin);
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(arguments)
        .args(["--admin", &admin])
        .output()
        .unwrap()
}

fn pings(cluster: &Cluster, count: usize) {
    for _ in 0..count {
        let url = format!("{}/v2/", cluster.door.url());
        let ca = cluster.door.ca();
        let status = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "--cacert"])
            .arg(ca)
            .arg(url)
            .status();
        assert!(status.unwrap().success());
    }
}

fn served(cluster: &Cluster, node: &str) -> usize {
    let access = cluster.door.access();
    access.iter().filter(|line| line["node"] == node).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_gets_no_new_work_until_it_is_ready_again() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    let drained = seawall(&cluster, &["node", "drain", "harbor-1", "--wait", "5s"]);
    assert!(drained.status.success(), "{drained:?}");
    assert_eq!(cluster.door.node("harbor-1")["state"], "draining");
    pings(&cluster, 10);
    assert_eq!(served(&cluster, "harbor-1"), 0);
    assert!(
        seawall(&cluster, &["node", "ready", "harbor-1"])
            .status
            .success()
    );
    eventually("harbor-1 serves again", Duration::from_secs(20), || {
        pings(&cluster, 1);
        served(&cluster, "harbor-1") > 0
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_weight_zero_is_left_alone() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    assert!(
        seawall(&cluster, &["node", "weight", "harbor-2", "0"])
            .status
            .success()
    );
    pings(&cluster, 10);
    assert_eq!(served(&cluster, "harbor-2"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_node_is_said_to_be_unknown() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let output = seawall(&cluster, &["node", "drain", "harbor-9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no node has this name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_over_http_2_is_not_held_back_by_a_small_window() {
    let origin = Origin::saying("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let door = before(&origin);
    let mut knock = Knock::at(&door);
    knock.alpn = vec![b"h2".to_vec()];
    let stream = knock.tls().await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.max_send_buffer_size(16 << 20);
    let (send, connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let mut send = send.ready().await.unwrap();
    let url = format!("{}/v2/library/app/blobs/uploads/a", door.url());
    let request = http::Request::patch(url).body(()).unwrap();
    let (_answer, mut body) = send.send_request(request, false).unwrap();
    body.reserve_capacity(16 << 20);
    // 1 MiB would be 20 MB/s at a round trip of 50 ms.
    let enough = async {
        while body.capacity() < 2 << 20 {
            std::future::poll_fn(|cx| body.poll_capacity(cx))
                .await
                .unwrap()
                .unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), enough)
        .await
        .expect("a window of 2 MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_upgraded_to_another_generation_is_recognised_anew() {
    let mut cluster = Cluster::start(Dialect::Harbor1, 1).await;
    assert_eq!(cluster.door.node("harbor-1")["dialect"], "harbor-1");
    let old = cluster.nodes.remove(0);
    let mut options = old.options().clone();
    options.dialect = Dialect::Harbor2;
    old.stop().await;
    drop(old);
    let _new = HarborNode::start(options).await;
    eventually("the new dialect is found", Duration::from_secs(20), || {
        cluster.door.node("harbor-1")["dialect"] == "harbor-2"
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_readiness_agree_that_no_node_is_left() {
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let status = || -> serde_json::Value {
        serde_json::from_str(&cluster.door.ask("GET", "/api/v1/status").1).unwrap()
    };
    assert_eq!(status()["ready"], true);
    cluster.nodes[0].stop().await;
    eventually("not ready", Duration::from_secs(10), || {
        cluster.door.ask("GET", "/readyz").0 == 503
    });
    assert_eq!(status()["ready"], false);
    assert_eq!(status()["reasons"][0], "no node accepts registry requests");
}
