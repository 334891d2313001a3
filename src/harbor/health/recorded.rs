//! The judgement against answers that real Harbors gave while a part of them was down.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{AccountWord, Answer, Check, Reply, Verdict, judge};
use crate::harbor::class::Class;
use crate::harbor::component::{Component, Components};
use crate::harbor::dialect::Dialect;
use serde::Deserialize;

#[derive(Deserialize)]
struct Recording {
    dialect: String,
    replies: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    check: String,
    #[serde(default)]
    timed_out: bool,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    body: String,
    challenge: Option<String>,
}

impl Recorded {
    fn reply(self) -> (Check, Reply) {
        let check = match self.check.as_str() {
            "ping" => Check::Ping,
            "document" => Check::Document,
            "registry" => Check::Registry,
            "database" => Check::Database,
            "portal" => Check::Portal,
            "config" => Check::Config,
            "deep" => Check::Deep,
            other => panic!("unknown check {other}"),
        };
        let answer = Answer {
            status: self.status,
            body: self.body.into(),
            challenge: self.challenge,
        };
        let reply = if self.timed_out {
            Reply::TimedOut
        } else {
            Reply::Answered(answer)
        };
        (check, reply)
    }
}

fn verdict(recording: &str, account: bool) -> Verdict {
    let Recording { dialect, replies } = serde_json::from_str(recording).unwrap();
    let dialect = [Dialect::Harbor2, Dialect::Harbor1, Dialect::Harbor15]
        .into_iter()
        .find(|d| d.name() == dialect)
        .unwrap();
    let checks = dialect.checks(true, account);
    let replies: Vec<_> = replies
        .into_iter()
        .map(Recorded::reply)
        .filter(|(check, _)| checks.contains(check))
        .collect();
    judge(dialect, &replies, account)
}

macro_rules! recording {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/health/", $name, ".json"))
    };
}

/// The classes that must leave a node of which this is known.
fn leaving(verdict: &Verdict) -> Vec<Class> {
    Class::ALL
        .into_iter()
        .filter(|class| class.needs().intersects(verdict.bad))
        .collect()
}

fn all_but(staying: &[Class]) -> Vec<Class> {
    Class::ALL
        .into_iter()
        .filter(|class| *class != Class::Internal && !staying.contains(class))
        .collect()
}

const PULLS: [Class; 9] = [
    Class::Ping,
    Class::Catalog,
    Class::Tags,
    Class::Referrers,
    Class::ManifestRead,
    Class::ManifestDelete,
    Class::BlobHead,
    Class::BlobRead,
    Class::BlobDelete,
];
const PUSHES: [Class; 6] = [
    Class::ManifestWrite,
    Class::UploadStart,
    Class::UploadChunk,
    Class::UploadFinish,
    Class::UploadStatus,
    Class::UploadCancel,
];

fn all_of_v2() -> Vec<Class> {
    Class::ALL
        .into_iter()
        .filter(|class| PULLS.contains(class) || PUSHES.contains(class))
        .collect()
}

/// Judged with an account and without, the same classes leave.
fn check(recording: &str, expected: &[Class]) {
    for account in [true, false] {
        let verdict = verdict(recording, account);
        assert_eq!(
            leaving(&verdict),
            expected,
            "account {account}: {verdict:?}"
        );
        assert!(verdict.reachable);
        assert!(!verdict.good.intersects(verdict.bad));
        let explained: Vec<_> = verdict.reasons.iter().map(|(part, _)| *part).collect();
        assert!(verdict.bad.iter().all(|part| explained.contains(&part)));
        assert_ne!(verdict.account, AccountWord::Refused);
    }
}

#[test]
fn a_healthy_node_keeps_everything() {
    for recording in [
        recording!("v2.9.5-ok"),
        recording!("v1.10.19-ok"),
        recording!("v1.5.2-ok"),
    ] {
        check(recording, &[]);
        let needed = Class::ALL
            .into_iter()
            .fold(Components::EMPTY, |all, class| all.union(class.needs()));
        let missing = needed.minus(verdict(recording, true).good);
        // The 1.10 node's pages were not part of the recording, but its document speaks for them.
        assert!(missing.is_empty(), "{missing:?}");
    }
}

#[test]
fn a_dead_registry_leaves_tokens_and_the_ui_alone() {
    check(recording!("v2.9.5-registry-down"), &all_of_v2());
    check(recording!("v1.10.19-registry-down"), &all_of_v2());
    check(recording!("v1.5.2-registry-down"), &all_of_v2());
}

#[test]
fn an_account_sees_a_dead_registry_before_the_node_does() {
    let recording = recording!("v2.9.5-registry-down-unnoticed");
    assert_eq!(leaving(&verdict(recording, true)), all_of_v2());
    assert_eq!(leaving(&verdict(recording, false)), []);
}

#[test]
fn a_dead_database_leaves_only_pages() {
    let expected = all_but(&[Class::UiAsset, Class::Other]);
    check(recording!("v2.9.5-db-down"), &expected);
    check(recording!("v2.9.5-db-down-unnoticed"), &expected);
    check(recording!("v1.10.19-db-down"), &expected);
    check(recording!("v1.5.2-db-down"), &expected);
}

#[test]
fn a_hanging_database_is_seen_although_the_node_calls_it_healthy() {
    let expected = all_but(&[Class::UiAsset, Class::Other]);
    check(recording!("v2.9.5-db-hung"), &expected);
    let verdict = verdict(recording!("v2.9.5-db-hung"), true);
    assert!(verdict.good.contains(Component::Registry));
    assert_eq!(verdict.account, AccountWord::Unknown);
}

#[test]
fn without_redis_harbor_2_still_serves_pulls() {
    let mut expected = Vec::from(PUSHES);
    expected.push(Class::UiSession);
    expected.sort_by_key(|class| class.index());
    check(recording!("v2.9.5-redis-down"), &expected);
}

#[test]
fn without_redis_harbor_1_serves_nothing() {
    check(
        recording!("v1.10.19-redis-down"),
        &all_but(&[Class::UiAsset]),
    );
    check(recording!("v1.5.2-redis-down"), &all_but(&[]));
}

#[test]
fn a_hanging_redis_stops_core() {
    check(recording!("v2.9.5-redis-hung"), &all_but(&[Class::UiAsset]));
}

#[test]
fn a_dead_core_leaves_the_pages_to_the_portal() {
    check(recording!("v2.9.5-core-down"), &all_but(&[Class::UiAsset]));
}

#[test]
fn a_dead_portal_concerns_nobody_but_browsers() {
    check(recording!("v2.9.5-portal-down"), &[Class::UiAsset]);
}

#[test]
fn a_dead_jobservice_moves_nothing_but_is_shown() {
    let recording = recording!("v2.9.5-jobservice-down");
    check(recording, &[]);
    assert!(verdict(recording, true).bad.contains(Component::Jobservice));
}

#[test]
fn a_dead_adminserver_stops_harbor_1_5_but_not_its_pages() {
    let staying = [Class::UiAsset, Class::Chart, Class::Other];
    check(recording!("v1.5.2-adminserver-down"), &all_but(&staying));
}
