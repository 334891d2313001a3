//! The recordings, as they are kept in `tests/fixtures/traces`.

use std::path::PathBuf;

use serde::Deserialize;

/// One recorded exchange. `{name1}` stands for a value that is different each time.
#[derive(Debug, Deserialize)]
pub struct Record {
    pub node: String,
    #[serde(default)]
    pub version: Option<String>,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub auth: Option<Auth>,
    #[serde(default)]
    pub body: Option<Payload>,
    pub status: u16,
    pub response: Vec<(String, String)>,
    #[serde(default)]
    pub content: Option<String>,
    #[serde(default)]
    pub end: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// `name:password`.
    Basic(String),
    Bearer(Claims),
    /// The header as it was.
    Raw(String),
}

#[derive(Debug, Deserialize)]
pub struct Claims {
    pub sub: Option<String>,
    pub access: serde_json::Value,
    /// Whose key signed it.
    pub key: String,
}

#[derive(Debug, Deserialize)]
pub struct Payload {
    pub framing: String,
    pub length: usize,
    #[serde(default)]
    pub text: Option<String>,
}

impl Record {
    pub fn answered(&self, name: &str) -> Option<&str> {
        let found = self
            .response
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// One recorded scenario.
pub struct Scenario {
    /// `v2.9.5`, `v1.10.19` or `v1.5.2`.
    pub version: String,
    pub name: String,
    pub records: Vec<Record>,
}

/// All of them, sorted.
pub fn scenarios() -> Vec<Scenario> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let (version, name) = stem.split_once('-').unwrap();
            let text = std::fs::read_to_string(path).unwrap();
            let records = text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            Scenario {
                version: version.to_owned(),
                name: name.to_owned(),
                records,
            }
        })
        .collect()
}
