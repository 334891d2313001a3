#![allow(clippy::unwrap_used)]

use super::*;

fn said(status: u16, body: &'static str) -> Reply {
    Reply::Answered(Answer {
        status,
        body: Bytes::from_static(body.as_bytes()),
        challenge: None,
    })
}

const SICK_DATABASE: &str =
    r#"{"status":"unhealthy","components":[{"name":"database","status":"unhealthy","error":"x"}]}"#;
const WELL: &str = r#"{"status":"healthy","components":[{"name":"database","status":"healthy"},{"name":"registry","status":"healthy"}]}"#;

/// A Harbor 2 of which only these answers are unusual.
fn two(unusual: &[(Check, Reply)], worked_before: bool) -> Verdict {
    let mut replies = unusual.to_vec();
    replies.extend([
        (Check::Ping, said(200, "Pong")),
        (Check::Document, said(200, WELL)),
        (Check::Database, said(200, "[]")),
    ]);
    judge(Dialect::Harbor2, &replies, worked_before)
}

#[test]
fn a_node_that_refuses_connections_has_nothing_left() {
    let replies = [
        (Check::Ping, Reply::Refused),
        (Check::Portal, Reply::Refused),
        (Check::Deep, Reply::Skipped),
    ];
    let verdict = judge(Dialect::Harbor2, &replies, true);
    assert!(!verdict.reachable);
    assert_eq!(verdict.bad, Components::ALL);
    assert!(verdict.good.is_empty());
}

#[test]
fn questions_that_were_not_put_prove_nothing() {
    let verdict = judge(Dialect::Harbor2, &[(Check::Ping, Reply::Skipped)], false);
    assert!(verdict.good.is_empty() && verdict.bad.is_empty());
}

#[test]
fn what_is_seen_outranks_what_is_reported() {
    let document = (Check::Document, said(200, SICK_DATABASE));
    let verdict = two(&[document], false);
    assert!(verdict.good.contains(Component::Database));
    assert!(verdict.reasons.is_empty());
    let verdict = two(&[(Check::Database, said(500, ""))], false);
    assert!(verdict.bad.contains(Component::Database));
}

#[test]
fn a_missing_document_is_no_evidence() {
    let verdict = two(&[(Check::Document, Reply::TimedOut)], false);
    assert!(verdict.bad.is_empty());
    assert!(!verdict.good.contains(Component::Registry));
    assert!(verdict.good.contains(Component::Database));
}

#[test]
fn a_page_in_place_of_the_ping_is_a_dead_core() {
    let verdict = two(&[(Check::Ping, said(200, "<!doctype html>"))], false);
    assert!(verdict.bad.contains(Component::Core));
}

#[test]
fn with_core_silent_only_the_portal_is_still_believed() {
    let unusual = [
        (Check::Ping, Reply::TimedOut),
        (Check::Document, Reply::TimedOut),
        (Check::Database, Reply::TimedOut),
        (Check::Deep, said(502, "")),
        (Check::Portal, said(200, "")),
    ];
    let verdict = two(&unusual, true);
    assert_eq!(verdict.bad, Components::of(&[Component::Core]));
    assert_eq!(verdict.good, Components::of(&[Component::Portal]));
    assert_eq!(verdict.account, AccountWord::Unknown);
}

#[test]
fn an_unauthorised_answer_of_core_says_nothing_about_the_registry() {
    let unusual = [
        (Check::Document, Reply::TimedOut),
        (Check::Registry, said(401, "")),
    ];
    let verdict = two(&unusual, false);
    let either = verdict.good.union(verdict.bad);
    assert!(!either.contains(Component::Registry));
    let verdict = two(&[(Check::Registry, Reply::TimedOut)], false);
    assert!(verdict.bad.contains(Component::Registry));
}

