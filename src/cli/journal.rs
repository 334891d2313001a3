//! `seawall journal`: what some storage lacks, and what becomes of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::ask::Admin;
use super::table::align;
use super::{OK, WRONG_USAGE};
use crate::config::duration;

/// Show what some storage lacks, have it brought there now, or forget it.
#[derive(Args)]
pub struct Journal {
    #[command(subcommand)]
    act: Option<Act>,
    /// Print the whole answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Subcommand)]
enum Act {
    /// Everything that some storage lacks
    List,
    /// Try now what waits for its time, all of it or these entries
    Run {
        /// Entries
        #[arg(value_name = "ID")]
        ids: Vec<String>,
    },
    /// Take entries out, once a person has settled them: what is missing stays missing
    Forget {
        /// Entries
        #[arg(value_name = "ID", conflicts_with = "all")]
        ids: Vec<String>,
        /// Every entry
        #[arg(long)]
        all: bool,
    },
}

const PATH: &str = "/api/v1/journal";

impl Journal {
    pub(super) fn execute(self) -> u8 {
        let answers = match &self.act {
            None | Some(Act::List) => self.admin.need(Method::GET, PATH).map(|one| vec![one]),
            Some(Act::Run { ids }) if ids.is_empty() => {
                self.post(&Value::Null).map(|one| vec![one])
            }
            Some(Act::Run { ids }) => ids.iter().map(|id| self.post(&json!({"id": id}))).collect(),
            Some(Act::Forget { ids, all }) if ids.is_empty() && !all => {
                eprintln!("seawall: name the entries, or say --all");
                return WRONG_USAGE;
            }
            Some(Act::Forget { ids, all }) => {
                let every = ["all".to_owned()];
                let ids = if *all { &every[..] } else { ids };
                let forget = |id: &String| {
                    let path = format!("{PATH}?id={id}");
                    self.admin.need(Method::DELETE, &path)
                };
                ids.iter().map(forget).collect()
            }
        };
        let answers = match answers {
            Ok(answers) => answers,
            Err(code) => return code,
        };
        let forgotten = |answer: &Value| answer.get("forgotten").and_then(Value::as_u64);
        let count: u64 = answers.iter().filter_map(forgotten).sum();
        match answers.last() {
            Some(answer) if forgotten(answer).is_some() => match self.json {
                true => println!("{:#}", json!({"forgotten": count})),
                false => println!("{count} forgotten"),
            },
            Some(answer) if self.json => println!("{answer:#}"),
            Some(answer) => print!("{}", report(answer, SystemTime::now())),
            None => {}
        }
        OK
    }

    fn post(&self, body: &Value) -> Result<Value, u8> {
        let body = match body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        self.admin.need_with(Method::POST, PATH, body)
    }
}

fn report(answer: &Value, now: SystemTime) -> String {
    let heads = [
        "ID",
        "DEED",
        "IMAGE",
        "NODE",
        "AGE",
        "MISSING AT",
        "STATE",
        "ATTEMPTS",
        "WHY",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    let entries = answer.get("entries").and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        let text = |key: &str| match entry.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(list)) => {
                let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                words.join(",")
            }
            Some(Value::Null) | None => String::new(),
            Some(value) => value.to_string(),
        };
        let at = entry.get("at").and_then(Value::as_u64).unwrap_or(0);
        let age = now.duration_since(UNIX_EPOCH + Duration::from_secs(at));
        let (repository, reference) = (text("repository"), text("reference"));
        let mark = match reference.as_str() {
            "" => "",
            digest if digest.contains(':') => "@",
            _ => ":",
        };
        rows.push([
            text("id"),
            text("deed"),
            format!("{repository}{mark}{reference}"),
            text("node"),
            duration::show(Duration::from_secs(age.unwrap_or_default().as_secs())),
            text("missing"),
            text("state"),
            text("attempts"),
            text("why"),
        ]);
    }
    let shown = rows.len() - 1;
    let total = answer.get("total").and_then(Value::as_u64).unwrap_or(0);
    if total == 0 {
        return "nothing is missing anywhere, as far as this door knows\n".to_owned();
    }
    let mut out = align(&rows);
    if shown as u64 != total {
        out.push_str(&format!("{total} in all, {shown} of them above\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_row() {
        let answer = json!({"total": 1, "entries": [{"id": "abc", "repository": "p/r", "reference": "1", "deed": "push",
            "node": "harbor-1", "at": 10, "missing": ["b", "c"], "state": "pending", "attempts": 2, "why": "it waits for b"}]});
        let report = report(&answer, UNIX_EPOCH + Duration::from_secs(70));
        let row = report.lines().nth(1).unwrap_or_default();
        for word in [
            "abc",
            "push",
            "p/r:1",
            "1m",
            "b,c",
            "pending",
            "2",
            "it waits for b",
        ] {
            assert!(row.contains(word), "{report}");
        }
    }

    #[test]
    fn an_empty_journal_says_so() {
        let report = report(&json!({"total": 0, "entries": []}), UNIX_EPOCH);
        assert!(report.starts_with("nothing is missing"), "{report}");
    }
}
