//! Two faults at once: neither hides the other, nor looks like a third.

use super::site::{Fault, Site, admin, codes, examine};
use crate::support::harbor::Dialect;

/// Whom a fault is blamed on where only two nodes are left to compare.
fn blamed(fault: Fault) -> String {
    match fault {
        // The configuration says what is right, and this machine's clock is the third.
        Fault::ExternalUrl | Fault::PlainRealm | Fault::Clock => "harbor-2".to_owned(),
        _ => "harbor-1,harbor-2".to_owned(),
    }
}

async fn pairs(dialect: Dialect) {
    let site = Site::start(dialect, 1).await;
    for (at, one) in Fault::ALL.into_iter().enumerate() {
        for other in Fault::ALL.into_iter().skip(at + 1) {
            let faulty = site.node("harbor-2", &[one, other]).await;
            let report = examine(&[&site.nodes[0], &faulty], &admin()).await;
            let mut expected = [one, other].map(|fault| (fault.code(), blamed(fault)));
            expected.sort();
            assert_eq!(
                codes(&report),
                expected,
                "{one:?} and {other:?}: {report:#?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pair_of_faults_is_found_as_two_in_harbor_2() {
    pairs(Dialect::Harbor2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pair_of_faults_is_found_as_two_in_harbor_1_10() {
    pairs(Dialect::Harbor1).await;
}
