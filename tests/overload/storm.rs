//! Five hundred clients pull at once, again and again, while people look at pages and clients ask for tokens.
//!
//! Each of two nodes works on forty requests at a time, for two seconds each, and lets the others wait, first come, first
//! served: as Harbor does when all its connections to the database are busy. What is shown is who waits for whom; the time
//! that a request takes is nearly all the node's, so that the machine under test, which client, door and nodes share,
//! hardly matters. What is not shown is what the door can carry: that is the benchmark's. It must be the only test that
//! runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::support::client::{Knock, Raw, basic};
use crate::support::clients::raw::{self, Protocol};
use crate::support::cluster::Cluster;
use crate::support::door::Door;
use crate::support::harbor::Dialect;

const PULLS: usize = 500;
/// Of these, so many read slowly.
const SLOW: usize = 20;
const HANDS: usize = 40;
const WORK: Duration = Duration::from_secs(2);
/// People and clients that ask for pages and for tokens, of each.
const ASKERS: usize = 10;
const ASKED: usize = 5;

async fn cluster(limits: &str) -> Cluster {
    Cluster::start_with(
        Dialect::Harbor2,
        2,
        |options| {
            options.timing.work = WORK;
            options.timing.body_stall = Duration::from_secs(60);
            options.hands = HANDS;
        },
        |plan| {
            // A probe that waits behind pulls is no sign of a broken node here.
            plan.more = format!(
                "[health]\ninterval = \"1s\"\ntimeout = \"20s\"\ndoctor = false\n[limits]\n{limits}"
            );
        },
    )
    .await
}

/// What a storm came to.
#[derive(Default)]
struct Storm {
    over: AtomicBool,
    begun: AtomicUsize,
    pulled: AtomicUsize,
    shed: AtomicUsize,
    failed: AtomicUsize,
}

