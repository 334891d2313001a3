//! `seawall status`: the nodes as a table.

use clap::Args;
use http::Method;
use serde_json::Value;

use super::OK;
use super::ask::Admin;
use super::table::align;

/// Show the nodes of a running Seawall.
#[derive(Args)]
pub struct Status {
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Status {
    pub(super) fn execute(self) -> u8 {
        let answer = match self.admin.need(Method::GET, "/api/v1/status") {
            Ok(answer) => answer,
            Err(code) => return code,
        };
        if self.json {
            println!("{answer:#}");
            return OK;
        }
        print!("{}", table(&answer));
        for line in store(&answer) {
            println!("{line}");
        }
        OK
    }
}

fn table(answer: &Value) -> String {
    let mut rows = vec![
        [
            "NODE",
            "STATE",
            "WEIGHT",
            "IN FLIGHT",
            "SESSIONS",
            "UPLOADS",
            "SERVES",
            "DOWN",
            "URL",
        ]
        .map(str::to_owned),
    ];
    for node in answer
        .get("nodes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |key: &str| match node.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        let named = |key: &str, wanted: &dyn Fn(&Value) -> bool| {
            let fields = node
                .get(key)
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            let names: Vec<&str> = fields
                .filter(|(_, value)| wanted(value))
                .map(|(name, _)| name.as_str())
                .collect();
            if names.is_empty() {
                "-".to_owned()
            } else {
                names.join(",")
            }
        };
        let serves = named("serves", &|value| value.as_bool() == Some(true));
        let down = named("components", &|value| {
            value.get("status").and_then(Value::as_str) == Some("unhealthy")
        });
        rows.push([
            text("name"),
            text("state"),
            text("weight"),
            text("in_flight"),
            text("sessions"),
            text("uploads"),
            serves,
            down,
            text("url"),
        ]);
    }
    align(&rows)
}

/// The session store and the other doors, where there are any.
fn store(answer: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let sessions = answer.get("sessions");
    let field = |of: Option<&Value>, key: &str| {
        let text = of.and_then(|of| of.get(key)).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let store = sessions.and_then(|sessions| sessions.get("store"));
    if let Some(store) = store.filter(|store| !store.is_null()) {
        let address = field(Some(store), "address");
        lines.push(match store.get("up").and_then(Value::as_bool) {
            Some(true) => format!("sessions in {address}"),
            _ => format!(
                "sessions in memory only; {address}: {}",
                field(Some(store), "reason")
            ),
        });
    }
    let doors = sessions.and_then(|sessions| sessions.get("doors"));
    for door in doors.and_then(Value::as_array).into_iter().flatten() {
        let name = field(Some(door), "door");
        let differs = field(Some(door), "differs");
        lines.push(if differs.is_empty() {
            format!("other door {name}: same nodes")
        } else {
            format!("other door {name}: OTHER NODES: {differs}")
        });
    }
    lines
}
