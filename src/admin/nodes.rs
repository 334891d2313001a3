//! The nodes as operators see them, and what operators say of them.

use std::time::UNIX_EPOCH;

use http::StatusCode;
use serde_json::{Value, json};

use super::Desk;
use super::api::{Answer, error, json_answer};
use crate::harbor::class::Class;
use crate::placement::obey;
use crate::placement::promotion::Promotion;
use crate::session::census::Tied;
use crate::session::word::Word;
use crate::upstream::backend::Backend;

/// Every node.
pub async fn all(desk: &Desk) -> Value {
    let snapshot = desk.door.state.read();
    let census = snapshot.sessions.census().await;
    let tied = census.by_node();
    let layout = snapshot.placement.layout();
    let members = snapshot.cluster.members().iter().enumerate();
    members
        .map(|(index, backend)| {
            let tied = tied.get(&*backend.name).copied().unwrap_or_default();
            let elsewhere = snapshot.sessions.doors().busy(&backend.name);
            let mut node = node(backend, tied, elsewhere);
            if let Some(place) = layout
                .store_of(index)
                .filter(|_| !layout.topology.shares_data())
                && let Some(store) = layout.stores.get(place)
                && let Some(fields) = node.as_object_mut()
            {
                let data =
                    json!({"storage": store.name, "tier": store.tier, "writes": store.writes});
                fields.insert("data".to_owned(), data);
            }
            node
        })
        .collect()
}

/// Says something of one node, and answers with what became of it.
pub async fn operate(desk: &Desk, name: &str, say: impl FnOnce(&mut Word)) -> Answer {
    let snapshot = desk.door.state.read();
    let members = snapshot.cluster.members();
    let Some(backend) = members.iter().find(|backend| *backend.name == *name) else {
        return error(StatusCode::NOT_FOUND, "NOT_FOUND", "no node has this name");
    };
    snapshot.sessions.say(name, say);
    let grace = snapshot.patience.maintenance;
    obey::obey(
        &snapshot.cluster,
        &snapshot.sessions,
        &snapshot.placement,
        grace,
    )
    .await;
    let census = snapshot.sessions.census().await;
    let tied = census.by_node().get(name).copied().unwrap_or_default();
    let elsewhere = snapshot.sessions.doors().busy(name);
    json_answer(StatusCode::OK, &node(backend, tied, elsewhere))
}

/// Lets a node take what is written in place of the primary, here at once, at other doors when they hear of it, and after
/// a restart.
pub async fn promote(desk: &Desk, name: &str) -> Answer {
    let placement = desk.door.state.read().placement.clone();
    match placement.crown(name) {
        Some(Promotion { at, over, .. }) => {
            operate(desk, name, |word| word.promoted = Some((at, over))).await
        }
        None => {
            let what = "no such node, or no primary: topology \"primary-replica\" has one";
            error(StatusCode::CONFLICT, "CONFLICT", what)
        }
    }
}

fn node(backend: &Backend, tied: Tied, elsewhere: u32) -> Value {
    let standing = &backend.standing;
    let serves =
        |class: Class| standing.serves(class) && !standing.ejection.is_out(class.circuit());
    let components: serde_json::Map<String, Value> = standing
        .components()
        .into_iter()
        .map(|(component, shown)| {
            let word = match shown.up {
                Some(true) => "healthy",
                Some(false) => "unhealthy",
                None => "unknown",
            };
            let since = shown
                .since
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs();
            let mut value = json!({"status": word, "since": since});
            if !shown.reason.is_empty()
                && let Some(fields) = value.as_object_mut()
            {
                fields.insert("reason".to_owned(), shown.reason.into());
            }
            (component.name().to_owned(), value)
        })
        .collect();
    json!({
        "name": &*backend.name,
        "url": backend.url(),
        "state": backend.state(),
        "weight": backend.weight(),
        "in_flight": backend.capacity.in_flight(),
        "in_flight_elsewhere": elsewhere,
        "sessions": tied.ui,
        "uploads": tied.uploads,
        "components": components,
        "serves": {
            "registry": serves(Class::ManifestRead),
            "push": serves(Class::ManifestWrite),
            "token": serves(Class::Token),
            "api": serves(Class::ApiRead),
            "ui": serves(Class::UiAsset),
        },
        "dialect": standing.dialect().map(|dialect| dialect.name()),
        "version": standing.version(),
    })
}
