//! The operator's word: what was said of a node at any door becomes true here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Placement;
use super::promotion::Promotion;
use crate::harbor::class::Class;
use crate::session::Sessions;
use crate::session::key::Kind;
use crate::session::word::Wish;
use crate::upstream::backend::Backend;
use crate::upstream::cluster::{Cluster, Want};
use crate::upstream::nodes::Nodes;

/// Makes every node of `cluster` do what was last said of it. When it returns, sessions of the pages that stuck to a
/// node which rests now stick elsewhere. What is open on a node in maintenance has `grace` left. Needs a tokio runtime
/// that lasts.
pub async fn obey(
    cluster: &Arc<Cluster>,
    sessions: &Sessions,
    placement: &Placement,
    grace: Duration,
) {
    obey_promotions(sessions, placement);
    for backend in cluster.members() {
        let Some(word) = sessions.words().of(&backend.name) else {
            continue;
        };
        backend.set_weight(word.weight.unwrap_or(backend.configured_weight()));
        let before = backend.standing.wish();
        if before == word.wish {
            continue;
        }
        backend.standing.set_wish(word.wish);
        tracing::info!(node = %backend.name, wish = word.wish.name(), door = word.door, "the operator's word on a node");
        if word.wish == Wish::Maintenance {
            let turn = backend.standing.turns();
            tokio::spawn(close(backend.clone(), turn, grace));
        }
        if before == Wish::Ready && !placement.is_apart() {
            let moved = move_pages(cluster, sessions, backend).await;
            tracing::info!(node = %backend.name, moved, "sessions of the pages moved to other nodes");
        }
    }
}

/// The latest promotion holds, at whichever door it was given.
fn obey_promotions(sessions: &Sessions, placement: &Placement) {
    let words = sessions.words().all();
    let promotions = words.into_iter().filter_map(|(node, word)| {
        let (at, over) = word.promoted?;
        Some(Promotion { node, over, at })
    });
    if let Some(latest) = promotions.max_by_key(|promotion| promotion.at) {
        placement.promote(&latest);
    }
}

/// Ends what is still open on a node when its time is over, unless the operator has changed their mind meanwhile, if only
/// to change it back.
async fn close(node: Arc<Backend>, turn: u64, grace: Duration) {
    tokio::time::sleep(grace).await;
    if node.standing.turns() == turn {
        node.standing.close();
        let cut = node.sever();
        tracing::info!(node = %node.name, connections = cut, "maintenance: what was still open is closed");
    }
}

/// Lets the sessions of the web pages that stick to `node` stick elsewhere at once; uploads stay, since their bytes do.
/// With one database and one Redis behind all nodes, a session is as good at any of them.
async fn move_pages(cluster: &Arc<Cluster>, sessions: &Sessions, node: &Backend) -> usize {
    let mut moved = 0;
    for (key, record) in &sessions.census().await.sessions {
        if key.kind != Kind::Ui || *record.node != *node.name {
            continue;
        }
        let want = Want {
            by_key: true,
            ..Want::any(Some(key.hash()))
        };
        let lease = cluster.lease(Class::ApiRead, want, Nodes::NONE, Instant::now());
        if let Some(lease) = lease.ok().filter(|lease| lease.backend().seed != node.seed) {
            sessions.rebind(*key, record, &lease.backend().name).await;
            moved += 1;
        }
    }
    moved
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{Node, Url};
    use crate::health::outlier::Outlier;
    use crate::telemetry::metrics::Metrics;
    use crate::tls::client::LiveClient;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_an_earlier_maintenance_does_not_end_a_later_one() {
        crate::tls::provider::install();
        let url: Url = "http://10.0.0.1".parse().unwrap();
        let tls = Arc::new(LiveClient::load(None, None).unwrap());
        let outlier = Outlier::new(5, Duration::from_secs(1), Duration::from_secs(9));
        let metrics = Metrics::new(&[]).node("a");
        let node = Backend::new(&Node::new("a".to_owned(), url), tls, &outlier, metrics);
        let node = Arc::new(node.unwrap());
        let standing = &node.standing;
        let grace = Duration::from_secs(60);
        standing.set_wish(Wish::Maintenance);
        let first = tokio::spawn(close(node.clone(), standing.turns(), grace));
        standing.set_wish(Wish::Ready);
        standing.set_wish(Wish::Maintenance);
        first.await.unwrap();
        assert!(standing.finishes(Class::UploadChunk));
        close(node.clone(), standing.turns(), grace).await;
        assert!(!standing.finishes(Class::UploadChunk));
    }
}
