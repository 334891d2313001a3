//! What was deleted: copies at nodes that have not heard of it are not shown any more.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::session::key::{Key, Kind};
use crate::session::{Recalled, Sessions};

/// Remembers that `reference` of `repository` was deleted at `node`; an empty reference stands for the whole repository.
pub async fn bury(sessions: &Sessions, repository: &str, reference: &str, node: &Arc<str>) {
    let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    sessions
        .bind(key(repository, reference), node, nowhere, true)
        .await;
}

/// Forgets that `reference` was deleted: it was pushed again.
pub fn dig_up(sessions: &Sessions, repository: &str, reference: &str) {
    sessions.erase(&key(repository, reference));
}

/// Whether `reference` was deleted, alone or with its repository. A store that cannot be asked in time knows nothing.
pub async fn is_gone(sessions: &Sessions, repository: &str, reference: &str) -> bool {
    for reference in [reference, ""] {
        if let Recalled::Known(_) = sessions.recall(key(repository, reference)).await {
            return true;
        }
    }
    false
}

fn key(repository: &str, reference: &str) -> Key {
    Key::new(Kind::Gone, &format!("{repository}\0{reference}"))
}