#[test]
fn an_account_that_works_vouches_for_the_registry() {
    let document = r#"{"components":[{"name":"registry","status":"unhealthy"}]}"#;
    let unusual = [
        (Check::Document, said(200, document)),
        (Check::Deep, said(200, "{}")),
    ];
    let verdict = two(&unusual, false);
    assert_eq!(verdict.account, AccountWord::Worked);
    assert!(verdict.good.contains(Component::Registry));
}

#[test]
fn a_known_account_that_is_refused_with_the_database_well_was_revoked() {
    let verdict = two(&[(Check::Deep, said(401, ""))], true);
    assert_eq!(verdict.account, AccountWord::Refused);
    assert!(verdict.bad.is_empty());
}

#[test]
fn an_account_that_never_worked_is_wrong() {
    let verdict = two(&[(Check::Deep, said(401, ""))], false);
    assert_eq!(verdict.account, AccountWord::Refused);
    assert!(verdict.bad.is_empty());
}

#[test]
fn a_dead_database_does_not_cost_the_account() {
    for worked_before in [true, false] {
        let unusual = [
            (Check::Database, said(500, "")),
            (Check::Deep, said(401, "")),
        ];
        let verdict = two(&unusual, worked_before);
        assert_eq!(verdict.account, AccountWord::Unknown);
        assert!(verdict.bad.contains(Component::Database));
    }
}

#[test]
fn a_known_account_refused_while_the_database_is_reported_sick_confirms_the_report() {
    let unusual = [
        (Check::Database, Reply::Skipped),
        (Check::Document, said(200, SICK_DATABASE)),
        (Check::Deep, said(401, "")),
    ];
    let verdict = two(&unusual, true);
    assert!(verdict.bad.contains(Component::Database));
    assert_eq!(verdict.account, AccountWord::Unknown);
}

#[test]
fn a_deep_check_that_hangs_with_the_database_well_is_the_registry() {
    let verdict = two(&[(Check::Deep, Reply::TimedOut)], true);
    assert!(verdict.bad.contains(Component::Registry));
    assert!(verdict.good.contains(Component::Database));
}

#[test]
fn charts_wait_for_a_chart_server_only_where_there_is_one() {
    assert!(two(&[], false).good.contains(Component::Chartmuseum));
    let document = r#"{"components":[{"name":"chartmuseum","status":"unhealthy"}]}"#;
    let verdict = two(&[(Check::Document, said(200, document))], false);
    assert!(verdict.bad.contains(Component::Chartmuseum));
}

#[test]
fn the_front_page_of_harbor_1_5_is_no_witness() {
    let replies = [
        (Check::Ping, said(200, "\"Pong\"")),
        (Check::Portal, said(500, "")),
    ];
    let verdict = judge(Dialect::Harbor15, &replies, false);
    assert!(verdict.good.contains(Component::Portal));
}

#[test]
fn the_version_of_harbor_1_5_is_told_by_its_configuration() {
    let info = r#"{"registry_url":"r","harbor_version":"v1.5.2-8e61deae"}"#;
    let replies = [
        (Check::Ping, said(200, "\"Pong\"")),
        (Check::Config, said(200, info)),
    ];
    let verdict = judge(Dialect::Harbor15, &replies, false);
    assert_eq!(verdict.version.as_deref(), Some("v1.5.2-8e61deae"));
    assert!(verdict.good.contains(Component::Adminserver));
}

#[test]
fn a_plain_registry_is_judged_by_one_answer() {
    let by = |reply| judge(Dialect::Registry, &[(Check::Registry, reply)], false);
    for status in [200, 401] {
        let verdict = by(said(status, ""));
        assert!(verdict.bad.is_empty());
        for class in crate::harbor::Class::ALL {
            assert!(class.needs().minus(verdict.good).is_empty(), "{class:?}");
        }
    }
    for reply in [said(500, ""), said(404, ""), Reply::TimedOut, Reply::Failed] {
        assert!(by(reply).bad.contains(Component::Registry));
    }
    assert!(by(said(429, "")).bad.is_empty());
}
