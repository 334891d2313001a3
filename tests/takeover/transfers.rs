//! What runs while one process takes over from another.

use bytes::{Bytes, BytesMut};
use http::{Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{END, patient};
use crate::support::clients::image::sha256;
use crate::support::clients::raw::{self, Piped, Protocol, Raw, finish, soon};
use crate::support::cluster::Cluster;
use crate::support::door::eventually;
use crate::support::harbor::Dialect;

const HALF: usize = 1 << 20;

/// A push of which a node has the first half.
struct Push {
    pipe: mpsc::Sender<Bytes>,
    sent: JoinHandle<Result<Response<Incoming>, hyper::Error>>,
}

impl Push {
    async fn begin(cluster: &Cluster, protocol: Protocol) -> Self {
        let mut client = Raw::connect(&cluster.door, protocol).await;
        let digest = format!("sha256:{}", sha256(&vec![b'd'; 2 * HALF]));
        let path = finish(&client.begin("library/take").await, &digest);
        let (pipe, body) = Piped::new(2 * HALF as u64);
        let sent = tokio::spawn(async move { client.send(Method::PUT, &path, body).await });
        soon("the first half", pipe.send(vec![b'd'; HALF].into()))
            .await
            .unwrap();
        eventually("a node has the first half", raw::PATIENCE, || {
            let entries = cluster.nodes.iter().flat_map(|node| node.log().entries());
            entries.map(|entry| entry.body).sum::<u64>() >= HALF as u64
        });
        Push { pipe, sent }
    }

    /// Sends the second half.
    async fn end(self) -> Response<Incoming> {
        soon("the second half", self.pipe.send(vec![b'd'; HALF].into()))
            .await
            .unwrap();
        drop(self.pipe);
        let answer = soon("the end", self.sent).await.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
        answer
    }
}

async fn a_push_goes_on(protocol: Protocol, takeovers: usize) {
    let mut cluster = Cluster::start_with(Dialect::Harbor2, 2, patient, |_| {}).await;
    let push = Push::begin(&cluster, protocol).await;
    let mut elders = Vec::new();
    for _ in 0..takeovers {
        elders.push(cluster.door.take_over());
        let mut other = Raw::connect(&cluster.door, protocol).await;
        let pushed = other.push("library/other", vec![b'o'; 1000].into()).await;
        eventually("the new process served it", raw::PATIENCE, || {
            let lines = cluster.door.access();
            lines.iter().any(|line| {
                line["class"] == "upload_finish"
                    && line["path"].as_str().unwrap().contains(&pushed[7..])
            })
        });
    }
    assert!(!push.sent.is_finished());
    let answer = push.end().await;
    if protocol == Protocol::Http1 {
        assert_eq!(answer.headers()[header::CONNECTION], "close");
    }
    drop(answer);
    for elder in &mut elders {
        assert_eq!(elder.wait(END).code(), Some(0));
        assert!(elder.said("\"drained\""));
    }
    eventually("the last one hears of the end", raw::PATIENCE, || {
        cluster.door.said("the process before has ended")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_http_1_goes_on_while_one_process_after_another_takes_over() {
    a_push_goes_on(Protocol::Http1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_http_2_goes_on_while_one_process_after_another_takes_over() {
    a_push_goes_on(Protocol::Http2, 3).await;
}

async fn a_pull_goes_on(protocol: Protocol) {
    // More than all the buffers on the way together.
    let blob = Bytes::from(vec![b'y'; 48 << 20]);
    let mut cluster = Cluster::start(Dialect::Harbor2, 2).await;
    let mut client = Raw::connect(&cluster.door, protocol).await;
    let digest = client.push("library/take", blob).await;
    let path = format!("/v2/library/take/blobs/{digest}");
    let answer = soon("the head", client.send(Method::GET, &path, Piped::empty())).await;
    let mut body = answer.unwrap().into_body();
    let mut whole = BytesMut::new();
    let first = soon("a frame", body.frame()).await.unwrap().unwrap();
    whole.extend_from_slice(first.data_ref().unwrap());
    let mut elder = cluster.door.take_over();
    while let Some(frame) = soon("a frame", body.frame()).await {
        whole.extend_from_slice(frame.unwrap().data_ref().unwrap());
    }
    assert_eq!(format!("sha256:{}", sha256(&whole)), digest);
    drop(client);
    assert_eq!(elder.wait(END).code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_over_http_1_goes_on_while_another_process_takes_over() {
    a_pull_goes_on(Protocol::Http1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_over_http_2_goes_on_while_another_process_takes_over() {
    a_pull_goes_on(Protocol::Http2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_http_1_client_gets_one_more_answer_from_the_old_process() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let mut stream = raw::dial(&cluster.door, &[b"http/1.1"]).await;
    let mut elder = cluster.door.take_over();
    eventually("it drains", raw::PATIENCE, || elder.said("draining"));
    let ask = b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut told = Vec::new();
    soon("an answer and the end", stream.read_to_end(&mut told))
        .await
        .expect("a clean end");
    let told = String::from_utf8_lossy(&told).to_lowercase();
    assert!(told.starts_with("http/1.1 401"), "{told}");
    assert!(told.contains("connection: close"), "{told}");
    assert_eq!(elder.wait(END).code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_process_that_is_asked_to_end_dismisses_idle_clients() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let mut stream = raw::dial(&cluster.door, &[b"http/1.1"]).await;
    let mut elder = cluster.door.take_over();
    eventually("it drains", raw::PATIENCE, || elder.said("draining"));
    elder.signal(Signal::SIGTERM);
    soon("the end", stream.read_to_end(&mut Vec::new()))
        .await
        .expect("a clean end");
    assert_eq!(elder.wait(END).code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_ask_the_new_process_from_then_on() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let mut client = Raw::connect(&cluster.door, Protocol::Http1).await;
    client.push("library/app", vec![1; 1000].into()).await;
    let counted = || cluster.door.ask("GET", "/metrics").1;
    assert!(counted().contains("class=\"upload_finish\",code=\"201\""));
    let _elder = cluster.door.take_over();
    let counted = || cluster.door.ask("GET", "/metrics").1;
    eventually("the new process answers", raw::PATIENCE, || {
        !counted().contains("class=\"upload_finish\",code=\"201\"")
    });
    assert_eq!(cluster.door.ask("GET", "/readyz").0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_told_to_starts_the_process_that_takes_over_from_it() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    cluster.door.signal(Signal::SIGUSR2);
    // Both write to the same log.
    eventually("it took over", raw::PATIENCE, || {
        cluster.door.said("took over; the process before")
    });
    let heir = cluster.door.log().iter().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let started = line["message"] == "started the process that takes over";
        started.then(|| line["process"].as_i64())?
    });
    let heir = nix::unistd::Pid::from_raw(i32::try_from(heir.expect("its number")).unwrap());
    assert_eq!(cluster.door.wait(END).code(), Some(0));
    let mut client = Raw::connect(&cluster.door, Protocol::Http2).await;
    client.push("library/app", vec![1; 1000].into()).await;
    nix::sys::signal::kill(heir, Signal::SIGTERM).unwrap();
    eventually("the new one ends as well", END, || {
        std::net::TcpStream::connect(cluster.door.address).is_err()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_started_after_an_heir_was_killed_can_be_taken_over_while_the_elder_still_works() {
    let mut cluster = Cluster::start_with(Dialect::Harbor2, 1, patient, |_| {}).await;
    let push = Push::begin(&cluster, Protocol::Http1).await;
    let mut elder = cluster.door.take_over();
    cluster.door.crash();
    cluster.door.start_again();
    assert!(!cluster.door.said("no other process can take over"));
    let mut second = cluster.door.take_over();
    assert_eq!(second.wait(END).code(), Some(0));
    let answer = push.end().await;
    drop(answer);
    assert_eq!(elder.wait(END).code(), Some(0));
}
