//! Many connections, many requests, and one change of the door after another: nobody sees a failure.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt;
use tokio::task::JoinSet;

use super::{END, patient};
use crate::support::clients::image::sha256;
use crate::support::clients::raw::{Entrance, PATIENCE, Piped, Protocol, Raw, finish, path};
use crate::support::cluster::Cluster;
use crate::support::door::{Door, Plan, Process};
use crate::support::harbor::{Dialect, HarborNode};

/// What everybody pulls.
const BLOB: usize = 64 << 10;
/// Half of what the patient ones push.
const HALF: usize = 256 << 10;

/// What the clients have in common.
struct Load {
    entrance: Entrance,
    digest: String,
    over: AtomicBool,
    /// Changes of the door so far.
    cycle: AtomicUsize,
    done: AtomicUsize,
    pushes: AtomicUsize,
    reconnected: AtomicUsize,
    /// Requests that a GOAWAY refused.
    crossed: AtomicUsize,
    failures: Mutex<BTreeMap<String, usize>>,
}

impl Load {
    fn failed(&self, why: String) {
        *self.failures.lock().unwrap().entry(why).or_default() += 1;
    }
}

/// A client that connects anew when it is told that its connection will end, as clients do.
struct Client {
    load: Arc<Load>,
    protocol: Protocol,
    raw: Option<Raw>,
}

impl Client {
    /// One request. Whatever a client could not know beforehand is a failure.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: impl Fn() -> Piped,
    ) -> Result<(StatusCode, HeaderMap, Bytes), String> {
        loop {
            let raw = match &mut self.raw {
                Some(raw) => raw,
                None => {
                    let connected = Raw::at(&self.load.entrance, self.protocol).await;
                    let raw = connected.map_err(|error| format!("connect: {error}"))?;
                    self.raw.insert(raw)
                }
            };
            let answer = match raw.send(method.clone(), path, body()).await {
                Ok(answer) => answer,
                // It had heard a GOAWAY, and nothing was sent.
                Err(error)
                    if self.protocol == Protocol::Http2
                        && (error.is_canceled() || error.is_closed()) =>
                {
                    self.raw = None;
                    self.load.reconnected.fetch_add(1, SeqCst);
                    continue;
                }
                // Its HEADERS crossed the GOAWAY: by RFC 9113 §6.8 it was not processed, and is sent again.
                Err(error) if is_refused(&error) => {
                    self.raw = None;
                    self.load.crossed.fetch_add(1, SeqCst);
                    continue;
                }
                Err(error) => return Err(format!("{:?} {method}: {error:?}", self.protocol)),
            };
            let (head, body) = answer.into_parts();
            let body = body.collect().await;
            let body = body.map_err(|error| format!("{:?} body: {error:?}", self.protocol))?;
            if head
                .headers
                .get(header::CONNECTION)
                .is_some_and(|word| word == "close")
            {
                self.raw = None;
                self.load.reconnected.fetch_add(1, SeqCst);
            }
            return Ok((head.status, head.headers, body.to_bytes()));
        }
    }

    async fn pull(&mut self) -> Result<(), String> {
        let path = format!("/v2/library/load/blobs/{}", self.load.digest);
        let (status, _, body) = self.ask(Method::GET, &path, Piped::empty).await?;
        match status == StatusCode::OK && format!("sha256:{}", sha256(&body)) == self.load.digest {
            true => Ok(()),
            false => Err(format!("pull: {status}, {} bytes", body.len())),
        }
    }

    async fn begin(&mut self) -> Result<String, String> {
        let begin = "/v2/library/load/blobs/uploads/";
        let (status, headers, _) = self.ask(Method::POST, begin, Piped::empty).await?;
        match status {
            StatusCode::ACCEPTED => Ok(path(&headers)),
            _ => Err(format!("begin: {status}")),
        }
    }

    async fn push(&mut self, bytes: Bytes) -> Result<(), String> {
        let digest = format!("sha256:{}", sha256(&bytes));
        let path = finish(&self.begin().await?, &digest);
        let body = || {
            let (pipe, body) = Piped::new(bytes.len() as u64);
            let _ = pipe.try_send(bytes.clone());
            body
        };
        match self.ask(Method::PUT, &path, body).await?.0 {
            StatusCode::CREATED => Ok(()),
            status => Err(format!("push: {status}")),
        }
    }

    /// A push that lasts longer than two changes of the door.
    async fn push_patiently(&mut self, number: u8) -> Result<(), String> {
        let half = Bytes::from(vec![number; HALF]);
        let digest = format!("sha256:{}", sha256(&[half.clone(), half.clone()].concat()));
        let path = finish(&self.begin().await?, &digest);
        let load = self.load.clone();
        let body = || {
            let (pipe, body) = Piped::new(2 * HALF as u64);
            let (load, half) = (load.clone(), half.clone());
            tokio::spawn(async move {
                let _ = pipe.send(half.clone()).await;
                let begun = load.cycle.load(SeqCst);
                while load.cycle.load(SeqCst) < begun + 2 && !load.over.load(SeqCst) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let _ = pipe.send(half).await;
            });
            body
        };
        match self.ask(Method::PUT, &path, body).await?.0 {
            StatusCode::CREATED => Ok(()),
            status => Err(format!("patient push: {status}")),
        }
    }

    async fn work(mut self, number: usize) {
        let mut round = 0_usize;
        while !self.load.over.load(SeqCst) {
            round += 1;
            let done = if number.is_multiple_of(10) {
                self.push_patiently(u8::try_from(number % 251).unwrap_or(0))
                    .await
            } else if (number + round).is_multiple_of(8) {
                let text = format!("{number} {round}");
                self.push(text.into_bytes().into()).await
            } else {
                self.pull().await
            };
            match done {
                Ok(()) => {
                    self.load.done.fetch_add(1, SeqCst);
                    if number.is_multiple_of(10) {
                        self.load.pushes.fetch_add(1, SeqCst);
                    }
                }
                Err(why) => {
                    self.load.failed(why);
                    self.raw = None;
                }
            }
        }
    }
}

