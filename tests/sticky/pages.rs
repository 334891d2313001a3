//! Sessions of the web pages.

use std::collections::BTreeSet;

use super::{Pair, SOON, listed, listed_once, nodes_of};
use crate::support::clients::browser::Browser;
use crate::support::cluster::Cluster;
use crate::support::door::eventually;
use crate::support::harbor::Dialect;
use crate::support::harbor::Options;

fn distinct(nodes: &[String]) -> BTreeSet<&str> {
    nodes.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_through_one_door_is_known_at_the_other() {
    let pair = Pair::start().await;
    for _ in 0..6 {
        let mut browser = Browser::default();
        browser.log_in(pair.a()).await;
        assert!(browser.is_logged_in(&pair.b).await);
    }
    let logins = nodes_of(pair.a(), "ui_session", 6);
    assert_eq!(nodes_of(&pair.b, "api_read", 6), logins);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_outlives_both_doors() {
    let pair = Pair::start().await;
    let mut browser = Browser::default();
    browser.log_in(pair.a()).await;
    let home = nodes_of(pair.a(), "ui_session", 1);
    let (c, _rest) = pair.reopened();
    for _ in 0..5 {
        assert!(browser.is_logged_in(&c).await);
    }
    let nodes = nodes_of(&c, "api_read", 5);
    assert_eq!(distinct(&nodes), distinct(&home));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_session_stay_at_one_node() {
    let cluster = Cluster::start(Dialect::Harbor2, 3).await;
    let mut homes = BTreeSet::new();
    for number in 1..=8 {
        let mut browser = Browser::default();
        browser.log_in(&cluster.door).await;
        for _ in 0..5 {
            assert!(browser.is_logged_in(&cluster.door).await);
        }
        // Two before the login, five after it.
        let nodes = nodes_of(&cluster.door, "api_read", number * 7).split_off(number * 7 - 5);
        assert_eq!(distinct(&nodes).len(), 1, "{nodes:?}");
        homes.extend(nodes);
    }
    assert!(homes.len() > 1, "all at one node: {homes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_share_no_redis_keep_their_own_sessions() {
    let own = |options: &mut Options| options.redis = None;
    let cluster = Cluster::start_with(Dialect::Harbor15, 2, own, |_| {}).await;
    let mut browser = Browser::default();
    // A first page may lead to the one node, the login to the other: from there on it is one.
    browser.get(&cluster.door, "/api/systeminfo").await;
    let form = "principal=admin&password=Harbor12345";
    let answer = browser.send(&cluster.door, "POST", "/login", form).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for _ in 0..10 {
        let answer = browser.get(&cluster.door, "/api/users/current").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_sessions_are_not_learnt() {
    let pair = Pair::start().await;
    for number in 0..50_u128 {
        let mut browser = Browser::default();
        browser.pretend(&format!("{number:032x}"));
        // Files are served to anybody, whatever cookie they come with.
        browser.get(pair.a(), "/harbor/projects").await;
        browser.pretend(&format!("{number:032x}"));
        browser.get(pair.a(), "/api/v2.0/systeminfo").await;
    }
    assert!(listed(pair.a(), "ui").is_empty());
    nodes_of(pair.a(), "api_read", 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_logging_out() {
    let pair = Pair::start().await;
    let mut browser = Browser::default();
    browser.log_in(pair.a()).await;
    listed_once(&pair.b, "ui", 1);
    browser.get(&pair.b, "/c/log_out").await;
    for door in [pair.a(), &pair.b] {
        eventually("it is over", SOON, || listed(door, "ui").is_empty());
    }
}