/// Pulls the blob at `path` until the storm is over.
async fn puller(knock: Knock, path: String, storm: Arc<Storm>) {
    let request = request(knock.address, &path, "");
    let mut raw = knock.raw().await.expect("a connection");
    storm.begun.fetch_add(1, Ordering::SeqCst);
    while !storm.over.load(Ordering::SeqCst) {
        let answer = raw.ask(&request).await;
        let count = match answer.status {
            200 if answer.whole => &storm.pulled,
            503 => &storm.shed,
            _ => &storm.failed,
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// The same, slowly: a few hundred KiB a second.
async fn slow_puller(knock: Knock, path: String, storm: Arc<Storm>) {
    let request = request(knock.address, &path, "Connection: close\r\n");
    storm.begun.fetch_add(1, Ordering::SeqCst);
    while !storm.over.load(Ordering::SeqCst) {
        let mut raw = knock.raw().await.expect("a connection");
        let socket = socket2::SockRef::from(raw.stream.socket());
        socket.set_recv_buffer_size(64 << 10).unwrap();
        raw.say(&request).await;
        while !storm.over.load(Ordering::SeqCst) && raw.more().await {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

fn request(address: SocketAddr, path: &str, more: &str) -> String {
    let login = basic("admin", "Harbor12345");
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{login}{more}\r\n")
}

/// How long each of the requests took that ask for `path` again and again.
async fn ask(door: &Door, path: &str) -> Vec<Duration> {
    let request = request(door.address, path, "");
    let mut askers = Vec::new();
    for _ in 0..ASKERS {
        let (request, mut raw) = (request.clone(), Raw::to(door).await);
        askers.push(tokio::spawn(async move {
            let mut took = Vec::new();
            for _ in 0..ASKED {
                let began = Instant::now();
                let answer = raw.ask(&request).await;
                took.push(began.elapsed());
                assert_eq!(answer.status, 200, "{answer:?}");
            }
            took
        }));
    }
    let mut all = Vec::new();
    for asker in askers {
        all.extend(asker.await.unwrap());
    }
    all.sort_unstable();
    all
}

/// The times of pages and of tokens.
async fn measure(door: &Door) -> [Vec<Duration>; 2] {
    let token = "/service/token?service=harbor-registry&scope=repository:library/app:pull";
    let (pages, tokens) = tokio::join!(ask(door, "/harbor/projects"), ask(door, token));
    [pages, tokens]
}

fn p99(times: &[Duration]) -> Duration {
    times[(times.len() * 99).div_ceil(100) - 1]
}

/// How it was.
struct Weather {
    /// The 99th percentiles of pages and of tokens, at rest and in the storm.
    times: [(Duration, Duration); 2],
    /// Pulls that waited at the door.
    waiting: usize,
    failed: usize,
}

fn waiting(door: &Door) -> usize {
    let metrics = door.ask("GET", "/metrics").1;
    let mut lines = metrics.lines();
    let line = "seawall_node_queued{node=\"harbor-1\",share=\"pull\"} ";
    let count = lines.find_map(|found| found.strip_prefix(line));
    count.map_or(0, |count| count.parse().unwrap())
}

async fn weather(what: &str, limits: &str) -> Weather {
    let cluster = cluster(limits).await;
    let door = &cluster.door;
    let mut client = raw::Raw::connect(door, Protocol::Http1).await;
    let mut blobs = Vec::new();
    for size in [16 << 10, 4 << 20] {
        let digest = client.push("library/app", Bytes::from(vec![7; size])).await;
        blobs.push(format!("/v2/library/app/blobs/{digest}"));
    }
    let idle = measure(door).await;
    let storm = Arc::new(Storm::default());
    let pullers: Vec<_> = (0..PULLS)
        .map(|number| {
            let (knock, storm) = (Knock::at(door), storm.clone());
            match number < SLOW {
                true => tokio::spawn(slow_puller(knock, blobs[1].clone(), storm)),
                false => tokio::spawn(puller(knock, blobs[0].clone(), storm)),
            }
        })
        .collect();
    crate::support::client::until("the storm is there", Duration::from_secs(60), async || {
        storm.begun.load(Ordering::SeqCst) == PULLS
            && storm.pulled.load(Ordering::SeqCst) >= PULLS / 20
    })
    .await;
    let busy = measure(door).await;
    let waiting = waiting(door);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(door.ask("GET", path).0, 200, "{path}");
    }
    storm.over.store(true, Ordering::SeqCst);
    for puller in pullers {
        if puller.await.is_err() {
            storm.failed.fetch_add(1, Ordering::SeqCst);
        }
    }
    let counted = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    println!(
        "{what}: {} pulls, {} sent away, {} failed; {waiting} waited at the door in the end",
        counted(&storm.pulled),
        counted(&storm.shed),
        counted(&storm.failed)
    );
    let mut both = [(WORK, WORK); 2];
    for (((name, both), idle), busy) in ["pages", "tokens"]
        .iter()
        .zip(&mut both)
        .zip(&idle)
        .zip(&busy)
    {
        let median = |times: &[Duration]| times[times.len() / 2];
        println!(
            "{what}: {name}: p99 {:?} at rest, {:?} in the storm (median {:?}, {:?})",
            p99(idle),
            p99(busy),
            median(idle),
            median(busy)
        );
        *both = (p99(idle), p99(busy));
    }
    Weather {
        times: both,
        waiting,
        failed: counted(&storm.failed),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_pulls_do_not_keep_people_and_logins_waiting() {
    // As many as the nodes have hands for, a few of which are left to probes.
    let limits = "node_requests = 36\nshares = { talk = 40, push = 5, pull = 20 }\n";
    let weather = weather("with shares", limits).await;
    assert_eq!(weather.failed, 0);
    assert!(weather.waiting > PULLS / 2, "no storm: {}", weather.waiting);
    for (idle, busy) in weather.times {
        assert!(busy <= idle * 3, "{busy:?}, and {idle:?} at rest");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for the record: the same without limits; run with --ignored"]
async fn five_hundred_pulls_without_limits() {
    let weather = weather("without", "node_requests = 1000000\n").await;
    println!("{} pulls did not end in time", weather.failed);
}
