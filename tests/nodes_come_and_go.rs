//! Nodes are stopped and started one at a time while clients push and pull, and clients notice nothing but what no
//! door could hide: a transfer whose node died under it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::clients::Told;
use super::support::clients::docker::Docker;
use super::support::clients::image::Image;
use super::support::clients::skopeo::Skopeo;
use super::support::cluster::Cluster;
use super::support::door::{Door, Plan, eventually};
use super::support::harbor::{Dialect, Entry, HarborNode, RequestEnd, ResponseEnd};

/// Clients at work at the same time.
const HANDS: usize = 4;
/// What a client tries again by itself; skopeo waits 1, 2 and 4 seconds in between. Debian's skopeo 1.9 does so after
/// a refused connection but, unlike later ones, neither after a 503 nor after half an answer; there the test begins
/// again in its place.
const RETRIES: u32 = 3;

/// What happened, counted.
#[derive(Default)]
struct Tally {
    pushes: AtomicUsize,
    pulls: AtomicUsize,
    /// Transfers that failed and did not heal when they were begun again.
    failures: AtomicUsize,
    /// Transfers that the client began again.
    retries: AtomicUsize,
    /// Transfers that were begun again for a client that gave up.
    reruns: AtomicUsize,
    /// Nodes that were stopped, with the lines of the door's log that were written meanwhile.
    stops: Mutex<Vec<(String, Range<usize>)>>,
}

impl Tally {
    /// Runs a client until it is content, five times at most, as often as docker tries a layer.
    fn transfer(&self, mut client: impl FnMut() -> Told) {
        for turn in 0..5 {
            let told = client();
            let again = told.err.matches("retrying").count();
            self.retries.fetch_add(again, Ordering::Relaxed);
            if again > 0 || !told.ok {
                println!("a client said: {}", told.err.trim());
            }
            if told.ok {
                return;
            }
            let cut = [
                "502 Bad Gateway",
                "503 Service Unavailable",
                "unexpected EOF",
            ];
            let healable = turn < 4 && cut.iter().any(|words| told.err.contains(words));
            let counter = if healable {
                &self.reruns
            } else {
                &self.failures
            };
            counter.fetch_add(1, Ordering::Relaxed);
            if !healable {
                return;
            }
        }
    }
}

/// Pushes image after image and pulls each, until `turn` has reached `count`.
fn work(door: &Door, turn: &AtomicUsize, count: usize, tally: &Tally) {
    let skopeo = Skopeo::new(door);
    let login = || skopeo.login("admin", "Harbor12345").ok;
    eventually("a login", Duration::from_secs(10), login);
    let work = tempfile::tempdir().unwrap();
    loop {
        let number = turn.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return;
        }
        // From a few bytes, which fit into one packet, to enough that a stop may fall into the middle.
        let size = [1 << 10, 100 << 10, 3 << 20][number % 3];
        let image = Image::make(&work.path().join(format!("image-{number}")), size);
        let name = format!("private/restless-{number}:1");
        tally.transfer(|| skopeo.push(&image, &name, RETRIES));
        tally.pushes.fetch_add(1, Ordering::Relaxed);
        let back = work.path().join(format!("back-{number}"));
        tally.transfer(|| {
            clean(&back);
            skopeo.pull(&name, &back, RETRIES)
        });
        tally.pulls.fetch_add(1, Ordering::Relaxed);
        let same = || Image::at(&back).digest == image.digest && Image::at(&back).is_sound();
        assert!(!back.join("manifest.json").exists() || same());
        clean(&image.path);
        clean(&back);
    }
}

fn clean(path: &Path) {
    let _ = std::fs::remove_dir_all(path);
}