fn is_refused(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    let h2 = source.and_then(|source| source.downcast_ref::<h2::Error>());
    h2.is_some_and(|h2| {
        h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR)
    })
}

/// What a process has: files and bytes.
fn holds(door: &Door) -> (usize, u64) {
    let files = std::fs::read_dir(format!("/proc/{}/fd", door.pid())).unwrap();
    (files.count(), door.memory())
}

/// Lets `connections` work while `change` is made again and again. What the door had before each.
async fn nobody_notices(
    connections: usize,
    cycles: usize,
    mut change: impl AsyncFnMut(&mut Cluster, usize),
) -> Vec<(usize, u64)> {
    let mut cluster = Cluster::start_with(Dialect::Harbor2, 2, patient, |_| {}).await;
    let mut first = Raw::connect(&cluster.door, Protocol::Http1).await;
    let digest = first.push("library/load", vec![b'l'; BLOB].into()).await;
    drop(first);
    let load = Arc::new(Load {
        entrance: Entrance::of(&cluster.door),
        digest,
        over: AtomicBool::new(false),
        cycle: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        pushes: AtomicUsize::new(0),
        reconnected: AtomicUsize::new(0),
        crossed: AtomicUsize::new(0),
        failures: Mutex::default(),
    });
    let mut clients = JoinSet::new();
    for number in 0..connections {
        let protocol = [Protocol::Http1, Protocol::Http2][number / 10 % 2];
        let client = Client {
            load: load.clone(),
            protocol,
            raw: None,
        };
        clients.spawn(client.work(number));
    }
    let began = Instant::now();
    let mut held = Vec::new();
    for cycle in 1..=cycles {
        // Everybody has done something since the last change.
        let until = load.done.load(SeqCst) + connections;
        let patience = Instant::now() + 2 * PATIENCE;
        while load.done.load(SeqCst) < until {
            assert!(Instant::now() < patience, "{:?}", load.failures.lock());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        held.push(holds(&cluster.door));
        change(&mut cluster, cycle).await;
        load.cycle.fetch_add(1, SeqCst);
    }
    load.over.store(true, SeqCst);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let failures = load.failures.lock().unwrap().clone();
    let (most_files, most_bytes) = (
        held.iter().map(|h| h.0).max(),
        held.iter().map(|h| h.1).max(),
    );
    println!(
        "{connections} connections, {cycles} changes in {:?}: {} operations, {} of them pushes across two changes, {} \
         connections made anew as told, {} requests that crossed a GOAWAY; failures: {failures:?}; files and bytes: {:?} at first, {:?} in the end, {:?} and \
         {:?} at most",
        began.elapsed(),
        load.done.load(SeqCst),
        load.pushes.load(SeqCst),
        load.reconnected.load(SeqCst),
        load.crossed.load(SeqCst),
        held.first(),
        held.last(),
        most_files,
        most_bytes,
    );
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(load.pushes.load(SeqCst) > 0);
    held
}

/// Buffers and pools grow with the load at first, whatever happens to the door; from a third of the time on, no more.
fn grows_no_more(held: &[(usize, u64)]) {
    let (files, bytes) = held[held.len() / 3];
    let (last_files, last_bytes) = held[held.len() - 1];
    assert!(last_files <= files + files / 2 + 32, "{held:?}");
    assert!(last_bytes <= bytes + bytes / 4 + (16 << 20), "{held:?}");
}

async fn takeovers_are_not_noticed(connections: usize, cycles: usize) {
    let mut elders: Vec<Process> = Vec::new();
    let held = nobody_notices(connections, cycles, async |cluster, _| {
        elders.push(cluster.door.take_over());
    })
    .await;
    grows_no_more(&held);
    for elder in &mut elders {
        assert_eq!(elder.wait(END).code(), Some(0));
        assert!(elder.said("\"drained\""), "{:#?}", elder.log());
    }
}

async fn reloads_are_not_noticed(connections: usize, cycles: usize) {
    let held = nobody_notices(connections, cycles, async |cluster, cycle| {
        let mut plan = Plan::fronting(cluster.nodes.iter().map(HarborNode::url));
        if cycle % 2 == 1 {
            plan.cluster = "balance = \"round-robin\"".to_owned();
            plan.keys = vec!["weight = 3".to_owned()];
        }
        if cycle % 3 == 1 {
            plan.nodes.truncate(1);
        }
        cluster.door.rewrite(&plan);
        let (status, told) = cluster.door.ask("POST", "/api/v1/reload");
        assert_eq!(status, 200, "{told}");
    })
    .await;
    grows_no_more(&held);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for comparison; run with --ignored"]
async fn the_same_load_without_a_change() {
    nobody_notices(200, 40, async |_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_takeovers_under_load_are_not_noticed() {
    takeovers_are_not_noticed(30, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; run with --ignored"]
async fn twenty_takeovers_with_two_hundred_connections_are_not_noticed() {
    takeovers_are_not_noticed(200, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_reloads_under_load_are_not_noticed() {
    reloads_are_not_noticed(30, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; run with --ignored"]
async fn a_hundred_reloads_with_two_hundred_connections_are_not_noticed() {
    reloads_are_not_noticed(200, 100).await;
}
