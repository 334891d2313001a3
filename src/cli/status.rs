//! `seawall status`: the nodes as a table.

use clap::Args;
use http::{Method, StatusCode};
use serde_json::Value;

use super::ask::{self, Admin};
use super::{FAILED, OK};

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
        match self.admin.ask(Method::GET, "/api/v1/status") {
            Ok((StatusCode::OK, answer)) if self.json => {
                println!("{answer:#}");
                OK
            }
            Ok((StatusCode::OK, answer)) => {
                print!("{}", table(&answer));
                OK
            }
            Ok((_, answer)) => {
                for complaint in ask::complaints(&answer) {
                    eprintln!("seawall: {complaint}");
                }
                FAILED
            }
            Err(error) => {
                eprintln!("seawall: {error:#}");
                FAILED
            }
        }
    }
}

fn table(answer: &Value) -> String {
    let mut rows = vec![
        [
            "NODE",
            "STATE",
            "WEIGHT",
            "IN FLIGHT",
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
            serves,
            down,
            text("url"),
        ]);
    }
    align(&rows)
}

/// Columns as wide as their widest cell.
fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        table.push_str(line.join("  ").trim_end());
        table.push('\n');
    }
    table
}
