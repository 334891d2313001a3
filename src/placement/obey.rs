//! The operator's word: what was said of a node at any door becomes true here.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
pub async fn obey(cluster: &Arc<Cluster>, sessions: &Sessions, grace: Duration) {
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
            tokio::spawn(close(backend.clone(), grace));
        }
        if before == Wish::Ready {
            let moved = move_pages(cluster, sessions, backend).await;
            tracing::info!(node = %backend.name, moved, "sessions of the pages moved to other nodes");
        }
    }
}

/// Ends what is still open on a node when its time is over, unless the operator has changed their mind.
async fn close(node: Arc<Backend>, grace: Duration) {
    tokio::time::sleep(grace).await;
    if node.standing.wish() == Wish::Maintenance {
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
        if let Some(lease) = lease.filter(|lease| lease.backend().seed != node.seed) {
            sessions.rebind(*key, record, &lease.backend().name).await;
            moved += 1;
        }
    }
    moved
}