/// Stops and starts one node after the other, and goes on to the next only when the door trusts the last again.
async fn trouble(door: &Door, nodes: &mut [HarborNode], done: &AtomicBool, tally: &Tally) {
    loop {
        for (number, node) in (1..).zip(nodes.iter_mut()) {
            if done.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("harbor-{number}");
            let is = |state: &str| door.node(&name)["state"] == state;
            let from = door.log().len();
            node.stop().await;
            // Down as the door sees it, and some requests beyond that.
            let limit = Duration::from_secs(30);
            eventually("the stop is noticed", limit, || is("down"));
            let seen = door.log().len();
            let waited = || done.load(Ordering::Relaxed) || door.log().len() > seen + 20;
            eventually("work goes on without it", limit, waited);
            let lines = from..door.log().len();
            tally.stops.lock().unwrap().push((name.clone(), lines));
            node.revive().await;
            eventually("the node is trusted again", limit, || is("up"));
        }
    }
}

/// Whether an answer or its end was bad for the client.
fn is_bad(line: &Value) -> bool {
    line["status"].as_u64().is_some_and(|status| status >= 500)
        || matches!(line["ended"].as_str(), Some("node_failed" | "client_slow"))
}

/// Whether no door could have hidden it: its node was stopped just then, and bytes had gone one way or the other, or it
/// was a step of an upload, which must not be sent twice.
fn is_excused(at: usize, line: &Value, stops: &[(String, Range<usize>)]) -> bool {
    let bytes = |key: &str| line[key].as_u64().unwrap_or(0);
    // Whoever lost the end of an upload looks for its blob a little longer than the node may be away.
    let late = line["class"] == "upload_finish";
    let stopped = stops.iter().any(|(node, lines)| {
        let then = lines.contains(&at) || (late && lines.start <= at);
        line["node"] == node.as_str() && then
    });
    stopped
        && line["ended"] == "node_failed"
        && match line["class"].as_str() {
            Some("upload_chunk" | "upload_finish") => line["status"] == 503,
            // A tag alone is not gone on with.
            Some("manifest_read") => line["status"] == 200 && bytes("bytes_out") > 0,
            _ => false,
        }
}

async fn clients_do_not_notice(count: usize) {
    let began = Instant::now();
    // Nodes come back faster than real ones do, so traffic's own evidence against them is forgotten faster, too.
    let soon = |plan: &mut Plan| plan.more += "[outlier]\nbase = \"500ms\"\nmax = \"1s\"\n";
    let mut cluster = Cluster::start_with(Dialect::Harbor2, 2, |_| {}, soon).await;
    let (tally, turn, done) = (
        Tally::default(),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    let (door, nodes) = (&cluster.door, &mut cluster.nodes);
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS)
            .map(|_| scope.spawn(|| work(door, &turn, count, &tally)))
            .collect();
        let watch = scope.spawn(|| {
            for hand in hands {
                if let Err(panic) = hand.join() {
                    done.store(true, Ordering::Relaxed);
                    std::panic::resume_unwind(panic);
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(trouble(door, nodes, &done, &tally));
        });
        watch.join().expect("the clients worked");
    });
    let log = cluster.door.log();
    let lines: Vec<(usize, Value)> = log
        .iter()
        .enumerate()
        .filter_map(|(at, line)| Some((at, serde_json::from_str::<Value>(line).ok()?)))
        .filter(|(_, line)| line.get("method").is_some())
        .collect();
    let stops = tally.stops.lock().unwrap().clone();
    let bad = lines.iter().filter(|(_, line)| is_bad(line));
    let (excused, seen): (Vec<_>, Vec<_>) =
        bad.partition(|(at, line)| is_excused(*at, line, &stops));
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let of = |class: &str| {
        excused
            .iter()
            .filter(|(_, line)| line["class"] == class)
            .count()
    };
    let moved = lines
        .iter()
        .filter(|(_, line)| line["attempts"].as_u64() > Some(1))
        .count();
    println!(
        "{} pushes, {} pulls, {} stops, {} requests in {:?}: {} failures, {} retries by clients, {} for them; {} requests cut \
         with their node ({} chunks, {} ends of uploads, {} blobs half read), {moved} moved to another node",
        count(&tally.pushes),
        count(&tally.pulls),
        stops.len(),
        lines.len(),
        began.elapsed(),
        count(&tally.failures),
        count(&tally.retries),
        count(&tally.reruns),
        excused.len(),
        of("upload_chunk"),
        of("upload_finish"),
        of("blob_read"),
    );
    assert!(seen.is_empty(), "clients saw failures: {seen:#?}");
    assert_eq!(count(&tally.failures), 0);
    assert!(
        count(&tally.retries) + count(&tally.reruns) <= excused.len(),
        "clients tried again though nothing was cut: {excused:#?}"
    );
    assert!(stops.len() >= 2, "no node was ever stopped");
}

