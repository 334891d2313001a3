//! What sticks where, as operators see it.

use std::time::UNIX_EPOCH;

use http::StatusCode;
use serde_json::{Value, json};

use super::Desk;
use super::api::{Answer, json_answer};
use crate::session::census::Census;
use crate::session::entry::Record;
use crate::session::key::{Key, Kind};

/// Sessions that one answer lists; `total` counts all.
const MOST_LISTED: usize = 10_000;

/// What sticks to `node`, or to any.
pub async fn list(desk: &Desk, node: Option<&str>) -> Answer {
    let sessions = desk.door.state.read().sessions.clone();
    let census = sessions.census().await;
    let of_node = |(_, record): &&(Key, Record)| node.is_none_or(|node| record.node == node);
    let total = census.sessions.iter().filter(of_node).count();
    let listed: Vec<Value> = census
        .sessions
        .iter()
        .filter(of_node)
        .take(MOST_LISTED)
        .map(|(_, record)| row(record))
        .collect();
    let answer = json!({
        "total": total,
        "sessions": listed,
        "nodes": by_node(&census),
        "incomplete": census.incomplete,
    });
    json_answer(StatusCode::OK, &answer)
}

fn by_node(census: &Census) -> Value {
    let nodes = census.by_node().into_iter();
    nodes
        .map(|(node, tied)| {
            let counts = json!({"sessions": tied.ui, "uploads": tied.uploads});
            (node.to_owned(), counts)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// One session; times in whole seconds since 1970.
fn row(record: &Record) -> Value {
    json!({
        "kind": record.kind,
        "node": record.node,
        "first_seen": record.first / 1000,
        "last_seen": record.last / 1000,
        "requests": record.requests,
        "client": record.client,
        "door": record.door,
    })
}

/// Forgets what sticks to `node`, at every door.
pub async fn forget(desk: &Desk, node: &str) -> Answer {
    let sessions = desk.door.state.read().sessions.clone();
    let forgotten = sessions.forget_node(node).await;
    tracing::info!(node, forgotten, "an operator had sessions forgotten");
    json_answer(StatusCode::OK, &json!({"forgotten": forgotten}))
}

/// The store and the other doors, for the status.
pub fn summary(desk: &Desk) -> Value {
    let sessions = desk.door.state.read().sessions.clone();
    let store = sessions.store().map(|store| {
        let condition = store.condition();
        let since = condition.since.duration_since(UNIX_EPOCH);
        json!({
            "address": store.address(),
            "up": store.is_up(),
            "reason": condition.trouble.as_ref().map(ToString::to_string),
            "since": since.unwrap_or_default().as_secs(),
        })
    });
    let doors: Vec<Value> = sessions
        .doors()
        .peers()
        .into_iter()
        .map(|peer| json!({"door": peer.door, "differs": peer.differs, "in_flight": peer.busy}))
        .collect();
    let in_memory: serde_json::Map<String, Value> = Kind::ALL
        .into_iter()
        .map(|kind| (kind.slug().to_owned(), sessions.count(kind).into()))
        .collect();
    json!({
        "door": &**sessions.door(),
        "store": store,
        "in_memory": in_memory,
        "doors": doors,
    })
}
