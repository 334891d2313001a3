//! When things were pushed: lines of a file in the database's directory.

use std::collections::HashMap;
use std::io::Write;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::database::Database;
use super::time;

/// When the artifacts and tags of one repository came.
#[derive(Default)]
pub struct Times {
    artifacts: HashMap<String, String>,
    /// The digest under a tag, and since when it is that one.
    tags: HashMap<String, (String, String)>,
}

impl Times {
    pub fn of_artifact(&self, digest: &str) -> &str {
        self.artifacts.get(digest).map_or(NEVER, String::as_str)
    }

    pub fn of_tag(&self, tag: &str) -> &str {
        self.tags.get(tag).map_or(NEVER, |(_, at)| at.as_str())
    }
}

/// What was there before the first push that is known.
const NEVER: &str = "2026-01-02T03:04:05.678Z";

impl Database {
    /// A manifest was accepted under a tag or its digest. What is there already keeps its time.
    pub fn note_push(&self, repository: &str, reference: &str, digest: &str) {
        let at = time::json(SystemTime::now());
        let line =
            json!({"repository": repository, "reference": reference, "digest": digest, "at": at});
        self.append(&line);
    }

    /// A tag or digest is gone; all of the repository if `reference` is empty.
    pub fn note_gone(&self, repository: &str, reference: &str) {
        self.append(&json!({"repository": repository, "gone": reference}));
    }

    fn append(&self, line: &Value) {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.pushes())
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .expect("the database is writable");
    }

    pub fn times(&self, repository: &str) -> Times {
        let mut times = Times::default();
        let lines = std::fs::read_to_string(self.pushes()).unwrap_or_default();
        let lines = lines.lines().map(serde_json::from_str::<Value>);
        for line in lines.filter_map(Result::ok) {
            if line["repository"] != repository {
                continue;
            }
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let gone = text("gone");
            if line["gone"].is_null() {
                let (reference, digest, at) = (text("reference"), text("digest"), text("at"));
                times
                    .artifacts
                    .entry(digest.clone())
                    .or_insert_with(|| at.clone());
                let same = times
                    .tags
                    .get(&reference)
                    .is_some_and(|(d, _)| *d == digest);
                if reference != digest && !same {
                    times.tags.insert(reference, (digest, at));
                }
            } else if gone.is_empty() {
                times = Times::default();
            } else {
                times.artifacts.remove(&gone);
                times
                    .tags
                    .retain(|tag, (digest, _)| *tag != gone && *digest != gone);
            }
        }
        times
    }
}
