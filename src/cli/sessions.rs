//! `seawall sessions`: what sticks where.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::OK;
use super::ask::Admin;
use super::table::align;
use crate::config::duration;

/// Show what sticks to which node.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Sessions {
    #[command(subcommand)]
    act: Option<Act>,
    /// Only what sticks to this node
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Subcommand)]
enum Act {
    /// Forget what sticks to a node, at every door that shares the store
    Forget {
        /// The node
        #[arg(long, value_name = "NAME")]
        node: String,
    },
}

impl Sessions {
    pub(super) fn execute(self) -> u8 {
        let (method, node) = match &self.act {
            Some(Act::Forget { node }) => (Method::DELETE, Some(node)),
            None => (Method::GET, self.node.as_ref()),
        };
        let path = match node {
            Some(node) => format!("/api/v1/sessions?node={node}"),
            None => "/api/v1/sessions".to_owned(),
        };
        let answer = match self.admin.need(method, &path) {
            Ok(answer) => answer,
            Err(code) => return code,
        };
        match answer.get("forgotten") {
            _ if self.json => println!("{answer:#}"),
            Some(count) => println!("{count} forgotten"),
            None => print!("{}", report(&answer, SystemTime::now())),
        }
        OK
    }
}

fn report(answer: &Value, now: SystemTime) -> String {
    let heads = [
        "KIND",
        "NODE",
        "AGE",
        "LAST SEEN",
        "REQUESTS",
        "CLIENT",
        "DOOR",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    let listed = answer.get("sessions").and_then(Value::as_array);
    for session in listed.into_iter().flatten() {
        let text = |key: &str| match session.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        let ago = |key: &str| {
            let then = session.get(key).and_then(Value::as_u64).unwrap_or(0);
            let then = UNIX_EPOCH + Duration::from_secs(then);
            let passed = now.duration_since(then).unwrap_or_default();
            duration::show(Duration::from_secs(passed.as_secs()))
        };
        rows.push([
            text("kind"),
            text("node"),
            ago("first_seen"),
            format!("{} ago", ago("last_seen")),
            text("requests"),
            text("client"),
            text("door"),
        ]);
    }
    let shown = rows.len() - 1;
    let mut out = if shown > 0 {
        align(&rows)
    } else {
        String::new()
    };
    let total = answer.get("total").and_then(Value::as_u64).unwrap_or(0);
    out.push_str(&format!("{total} in all"));
    if shown as u64 != total {
        out.push_str(&format!(", {shown} of them above"));
    }
    let nodes = answer.get("nodes").and_then(Value::as_object);
    for (node, counts) in nodes.into_iter().flatten() {
        let count = |key: &str| counts.get(key).and_then(Value::as_u64).unwrap_or(0);
        let (sessions, uploads) = (count("sessions"), count("uploads"));
        out.push_str(&format!("; {node}: {sessions} sessions, {uploads} uploads"));
    }
    out.push('\n');
    if let Some(why) = answer.get("incomplete").and_then(Value::as_str) {
        out.push_str(&format!("only what this door remembers: {why}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_report_is_a_table_with_a_summary() {
        let answer = json!({
            "total": 2,
            "sessions": [{"kind": "ui", "node": "harbor-1", "first_seen": 10, "last_seen": 70, "requests": 3,
                "client": "192.0.2.0/24", "door": "a"}],
            "nodes": {"harbor-1": {"sessions": 2, "uploads": 0}},
            "incomplete": null,
        });
        let report = report(&answer, UNIX_EPOCH + Duration::from_secs(100));
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(lines.len(), 3, "{report}");
        assert!(
            lines.iter().any(|line| line.contains("1m30s  30s ago")),
            "{report}"
        );
        assert!(report.ends_with("2 in all, 1 of them above; harbor-1: 2 sessions, 0 uploads\n"));
    }
}
