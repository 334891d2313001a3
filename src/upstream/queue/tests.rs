use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use tokio::task::JoinHandle;

use super::*;
use crate::config::{Node, Room, Url};
use crate::health::outlier::Outlier;
use crate::telemetry::metrics::Metrics;
use crate::tls::client::LiveClient;
use crate::upstream::capacity;

const LONG: Duration = Duration::from_secs(60);

/// One with room for 10 requests, of which each share keeps one.
fn node(name: &str) -> Arc<Backend> {
    crate::tls::provider::install();
    let url: Url = "http://10.0.0.1".parse().unwrap();
    let tls = Arc::new(LiveClient::load(None, None).unwrap());
    let outlier = Outlier::new(5, Duration::ZERO, Duration::ZERO);
    let metrics = Metrics::new(&[]).node(name);
    let node = Node::new(name.to_owned(), url);
    let node = Arc::new(Backend::new(&node, tls, &outlier, metrics).unwrap());
    capacity::adopt(&node, room(10));
    node
}

fn room(requests: u32) -> Room {
    Room {
        requests,
        percent: [10, 10, 10],
        adaptive: false,
    }
}

/// Takes all places that a share gets.
fn fill(node: &Arc<Backend>, share: Share) -> Vec<Permit> {
    std::iter::from_fn(|| Permit::take(node, share)).collect()
}

/// Waits for a place, and is in the queue already.
async fn queued(nodes: &[&Arc<Backend>], share: Share) -> JoinHandle<Result<Permit, Shed>> {
    let nodes: Vec<_> = nodes.iter().map(|node| Arc::clone(node)).collect();
    let before = nodes[0].capacity.waiting(share);
    let first = nodes[0].clone();
    let waiting = tokio::spawn(wait(nodes, share, 100, LONG));
    while first.capacity.waiting(share) == before {
        tokio::task::yield_now().await;
    }
    waiting
}

#[tokio::test]
async fn a_place_goes_to_the_one_who_waited_longest() {
    let node = node("a");
    let mut held = fill(&node, Share::Pull);
    assert_eq!(held.len(), 8);
    let first = queued(&[&node], Share::Pull).await;
    let second = queued(&[&node], Share::Pull).await;
    held.pop();
    let _place = first.await.unwrap().unwrap();
    assert!(!second.is_finished());
    // Nor does anybody overtake.
    assert!(Permit::take(&node, Share::Pull).is_none());
    held.pop();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_crowd_of_one_share_leaves_the_others_their_places() {
    let node = node("a");
    let _pulls = fill(&node, Share::Pull);
    let _waiting = queued(&[&node], Share::Pull).await;
    assert_eq!(fill(&node, Share::Talk).len(), 1);
    assert_eq!(fill(&node, Share::Push).len(), 1);
}

#[tokio::test]
async fn who_waits_at_two_nodes_takes_the_first_place_and_leaves_the_other_queue() {
    let (a, b) = (node("a"), node("b"));
    let (_full, mut held) = (fill(&a, Share::Pull), fill(&b, Share::Pull));
    let waiting = queued(&[&a, &b], Share::Pull).await;
    held.pop();
    let place = waiting.await.unwrap().unwrap();
    assert_eq!(&*place.backend().name, "b");
    assert_eq!(a.capacity.waiting(Share::Pull), 0);
    assert_eq!(b.capacity.waiting(Share::Pull), 0);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_who_leaves_it_makes_room() {
    let node = node("a");
    let _held = fill(&node, Share::Pull);
    let waiting = queued(&[&node], Share::Pull).await;
    let refused = wait(vec![node.clone()], Share::Pull, 1, LONG).await;
    assert_eq!(refused.err(), Some(Shed::Full));
    waiting.abort();
    assert!(waiting.await.is_err());
    assert_eq!(node.capacity.waiting(Share::Pull), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_told() {
    let node = node("a");
    let _held = fill(&node, Share::Pull);
    let late = wait(vec![node.clone()], Share::Pull, 1, LONG).await;
    assert_eq!(late.err(), Some(Shed::Late));
    assert_eq!(node.capacity.waiting(Share::Pull), 0);
}

#[tokio::test]
async fn a_place_for_somebody_who_left_goes_to_the_next() {
    let node = node("a");
    let mut held = fill(&node, Share::Pull);
    let first = queued(&[&node], Share::Pull).await;
    let second = queued(&[&node], Share::Pull).await;
    // It is delivered, and never taken.
    held.pop();
    first.abort();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_higher_limit_lets_in_those_who_wait_and_a_lower_one_throws_nobody_out() {
    let node = node("a");
    let held = fill(&node, Share::Pull);
    let waiting = queued(&[&node], Share::Pull).await;
    capacity::adopt(&node, room(20));
    let place = waiting.await.unwrap().unwrap();
    capacity::adopt(&node, room(8));
    assert_eq!(node.capacity.in_flight(), 9);
    assert!(Permit::take(&node, Share::Pull).is_none());
    assert!(Permit::take(&node, Share::Talk).is_some());
    drop((held, place));
    assert_eq!(node.capacity.in_flight(), 0);
    assert_eq!(fill(&node, Share::Pull).len(), 6);
}

#[tokio::test]
async fn a_place_that_is_given_back_early_is_given_back_once() {
    let node = node("a");
    let mut held = fill(&node, Share::Pull);
    let mut resting = held.pop().unwrap();
    resting.rest();
    let next = Permit::take(&node, Share::Pull);
    drop(resting);
    assert!(next.is_some() && Permit::take(&node, Share::Pull).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_is_served_in_a_throng_and_the_limit_holds() {
    let nodes = [node("a"), node("b")];
    let most = Arc::new(AtomicU32::new(0));
    let began = Instant::now();
    let clients: Vec<_> = (0..64)
        .map(|number| {
            let (nodes, most) = (nodes.clone(), most.clone());
            let share = Share::ALL[number % 3];
            tokio::spawn(async move {
                let mut rng = fastrand::Rng::with_seed(number as u64);
                for _ in 0..200 {
                    let node = &nodes[rng.usize(0..2)];
                    let permit = match Permit::take(node, share) {
                        Some(permit) => permit,
                        None => {
                            let waiting = wait(nodes.to_vec(), share, 100, LONG);
                            // Some leave.
                            match rng.u8(0..4) {
                                0 => match tokio::time::timeout(Duration::ZERO, waiting).await {
                                    Ok(permit) => permit.unwrap(),
                                    Err(_) => continue,
                                },
                                _ => waiting.await.unwrap(),
                            }
                        }
                    };
                    most.fetch_max(permit.backend().capacity.in_flight(), Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert!(began.elapsed() < LONG, "somebody was forgotten");
    assert_eq!(most.load(Ordering::Relaxed), 10);
    for node in &nodes {
        assert_eq!(node.capacity.in_flight(), 0);
        assert!(
            Share::ALL
                .iter()
                .all(|share| node.capacity.waiting(*share) == 0)
        );
    }
}
