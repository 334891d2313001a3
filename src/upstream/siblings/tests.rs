//! A cluster of nodes that are never asked: only what would be known of their requests is said.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::balance::Algorithm;
use crate::config::{Node, Url};
use crate::health::{Measure, Outlier};
use crate::telemetry::metrics::Metrics;
use crate::tls::client::LiveClient;
use crate::upstream::cluster::{Manner, Want};
use crate::upstream::nodes::Nodes;

const BASE: Duration = Duration::from_secs(10);
const FAST: Duration = Duration::from_millis(5);
const SLOW: Duration = Duration::from_secs(2);

fn cluster(kin: &[u8]) -> Arc<Cluster> {
    crate::tls::provider::install();
    let metrics = Metrics::new(&[]);
    let node = |number: usize| {
        let url: Url = format!("http://10.0.0.{number}").parse().unwrap();
        let tls = Arc::new(LiveClient::load(None, None).unwrap());
        let name = format!("node-{number}");
        let outlier = Outlier::new(5, BASE, BASE * 30);
        let numbers = metrics.node(&name);
        Arc::new(Backend::new(&Node::new(name, url), tls, &outlier, numbers).unwrap())
    };
    let manner = Manner {
        balance: Algorithm::TwoChoices,
        max_percent: 50,
        slow_start: BASE,
        measure: Measure {
            failure_percent: 10,
            slow_factor: 4,
            volume: 10,
        },
        kin: kin.to_vec(),
    };
    Arc::new(Cluster::new((1..=kin.len()).map(node).collect(), manner))
}

/// Ten pulls on each node in every half second from `now` on, which take as long as is said; then the later time.
fn works(cluster: &Cluster, took: &[Duration], mut now: Instant, looks: u32) -> Instant {
    let kind = Class::BlobRead.index();
    for _ in 0..looks {
        for (node, took) in cluster.members().iter().zip(took) {
            for _ in 0..10 {
                node.standing.gauge.waits(kind);
                node.standing.gauge.answered(kind, *took);
            }
        }
        now += LOOK;
        look(cluster, now);
    }
    now
}

fn out(cluster: &Cluster) -> Vec<bool> {
    let members = cluster.members().iter();
    let out = members.map(|node| node.standing.ejection.is_out(Circuit::Pull));
    out.collect()
}

#[test]
fn a_slow_node_is_left_out_for_what_it_is_slow_at() {
    let cluster = cluster(&[0, 0, 0]);
    works(&cluster, &[FAST, FAST, SLOW], Instant::now(), 6);
    assert_eq!(out(&cluster), [false, false, true]);
    let pushes = cluster.members()[2].standing.ejection.is_out(Circuit::Push);
    assert!(!pushes);
}

#[test]
fn no_more_are_left_out_than_the_operator_allows_and_the_slow_one_first() {
    let cluster = cluster(&[0, 0, 0]);
    let mut now = Instant::now();
    for _ in 0..20 {
        let group = Circuit::Pull.index();
        for (at, node) in cluster.members().iter().enumerate() {
            let gauge = &node.standing.gauge;
            (0..10).for_each(|_| gauge.came_to_an_end(group));
            (0..10 * usize::from(at == 0)).for_each(|_| gauge.failed(group));
        }
        now = works(&cluster, &[FAST, FAST, SLOW], now, 1);
    }
    assert_eq!(out(&cluster), [false, false, true]);
    // As soon as there is room, it is the other's turn.
    cluster.members()[2].standing.ejection.pardon();
    works(&cluster, &[FAST, FAST, FAST], now, 1);
    assert_eq!(out(&cluster), [true, false, false]);
}

#[test]
fn the_last_two_are_no_measure_for_each_other_once_one_is_out() {
    let cluster = cluster(&[0, 0]);
    let now = works(&cluster, &[FAST, SLOW], Instant::now(), 6);
    assert_eq!(out(&cluster), [false, true]);
    works(&cluster, &[SLOW, SLOW], now, 60);
    assert_eq!(out(&cluster), [false, true]);
}

