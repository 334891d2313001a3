//! The virtual addresses as operators see them.

use std::time::UNIX_EPOCH;

use http::StatusCode;
use serde_json::{Value, json};

use super::Desk;
use super::api::{Answer, error, json_answer};
use crate::vip::router::Standing;

/// Every virtual router.
pub fn status(desk: &Desk) -> Answer {
    json_answer(StatusCode::OK, &json!({"instances": instances(desk)}))
}

/// The same for the whole status.
pub fn instances(desk: &Desk) -> Vec<Value> {
    desk.vip.standings().iter().map(instance).collect()
}

fn instance(standing: &Standing) -> Value {
    let since = standing.since.duration_since(UNIX_EPOCH);
    json!({
        "name": standing.name,
        "router_id": standing.router_id,
        "version": standing.version,
        "state": standing.state.slug(),
        "priority": standing.priority,
        "addresses": standing.addresses,
        "master": standing.master,
        "since": since.unwrap_or_default().as_secs(),
        "reason": standing.reason,
    })
}

/// Gives the addresses away, in good order.
pub async fn release(desk: &Desk) -> Answer {
    if !desk.vip.is_there() {
        return nothing();
    }
    let within = desk.door.state.read().patience.release;
    desk.vip.release(within).await;
    tracing::info!("an operator had the virtual addresses released");
    status(desk)
}

/// Takes part in the election again.
pub async fn claim(desk: &Desk) -> Answer {
    if !desk.vip.is_there() {
        return nothing();
    }
    desk.vip.claim().await;
    tracing::info!("an operator had the virtual addresses claimed");
    status(desk)
}

fn nothing() -> Answer {
    error(
        StatusCode::CONFLICT,
        "CONFLICT",
        "this door has no virtual address: the configuration has no [vip]",
    )
}
