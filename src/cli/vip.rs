//! `seawall vip`: who has the virtual addresses, and giving them away.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::OK;
use super::ask::Admin;
use super::table::align;
use crate::config::duration;

/// More than `vip.release_within` can be: transfers that run hold the answer up.
const LONGEST_RELEASE: Duration = Duration::from_secs(3660);

/// Show, release or claim the virtual addresses of a running Seawall.
#[derive(Args)]
pub struct Vip {
    #[command(subcommand)]
    act: Act,
    /// Print the whole answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Clone, Copy, Subcommand)]
enum Act {
    /// Who is master of which addresses
    Status,
    /// Give the addresses to the other door: when what runs has ended, or after `vip.release_within`
    Release,
    /// Take part again, and take the addresses back from a door of lower priority
    Claim,
}

impl Vip {
    pub(super) fn execute(self) -> u8 {
        let answered = match self.act {
            Act::Status => self.admin.need(Method::GET, "/api/v1/vip"),
            Act::Release => {
                let path = "/api/v1/vip/release";
                self.admin.need_within(LONGEST_RELEASE, Method::POST, path)
            }
            Act::Claim => self.admin.need(Method::POST, "/api/v1/vip/claim"),
        };
        let answer = match answered {
            Ok(answer) => answer,
            Err(code) => return code,
        };
        if self.json {
            println!("{answer:#}");
        } else {
            print!("{}", table(&answer, SystemTime::now()));
        }
        OK
    }
}

fn table(answer: &Value, now: SystemTime) -> String {
    let heads = [
        "INSTANCE",
        "ID",
        "VERSION",
        "STATE",
        "FOR",
        "PRIORITY",
        "ADDRESSES",
        "MASTER",
        "REASON",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    let instances = answer.get("instances").and_then(Value::as_array);
    for instance in instances.into_iter().flatten() {
        let text = |key: &str| match instance.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(list)) => {
                let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                words.join(",")
            }
            Some(Value::Null) | None => "-".to_owned(),
            Some(value) => value.to_string(),
        };
        let since = instance.get("since").and_then(Value::as_u64).unwrap_or(0);
        let passed = now
            .duration_since(UNIX_EPOCH + Duration::from_secs(since))
            .unwrap_or_default();
        rows.push([
            text("name"),
            text("router_id"),
            text("version"),
            text("state"),
            duration::show(Duration::from_secs(passed.as_secs())),
            text("priority"),
            text("addresses"),
            text("master"),
            text("reason"),
        ]);
    }
    if rows.len() == 1 {
        return "no virtual addresses: the configuration has no [vip]\n".to_owned();
    }
    align(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_router_has_a_row() {
        let answer = json!({"instances": [{"name": "vip-51", "router_id": 51, "version": 3, "state": "master", "priority": 20,
            "addresses": ["192.0.2.100/32"], "master": "192.0.2.1", "since": 10, "reason": null}]});
        let table = table(&answer, UNIX_EPOCH + Duration::from_secs(70));
        let row = table.lines().nth(1).unwrap_or_default();
        for word in ["vip-51", "master", "1m", "192.0.2.100/32", "192.0.2.1"] {
            assert!(row.contains(word), "{table}");
        }
    }
}
