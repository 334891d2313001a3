//! Proxy caches: each repository at one node, so that several do not fetch the same layer from afar.

use super::{nodes_of, puller, pulls};
use crate::support::cluster::Cluster;
use crate::support::harbor::Dialect;

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_a_proxy_cache_is_read_at_one_node() {
    let cluster = Cluster::start_with(
        Dialect::Harbor2,
        3,
        |_| {},
        |plan| plan.cluster += "balance = \"round-robin\"\nproxy_cache = [\"library\"]\n",
    )
    .await;
    for number in 0..6 {
        let repository = format!("library/cached-{number}");
        cluster.nodes[0].push(&repository, "1", &repository).await;
    }
    let client = puller(&cluster.door);
    for number in 0..6 {
        let repository = format!("library/cached-{number}");
        for _ in 0..3 {
            pulls(&client, &repository, "1").await.unwrap();
        }
    }
    let nodes = nodes_of(&cluster.door, "blob_read", 36);
    for pulls in nodes.chunks(6) {
        assert!(pulls.iter().all(|node| *node == pulls[0]), "{nodes:?}");
    }
    assert!(nodes.iter().any(|node| *node != nodes[0]), "{nodes:?}");
}
