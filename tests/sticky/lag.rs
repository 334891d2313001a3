//! Storage that tells each node late what another wrote, as NFS with attribute caching does: uploads that are split
//! across nodes fail there, and with affinity they are not split.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;

use crate::support::clients::raw::{Piped, Protocol, Raw, next};
use crate::support::cluster::Cluster;
use crate::support::door::Plan;
use crate::support::harbor::{Dialect, Options};

/// How many of twenty uploads of three chunks fail.
async fn failures(more: &str) -> usize {
    let lag = |options: &mut Options| options.attribute_cache = Some(Duration::from_secs(3));
    let door = |plan: &mut Plan| {
        plan.cluster = "balance = \"round-robin\"".to_owned();
        plan.more += more;
    };
    let cluster = Cluster::start_with(Dialect::Harbor2, 2, lag, door).await;
    let mut client = Raw::connect(&cluster.door, Protocol::Http1).await;
    let mut failures = 0;
    for number in 0..20 {
        let mut path = client.begin(&format!("library/lag-{number}")).await;
        for _ in 0..3 {
            let (pipe, body) = Piped::new(4);
            pipe.try_send(Bytes::from_static(b"some")).unwrap();
            let answer = client.send(Method::PATCH, &path, body).await.unwrap();
            let status = answer.status();
            if status == StatusCode::ACCEPTED {
                path = next(&answer);
            }
            answer.into_body().collect().await.unwrap();
            if status != StatusCode::ACCEPTED {
                assert_eq!(status, StatusCode::NOT_FOUND);
                failures += 1;
                break;
            }
        }
    }
    println!("{failures} of 20 uploads failed with {more:?}");
    failures
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_are_split_across_nodes_fail_where_storage_lags() {
    assert!(failures("[affinity.upload]\nenabled = false\n").await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_never_fail_where_storage_lags_when_they_stay_at_their_node() {
    assert_eq!(failures("").await, 0);
}