/// Stops the node of a transfer in the middle of its body: `runs` is what such a request looks like in a node's log.
async fn stop_in_the_middle(nodes: &[HarborNode], runs: impl Fn(&Entry) -> bool) {
    let busy = || {
        let works = |node: &HarborNode| node.log().entries().iter().any(&runs);
        nodes.iter().find(|node| works(node))
    };
    let limit = Duration::from_secs(60);
    eventually("a transfer is on its way", limit, || busy().is_some());
    if let Some(node) = busy() {
        node.stop().await;
    }
}

fn was_cut(door: &Door, class: &str) -> bool {
    let lines = door.access();
    lines
        .iter()
        .any(|line| line["class"] == class && line["ended"] == "node_failed")
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_heals_a_push_whose_node_dies_under_it() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    let docker = Docker::start(&cluster.door);
    docker.login("admin", "Harbor12345").done();
    let id = docker.make("private/cut:1", 64 << 20);
    std::thread::scope(|scope| {
        let push = scope.spawn(|| docker.push("private/cut:1"));
        tokio::task::block_in_place(|| {
            let stop = stop_in_the_middle(&cluster.nodes, |entry| {
                let arriving = entry.request_end == RequestEnd::Arriving;
                entry.method == "PATCH" && arriving && entry.body > 1 << 20
            });
            tokio::runtime::Handle::current().block_on(stop);
        });
        push.join().unwrap().done();
    });
    assert!(was_cut(&cluster.door, "upload_chunk"), "nothing was cut");
    let digest = docker.digest("private/cut:1");
    docker.forget("private/cut:1");
    docker.pull("private/cut:1").done();
    let back = (docker.id("private/cut:1"), docker.digest("private/cut:1"));
    assert_eq!(back, (id, digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_does_not_notice_a_pull_whose_node_dies_under_it() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 2).await;
    let docker = Docker::start(&cluster.door);
    docker.login("admin", "Harbor12345").done();
    let id = docker.make("private/cut:1", 128 << 20);
    docker.push("private/cut:1").done();
    // The stop may come when the last byte has just left.
    for _ in 0..5 {
        docker.forget("private/cut:1");
        for node in &cluster.nodes {
            node.log().clear();
        }
        std::thread::scope(|scope| {
            let pull = scope.spawn(|| docker.pull("private/cut:1"));
            tokio::task::block_in_place(|| {
                let stop = stop_in_the_middle(&cluster.nodes, |entry| {
                    let sending = entry.response_end == ResponseEnd::Sending;
                    entry.method == "GET" && sending && entry.target.contains("/blobs/")
                });
                tokio::runtime::Handle::current().block_on(stop);
            });
            pull.join().unwrap().done();
        });
        assert_eq!(docker.id("private/cut:1"), id);
        assert!(!was_cut(&cluster.door, "blob_read"), "a pull was cut");
        let lines = cluster.door.access();
        if lines.iter().any(|line| line["resumed"] == 1) {
            return;
        }
        for node in &mut cluster.nodes {
            node.revive().await;
        }
        cluster.door.settled();
    }
    panic!("no node was in the middle of five pulls");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_do_not_notice_that_nodes_come_and_go() {
    clients_do_not_notice(30).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "pushes and pulls 200 images, which takes minutes"]
async fn clients_do_not_notice_that_nodes_come_and_go_for_minutes() {
    clients_do_not_notice(200).await;
}
