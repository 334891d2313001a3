//! One fault, or none.

use std::time::{Duration, Instant};

use seawall::config;
use seawall::doctor::{self, Settings};

use super::site::{Fault, Site, admin, as_user, codes, examine, text};
use crate::support::harbor::{Component, Dialect, Mode, Options, Switch};

async fn nothing_is_found(dialect: Dialect) {
    let site = Site::start(dialect, 2).await;
    let nodes: Vec<_> = site.nodes.iter().collect();
    for settings in [
        Settings::default(),
        admin(),
        as_user("robot$seawall", "Robot12345"),
    ] {
        let report = examine(&nodes, &settings).await;
        assert!(report.ok && report.findings.is_empty(), "{report:#?}");
        // What is not tried is said.
        let whole = settings
            .account
            .is_some_and(|account| account.user == "admin");
        assert_eq!(report.left_out.is_empty(), whole, "{:#?}", report.left_out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_with_a_sound_cluster_of_harbor_2() {
    nothing_is_found(Dialect::Harbor2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_with_a_sound_cluster_of_harbor_1_10() {
    nothing_is_found(Dialect::Harbor1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_with_a_sound_cluster_of_harbor_1_5() {
    nothing_is_found(Dialect::Harbor15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_given_by_their_core_are_examined_as_well() {
    let site = Site::start(Dialect::Harbor2, 1).await;
    let faulty = site.node("harbor-2", &[Fault::HttpSecret]).await;
    let text = text(&[&site.nodes[0], &faulty], "").replace("url = \"http:", "core = \"http:");
    let config = config::parse(&text, "seawall.toml".as_ref()).unwrap();
    let settings = admin();
    let examined = doctor::examine(&config, &settings, std::future::pending());
    let report = examined.await.unwrap().unwrap();
    let expected = [("http-secret-differs", "harbor-1,harbor-2".to_owned())];
    assert_eq!(codes(&report), expected, "{report:#?}");
}

/// Two sound nodes and one that is not: it alone is blamed, and for its fault alone.
async fn each_is_found(dialect: Dialect) {
    let site = Site::start(dialect, 2).await;
    for fault in Fault::ALL {
        // 1.5 has nothing against forgery.
        if dialect == Dialect::Harbor15 && fault == Fault::CsrfKey {
            continue;
        }
        let faulty = site.node("harbor-3", &[fault]).await;
        let nodes: Vec<_> = site.nodes.iter().chain([&faulty]).collect();
        let report = examine(&nodes, &admin()).await;
        let expected = vec![(fault.code(), "harbor-3".to_owned())];
        assert_eq!(codes(&report), expected, "{fault:?}: {report:#?}");
        let finding = &report.findings[0];
        assert!(finding.fix.contains("harbor-3"), "{finding:#?}");
        // Without an account, what anybody can see is found all the same, and nothing else.
        let report = examine(&nodes, &Settings::default()).await;
        let expected = if fault.shows_without_account() {
            expected
        } else {
            Vec::new()
        };
        assert_eq!(codes(&report), expected, "{fault:?}: {report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_and_its_node_blamed_in_harbor_2() {
    each_is_found(Dialect::Harbor2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_and_its_node_blamed_in_harbor_1_10() {
    each_is_found(Dialect::Harbor1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_and_its_node_blamed_in_harbor_1_5() {
    each_is_found(Dialect::Harbor15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_a_skewed_clock_spoils_are_not_blamed_on_the_key() {
    let site = Site::start(Dialect::Harbor2, 1).await;
    let ahead = site
        .node_with("harbor-2", &[], |options| options.clock = 120)
        .await;
    let report = examine(&[&site.nodes[0], &ahead], &admin()).await;
    assert_eq!(
        codes(&report),
        [("clock-skew", "harbor-2".to_owned())],
        "{report:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_gone_is_said_to_be_and_nothing_else() {
    let site = Site::start(Dialect::Harbor2, 2).await;
    site.nodes[1].stop().await;
    let nodes: Vec<_> = site.nodes.iter().collect();
    let report = examine(&nodes, &admin()).await;
    assert_eq!(codes(&report), [("unreachable", "harbor-2".to_owned())]);
    assert!(
        report
            .left_out
            .iter()
            .any(|line| line.starts_with("harbor-2: "))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_down_is_named_and_nothing_is_blamed_on_it() {
    for dialect in [Dialect::Harbor2, Dialect::Harbor1] {
        for component in [
            Component::Core,
            Component::Registry,
            Component::Database,
            Component::Redis,
        ] {
            let site = Site::start(dialect, 2).await;
            site.nodes[1].set(component, Mode::Down).await;
            let nodes: Vec<_> = site.nodes.iter().collect();
            // The document is polled.
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                let report = examine(&nodes, &admin()).await;
                let found = codes(&report);
                let parts = report
                    .findings
                    .iter()
                    .filter(|one| one.what.starts_with(component.name()));
                if parts.count() == 1 && found.iter().all(|(code, _)| *code == "component-down") {
                    break;
                }
                assert!(
                    Instant::now() < deadline,
                    "{dialect:?} {component:?}: {report:#?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_once_on_one_node() {
    let site = Site::start(Dialect::Harbor2, 2).await;
    let nodes: Vec<_> = site.nodes.iter().collect();
    let report = examine(&nodes, &as_user("admin", "wrong")).await;
    assert_eq!(codes(&report), [("account-refused", "harbor-1".to_owned())]);
    let tried = |at: usize| {
        let entries = site.nodes[at].log().entries();
        entries
            .iter()
            .filter(|entry| {
                entry
                    .header("authorization")
                    .is_some_and(|value| value.starts_with("Basic"))
            })
            .count()
    };
    assert_eq!((tried(0), tried(1)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_shows_late_what_others_wrote_is_shared_and_warned_of() {
    let site = Site::start(Dialect::Harbor2, 1).await;
    let caches = |options: &mut Options| options.attribute_cache = Some(Duration::from_secs(60));
    let late = site.node_with("harbor-2", &[], caches).await;
    let also = site.node_with("harbor-3", &[], caches).await;
    let report = examine(&[&late, &also], &admin()).await;
    assert_eq!(
        codes(&report),
        [("storage-lags", "harbor-2,harbor-3".to_owned())],
        "{report:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tried_for_lack_of_rights_is_left_out_and_blamed_on_nobody() {
    let site = Site::start(Dialect::Harbor2, 2).await;
    let nodes: Vec<_> = site.nodes.iter().collect();
    let report = examine(&nodes, &as_user("developer", "Developer12345")).await;
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.left_out.len(), 2, "{:#?}", report.left_out);
    for line in &report.left_out {
        assert!(
            line.contains("an upload to library/seawall-doctor is answered 401"),
            "{line}"
        );
    }
    site.nodes[0].switch(Switch::ReadOnly, true).await;
    let report = examine(&nodes, &admin()).await;
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.left_out.len(), 2, "{:#?}", report.left_out);
    for line in &report.left_out {
        assert!(line.contains("read only mode"), "{line}");
    }
}
