//! The guide's own failure: one of two masters is away while images are pushed and one is deleted, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{SOON, puller, pulls, push, pusher};
use crate::support::apart::{Apart, pair_up};
use crate::support::door::eventually;
use crate::support::harbor::{ACCOUNTS, DOCKER, Dialect, Dialer, HarborNode, RegistryClient};
use crate::support::redis::RedisServer;

const ACCOUNT: &str = "[cluster.account]\nuser = \"admin\"\npassword = \"Harbor12345\"\n[journal]\ngrace = \"300ms\"\n";

/// Reads of every image so far, again and again, until it is told to stop; how many failed, and the first of them.
struct Reader {
    stop: Arc<AtomicBool>,
    work: tokio::task::JoinHandle<(usize, Vec<String>)>,
}

/// An image, and where it is read.
type Image = (&'static str, &'static str, String);

impl Reader {
    /// Reads each of `images` at each of `places` in turn, as an ordinary client.
    fn start(places: Vec<RegistryClient>, images: Vec<Image>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        let work = tokio::spawn(async move {
            let (mut reads, mut failed) = (0, Vec::new());
            // Every image at every place a few times, however short the outage was.
            let least = 4 * images.len() * places.len();
            while !ended.load(Ordering::Relaxed) || reads < least {
                for (repository, tag, digest) in &images {
                    let place = &places[reads % places.len()];
                    match pulls(place, repository, tag).await {
                        Ok(found) if found == *digest => {}
                        Ok(other) => failed.push(format!("{repository}:{tag} is {other}")),
                        Err(error) => failed.push(format!("{repository}:{tag}: {error}")),
                    }
                    reads += 1;
                }
            }
            (reads, failed)
        });
        Reader { stop, work }
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.work.await.unwrap()
    }
}

/// A client of a node itself, as one behind a balancer that takes turns would meet it.
fn straight(node: &HarborNode) -> RegistryClient {
    let (user, password, _) = ACCOUNTS[1];
    let dialer = Dialer {
        from: [127, 0, 0, 1].into(),
        agent: DOCKER.to_owned(),
    };
    RegistryClient::new(dialer, &node.url(), user, password)
}

/// What happens between the death of a node and its return.
#[derive(Clone, Copy, PartialEq)]
enum Meanwhile {
    Nothing,
    TheDoorDies,
    TheStoreDies,
}

async fn outage(meanwhile: Meanwhile) {
    let mut store = RedisServer::start();
    let sessions = format!("[sessions]\nstore = \"redis://{}/8\"\n", store.address);
    let mut apart = Apart::start(
        Dialect::Harbor2,
        2,
        |_| {},
        |plan| plan.more += &format!("{ACCOUNT}{sessions}"),
    )
    .await;
    pair_up(&[&apart.nodes[0], &apart.nodes[1]]).await;
    let client = |apart: &Apart| pusher(apart.door.as_ref().unwrap());
    let old = push(&client(&apart), "library/old", "1", "old")
        .await
        .unwrap();
    let first = push(&client(&apart), "library/app", "1", "one")
        .await
        .unwrap();
    eventually("both have both", SOON, || {
        let has = |node: &HarborNode| {
            node.has("library/old", "1").is_some() && node.has("library/app", "1").is_some()
        };
        apart.nodes.iter().all(has)
    });
    eventually("the door knows that", SOON, || {
        let (_, journal) = apart.door.as_ref().unwrap().ask("GET", "/api/v1/journal");
        journal.contains("\"entries\":[]")
    });
    if meanwhile == Meanwhile::TheStoreDies {
        store.kill();
    }
    // The one that both projects are written at dies: the harder case.
    let writer = apart.nodes.iter().position(|node| {
        node.log()
            .entries()
            .iter()
            .any(|entry| entry.method == "PUT" && entry.header("user-agent") == Some(DOCKER))
    });
    let writer = writer.unwrap();
    apart.nodes[writer].stop().await;
    let second = push(&client(&apart), "library/app", "2", "two")
        .await
        .unwrap();
    let moved = push(&client(&apart), "library/app", "1", "another one")
        .await
        .unwrap();
    assert_ne!(moved, first);
    assert_eq!(client(&apart).delete("library/old", &old).await, Ok(202));
    if meanwhile == Meanwhile::TheDoorDies {
        let door = apart.door.as_mut().unwrap();
        door.crash();
        door.start_again();
    }
    let images: Vec<Image> = vec![("library/app", "1", moved), ("library/app", "2", second)];
    let reader = Reader::start(vec![puller(apart.door.as_ref().unwrap())], images.clone());
    let ghost = apart.nodes[writer].has("library/old", "1");
    assert_eq!(ghost, Some(old), "it still has what was deleted meanwhile");
    apart.nodes[writer].revive().await;
    eventually("it is made whole without a person", SOON * 3, || {
        let node = &apart.nodes[writer];
        images
            .iter()
            .all(|(repository, tag, digest)| node.has(repository, tag).as_ref() == Some(digest))
            && node.has("library/old", "1").is_none()
    });
    eventually("nothing is missing", SOON * 3, || {
        let (_, journal) = apart.door.as_ref().unwrap().ask("GET", "/api/v1/journal");
        journal.contains("\"entries\":[]")
    });
    let (reads, failed) = reader.end().await;
    println!("{reads} reads, {} failed", failed.len());
    assert_eq!(failed, Vec::<String>::new(), "of {reads} reads");
    let gone = puller(apart.door.as_ref().unwrap())
        .digest("library/old", "1")
        .await;
    assert_eq!(gone, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_image_is_readable_at_every_moment_and_the_node_is_made_whole() {
    outage(Meanwhile::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_when_the_door_dies_in_between() {
    outage(Meanwhile::TheDoorDies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_when_the_store_is_away() {
    outage(Meanwhile::TheStoreDies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_door_whoever_takes_turns_misses_images_and_meets_deleted_ones() {
    let mut apart = Apart::nodes(Dialect::Harbor2, 2, |options| options.redis = None).await;
    pair_up(&[&apart.nodes[0], &apart.nodes[1]]).await;
    let old = apart.nodes[0].push("library/old", "1", "old").await;
    eventually("both have it", SOON, || {
        apart.nodes[1].has("library/old", "1").is_some()
    });
    apart.nodes[0].stop().await;
    let new = apart.nodes[1].push("library/app", "2", "two").await;
    assert_eq!(
        apart.nodes[1].delete_manifest("library/old", &old).await,
        202
    );
    eventually("replication of both has failed", SOON, || {
        let runs = apart.nodes[1].executions();
        runs.iter().filter(|run| run.status == "Failed").count() >= 2
    });
    apart.nodes[0].revive().await;
    let turns = apart.nodes.iter().map(straight).collect();
    let reader = Reader::start(turns, vec![("library/app", "2", new)]);
    let (reads, failed) = reader.end().await;
    println!("{reads} reads in turns, {} failed", failed.len());
    assert!(
        failed.iter().any(|error| error.contains("unknown")),
        "{failed:?}"
    );
    let ghost = straight(&apart.nodes[0]).digest("library/old", "1").await;
    assert_eq!(ghost, Ok(Some(old)));
}
