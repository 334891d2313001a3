//! A node that answers, but slowly or not always: clients notice for a few seconds, and it comes back by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::support::clients::image::sha256;
use super::support::clients::raw::{Entrance, Piped, Protocol, Raw};
use super::support::cluster::Cluster;
use super::support::door::{Plan, eventually};
use super::support::harbor::{BrownOut, Dialect};

/// Clients, each of which asks anew so long after it asked before, or when it has its answer.
const CLIENTS: usize = 10;
const PACE: Duration = Duration::from_millis(50);
/// How long it is measured what is normal.
const NORMAL: Duration = Duration::from_secs(3);
/// How long the node is unwell; everything must be as before within less.
const UNWELL: Duration = Duration::from_secs(13);
const RECOVERY: Duration = Duration::from_secs(10);
/// What is as good as normal on a machine that is busy with other things.
const GOOD: Duration = Duration::from_millis(50);
/// Of requests that began within so long, one in a hundred may be slow.
const WINDOW: Duration = Duration::from_secs(2);

/// When a request began, how long it took, and whether it went well.
type Asked = (Instant, Duration, bool);

/// Pulls without end.
struct Load {
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    fn begin(cluster: &Cluster, paths: &[String]) -> Self {
        let mut load = Load {
            asked: Arc::default(),
            over: Arc::default(),
            clients: JoinSet::new(),
        };
        for number in 0..CLIENTS {
            let path = paths[number % paths.len()].clone();
            let (asked, over) = (load.asked.clone(), load.over.clone());
            let entrance = Entrance::of(&cluster.door);
            load.clients.spawn(async move {
                let mut client = Raw::at(&entrance, Protocol::Http1).await.unwrap();
                let mut pace = interval(PACE);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !over.load(Ordering::Relaxed) {
                    pace.tick().await;
                    let began = Instant::now();
                    let answer = client.send(Method::GET, &path, Piped::empty()).await;
                    let answer = answer.expect("an answer");
                    let well = answer.status() == 200;
                    answer.into_body().collect().await.expect("all of it");
                    let one = (began, began.elapsed(), well);
                    asked.lock().unwrap().push(one);
                }
            });
        }
        load
    }

    /// What 99 of 100 requests took at most that began within `window` after `from`.
    fn p99(&self, from: Instant, window: Duration) -> Duration {
        let asked = self.asked.lock().unwrap();
        let began = asked
            .iter()
            .filter(|one| one.0 >= from && one.0 < from + window);
        let mut took: Vec<Duration> = began.map(|one| one.1).collect();
        took.sort_unstable();
        let place = (took.len() * 99).div_ceil(100).saturating_sub(1);
        took.get(place).copied().unwrap_or(Duration::MAX)
    }

    async fn end(mut self) -> Vec<Asked> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client.expect("a client");
        }
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

const SLOW: BrownOut = BrownOut {
    slower: Duration::from_secs(2),
    failing: 0.0,
};
const FAILING: BrownOut = BrownOut {
    slower: Duration::ZERO,
    failing: 0.2,
};

/// `brown_outs` befall the last of three nodes, and those before it.
async fn recovers(balance: &str, brown_outs: &[BrownOut], reason: &str) {
    let door = |plan: &mut Plan| {
        plan.cluster = format!("balance = \"{balance}\"\n");
        // Probes as patient as by default, and short terms.
        plan.more = "[health]\ndoctor = false\nslow_start = \"2s\"\n\
                     [outlier]\nbase = \"2s\"\nmax = \"4s\"\n"
            .to_owned();
    };
    let cluster = Cluster::start_with(Dialect::Harbor2, 3, |_| {}, door).await;
    let (door, nodes) = (&cluster.door, &cluster.nodes);
    let blob = Bytes::from_static(b"a light layer");
    let manifest = nodes[0].push("library/app", "1", "brown-out").await;
    nodes[0].push_blob("library/app", blob.clone()).await;
    let paths = [
        format!("/v2/library/app/manifests/{manifest}"),
        format!("/v2/library/app/blobs/sha256:{}", sha256(&blob)),
    ];
    let load = Load::begin(&cluster, &paths);
    pass(Duration::from_secs(1)).await;
    let began = Instant::now();
    pass(NORMAL).await;
    let normal = load.p99(began, NORMAL);

    let fault = Instant::now();
    let unwell = || nodes.iter().rev().zip(brown_outs);
    unwell().for_each(|(node, brown_out)| node.brown_out(*brown_out));
    pass(UNWELL).await;
    unwell().for_each(|(node, _)| node.brown_out(BrownOut::default()));
    let healed = Instant::now();
    let good = normal.max(GOOD) * 2;
    let steps = (0..).map(|step| Duration::from_millis(100) * step);
    let starts = steps.take_while(|after| *after + WINDOW <= UNWELL);
    let worst = starts
        .clone()
        .map(|after| load.p99(fault + after, WINDOW))
        .max();
    // The last window that is not good begins with a request that was not: from the next on all is well.
    let bad = starts
        .filter(|after| load.p99(fault + *after, WINDOW) > good)
        .last();
    let recovered = bad.map_or(Duration::ZERO, |after| after + Duration::from_millis(100));
    let log = door.log();
    let found = log
        .iter()
        .find(|line| line.contains("node ejected") && line.contains("harbor-3"));

    let is = |state: &str| door.node("harbor-3")["state"] == state;
    eventually("the node is let in again", Duration::from_secs(30), || {
        is("up")
    });
    let back = healed.elapsed();
    nodes[2].log().clear();
    let serves = || nodes[2].log().entries().len() >= 100;
    eventually("it does its share", Duration::from_secs(30), serves);
    let asked = load.end().await;
    let failed = asked.iter().filter(|one| !one.2).count();
    println!(
        "{reason}, {balance}: {} requests, {failed} failed; p99 {normal:?} before, {:?} at worst, within 2x after \
         {recovered:?}; back {back:?} after it was well",
        asked.len(),
        worst.unwrap_or_default(),
    );
    println!("{}", found.expect("why the node is left out"));
    assert!(recovered <= RECOVERY, "p99 was bad for {recovered:?}");
    assert_eq!(failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_slowed_to_two_seconds_is_left_out_until_it_is_well() {
    // The balance that spares a slow node least.
    recovers("round-robin", &[SLOW], "slow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_fails_a_fifth_is_left_out_until_it_is_well() {
    recovers("two-choices", &[FAILING], "failure_rate").await;
}

/// Only one of three may be left out: it is the one whose fault nobody else can make good.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_node_is_left_out_beside_one_that_fails_a_fifth() {
    recovers("round-robin", &[SLOW, FAILING], "slow beside failing").await;
}
