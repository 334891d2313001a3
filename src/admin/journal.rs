//! The journal as operators see and drive it.

use http::StatusCode;
use serde_json::{Value, json};

use super::Desk;
use super::api::{Answer, error, json_answer};
use crate::harbor::class::Class;
use crate::placement::journal::entry::{Entry, State};
use crate::session::entry::now;
use crate::state::snapshot::Snapshot;

/// Entries that one answer lists; `total` counts all.
const MOST_LISTED: usize = 10_000;

/// Whether some node of the storage at a place is well.
fn is_well(snapshot: &Snapshot, store: &str) -> bool {
    let layout = snapshot.placement.layout();
    let store = layout.stores.iter().find(|one| one.name == store);
    let nodes = store.into_iter().flat_map(|store| store.nodes.places());
    let mut nodes = nodes.filter_map(|place| snapshot.cluster.members().get(place));
    nodes.any(|node| node.standing.reachable() && node.standing.serves(Class::ManifestWrite))
}

/// Everything that some storage lacks, the oldest first.
pub fn list(desk: &Desk) -> Answer {
    json_answer(StatusCode::OK, &all(&desk.door.state.read()))
}

fn all(snapshot: &Snapshot) -> Value {
    let placement = &snapshot.placement;
    let mut entries: Vec<Entry> = placement
        .journal
        .read(|table| table.entries().cloned().collect());
    entries.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    let total = entries.len();
    let layout = placement.layout();
    let stores = layout.stores.iter().filter(|store| !store.name.is_empty());
    let storages: Vec<Value> = stores
        .map(|store| {
            let lacks = |entry: &&Entry| entry.missing.contains(&store.name);
            json!({
                "name": store.name,
                "well": is_well(snapshot, &store.name),
                "missing": entries.iter().filter(lacks).count(),
            })
        })
        .collect();
    let listed = entries.iter().take(MOST_LISTED);
    let listed: Vec<Value> = listed.map(|entry| row(snapshot, entry)).collect();
    json!({"total": total, "entries": listed, "storages": storages})
}

/// One entry; the time in whole seconds since 1970.
fn row(snapshot: &Snapshot, entry: &Entry) -> Value {
    let waits = || {
        let mut missing = entry.missing.iter();
        match missing.find(|store| !is_well(snapshot, store)) {
            Some(away) => format!("it waits for {away}"),
            None => "it gives the nodes' own replication time".to_owned(),
        }
    };
    let why = match (entry.why(), entry.state()) {
        ("", State::Pending) => waits(),
        (why, _) => why.to_owned(),
    };
    json!({
        "id": entry.id,
        "repository": entry.repository,
        "reference": entry.reference,
        "deed": entry.deed.name(),
        "digest": entry.digest(),
        "node": entry.node,
        "at": entry.at / 1000,
        "missing": entry.missing,
        "state": entry.state().name(),
        "attempts": entry.progress.attempts,
        "why": why,
        "found": entry.found,
        "door": (!entry.door.is_empty()).then_some(&entry.door),
    })
}

/// Has everything, or one entry, tried now.
pub fn run(desk: &Desk, id: Option<&str>) -> Answer {
    let snapshot = desk.door.state.read();
    let journal = &snapshot.placement.journal;
    if id.is_some_and(|id| journal.read(|table| table.get(id).is_none())) {
        return unknown();
    }
    journal.hurry(id);
    list(desk)
}

/// Takes one entry or all of them out; what peers lack then, they lack for good.
pub fn forget(desk: &Desk, id: &str) -> Answer {
    let snapshot = desk.door.state.read();
    let journal = &snapshot.placement.journal;
    let ids: Vec<String> = match id {
        "all" => journal.read(|table| table.entries().map(|entry| entry.id.clone()).collect()),
        id => vec![id.to_owned()],
    };
    let forgotten = ids.iter().filter(|id| journal.forget(id)).count();
    if forgotten == 0 && id != "all" {
        return unknown();
    }
    tracing::info!(
        id,
        forgotten,
        "an operator had entries of the journal forgotten"
    );
    json_answer(StatusCode::OK, &json!({"forgotten": forgotten}))
}

fn unknown() -> Answer {
    let what = "no entry of the journal has this id";
    error(StatusCode::NOT_FOUND, "NOT_FOUND", what)
}

/// Sets the gauges of the journal.
pub fn measure(desk: &Desk) {
    let snapshot = desk.door.state.read();
    let metrics = desk.door.sinks.metrics.journal();
    let mut counts = [0_i64; State::ALL.len()];
    let oldest = snapshot.placement.journal.read(|table| {
        for entry in table.entries() {
            let place = State::ALL.iter().position(|state| *state == entry.state());
            if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
                *count += 1;
            }
        }
        table.entries().map(|entry| entry.at).min()
    });
    for (gauge, count) in metrics.entries.iter().zip(counts) {
        gauge.set(count);
    }
    let age = oldest.map_or(0, |at| now().saturating_sub(at) / 1000);
    metrics.oldest.set(i64::try_from(age).unwrap_or(i64::MAX));
}