#[test]
fn nodes_of_other_tiers_are_no_siblings() {
    let cluster = cluster(&[0, 0, 1]);
    works(&cluster, &[FAST, FAST, SLOW], Instant::now(), 60);
    assert_eq!(out(&cluster), [false; 3]);
}

#[test]
fn a_node_that_rests_is_not_judged() {
    let cluster = cluster(&[0, 0, 0]);
    cluster.members()[2].standing.set_wish(Wish::Maintenance);
    works(&cluster, &[FAST, FAST, SLOW], Instant::now(), 60);
    assert_eq!(out(&cluster), [false; 3]);
}

/// Leases pulls until the one that is left out is tried.
fn tried(cluster: &Arc<Cluster>, now: Instant) -> crate::upstream::lease::Lease {
    let want = Want::any(None);
    let lease = |_| {
        let lease = cluster.lease(Class::BlobRead, want, Nodes::NONE, now);
        lease.ok().filter(|lease| lease.index() == 2)
    };
    (0..1000).find_map(lease).unwrap()
}

#[test]
fn a_trial_that_is_answered_late_fails_and_good_ones_let_the_node_in() {
    let cluster = cluster(&[0, 0, 0]);
    let mut now = works(&cluster, &[FAST, FAST, SLOW], Instant::now(), 6);
    now = works(&cluster, &[FAST, FAST], now, 21);
    let mut lease = tried(&cluster, now);
    lease.waits(now);
    lease.began(SLOW, now + SLOW);
    // Its answer was right, but that comes too late.
    lease.went_well();
    drop(lease);
    now = works(&cluster, &[FAST, FAST], now + SLOW, 41);
    for _ in 0..3 {
        assert_eq!(out(&cluster), [false, false, true]);
        now += Duration::from_secs(1);
        let mut lease = tried(&cluster, now);
        lease.waits(now);
        lease.began(FAST, now + FAST);
        lease.went_well();
    }
    assert_eq!(out(&cluster), [false; 3]);
    // What was held against it before is forgotten.
    works(&cluster, &[FAST, FAST, FAST], now, 10);
    assert_eq!(out(&cluster), [false; 3]);
}

#[test]
fn an_internal_error_fails_a_trial_though_its_answer_counts_as_one() {
    let cluster = cluster(&[0, 0, 0]);
    let mut now = works(&cluster, &[FAST, FAST, SLOW], Instant::now(), 6);
    now = works(&cluster, &[FAST, FAST], now, 21);
    for second in 0..3 {
        let lease = tried(&cluster, now + Duration::from_secs(second));
        lease.ended(second == 2);
        lease.went_well();
    }
    assert_eq!(out(&cluster), [false, false, true]);
}

#[test]
fn a_trial_without_an_answer_is_given_up_as_soon_as_it_is_late() {
    let cluster = cluster(&[0, 0, 0]);
    let mut now = works(&cluster, &[FAST, FAST, SLOW], Instant::now(), 6);
    now = works(&cluster, &[FAST, FAST], now, 21);
    let mut lease = tried(&cluster, now);
    lease.waits(now);
    now = works(&cluster, &[FAST, FAST], now, 2);
    let ejection = &cluster.members()[2].standing.ejection;
    // Its second term is twice as long.
    let later = now + BASE + BASE / 2;
    assert_eq!(
        (0..1000).find_map(|_| ejection.tests(Circuit::Pull, later)),
        None
    );
    assert!(ejection.tests(Circuit::Pull, later + BASE).is_some());
}

#[test]
fn what_is_tied_to_a_node_goes_there_while_it_is_out() {
    let cluster = cluster(&[0, 0, 0]);
    let now = works(&cluster, &[FAST, FAST, SLOW], Instant::now(), 6);
    let node = &cluster.members()[2];
    assert!(node.standing.ejection.eject(Circuit::Push, now).is_some());
    let want = Want {
        tied: Some(crate::upstream::cluster::Tied::ToFinish(node.seed)),
        ..Want::any(None)
    };
    let lease = cluster.lease(Class::UploadChunk, want, Nodes::NONE, now);
    assert_eq!(lease.unwrap().index(), 2);
}
