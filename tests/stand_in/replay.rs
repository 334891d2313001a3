//! Replays every recorded scenario against the stand-in in the same state and compares the answers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::compare::differences;
use super::exempt::{EXEMPT, LEFT_OUT};
use super::labels::Labels;
use super::prelude::log_in;
use super::seed::{content, seed, sha256};
use super::trace::{Auth, Record, Scenario, scenarios};
use super::wire::{Answer, ask};
use crate::support::harbor::{
    Component, Dialect, HarborNode, Mode, Options, Switch, Timing, TokenKey, asset_hash,
};
use crate::support::redis::RedisServer;

/// The most of a recorded body that is sent.
const LONGEST: usize = 65_536;

/// One key pair for all clusters; making one takes a while.
pub static KEYS: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let key = TokenKey::generate(directory.path()).unwrap();
    (directory, key)
});

/// Two nodes, as they were when a scenario was recorded.
struct Cluster {
    storage: tempfile::TempDir,
    keys: HashMap<String, PathBuf>,
    _foreign: Option<tempfile::TempDir>,
    nodes: HashMap<String, HarborNode>,
}

impl Cluster {
    async fn start(scenario: &Scenario, redis: &RedisServer) -> Self {
        let storage = tempfile::tempdir().unwrap();
        let (dialect, external) = match scenario.version.as_str() {
            "v2.9.5" => (Dialect::Harbor2, "https://127.0.0.10:8443"),
            "v1.10.19" => (Dialect::Harbor1, "https://127.0.1.10:8443"),
            _ => (Dialect::Harbor15, "https://127.0.2.10:8443"),
        };
        let name = scenario.name.as_str();
        let shared = KEYS.1.clone();
        let foreign = (name == "token-keys-differ").then(|| tempfile::tempdir().unwrap());
        let other = foreign
            .as_ref()
            .map_or(shared.clone(), |d| TokenKey::generate(d.path()).unwrap());
        let keys = HashMap::from([
            ("a".to_owned(), other),
            ("b".to_owned(), shared.clone()),
            ("shared".to_owned(), shared),
        ]);
        let mut nodes = HashMap::new();
        for node in ["a", "b"] {
            let mut options = Options::new(node, dialect, storage.path());
            options.key = Some(keys[node].clone());
            options.external_url = external.to_owned();
            options.core_host = "127.0.0.11:8080".to_owned();
            options.redis = (!name.starts_with("no-redis")).then(|| redis.url());
            if name.contains("csrf-keys-differ") || name.starts_with("xsrf-keys-differ") {
                options.csrf_key = format!("{node}123456789abcdef0123456789abcdef");
            }
            let made = HarborNode::start(options).await;
            made.switch(Switch::OverwriteProto, name == "push-default-template")
                .await;
            nodes.insert(node.to_owned(), made);
        }
        Self {
            storage,
            keys,
            _foreign: foreign,
            nodes,
        }
    }

    fn address(&self, node: &str) -> SocketAddr {
        self.nodes[node].address
    }

    async fn broken(&self, scenario: &Scenario) {
        let (nodes, component): (&[&str], _) = match scenario.name.as_str() {
            "registry-down" | "pull-registry-a-down" | "push-registry-a-dies" => {
                (&["a"], Component::Registry)
            }
            "db-down" | "docker-db-down" | "ui-db-down" => (&["a", "b"], Component::Database),
            "redis-down" | "docker-redis-down" => (&["a", "b"], Component::Redis),
            "portal-down" => (&["a"], Component::Portal),
            "jobservice-down" => (&["a"], Component::Jobservice),
            "core-down" => (&["a"], Component::Core),
            "adminserver-down" => (&["a"], Component::Adminserver),
            _ => return,
        };
        for node in nodes {
            self.nodes[*node].set(component, Mode::Down).await;
        }
        if scenario.name == "ui-db-down" {
            // It had been down for longer than core goes on with what it read.
            tokio::time::sleep(Timing::quick().configuration).await;
        }
        let polls = scenario.records.iter().any(|r| r.path.ends_with("/health"));
        if polls && component != Component::Core {
            wait_until_unhealthy(self.address("a"), &scenario.version).await;
        }
    }
}

async fn wait_until_unhealthy(address: SocketAddr, version: &str) {
    let path = if version == "v2.9.5" {
        "/api/v2.0/health"
    } else {
        "/api/health"
    };
    for _ in 0..200 {
        let answer = super::wire::get(address, path, &[]);
        if answer.status != 200 || answer.text().contains("unhealthy") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("health never noticed");
}

/// What a replay remembers besides names.
struct Replay<'a> {
    cluster: &'a Cluster,
    labels: Labels,
    /// Uploads that took one whole blob, and that blob's name.
    whole: HashMap<String, String>,
    /// The bytes that each upload took.
    uploads: HashMap<String, Vec<u8>>,
}

impl Replay<'_> {
    fn play(&mut self, record: &Record) -> Option<Answer> {
        let body = self.body(record);
        let path = self.path(record, &body);
        let version = record.version.as_deref().unwrap_or("HTTP/1.1");
        let mut head = format!("{} {path} {version}\r\n", record.method);
        for (name, value) in &record.headers {
            let value = if value == "{xsrftoken}" {
                let cookies = record.headers.iter().find(|(n, _)| n == "cookie");
                self.labels
                    .xsrf_token(cookies.map_or("", |(_, v)| v.as_str()))
            } else {
                self.labels.fill(value)
            };
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(value) = record.auth.as_ref().map(|auth| self.authorization(auth)) {
            head.push_str(&format!("authorization: {value}\r\n"));
        }
        let bytes = match record.body.as_ref().map(|b| b.framing.as_str()) {
            Some("chunked") => {
                head.push_str("transfer-encoding: chunked\r\n");
                let mut framed = format!("{:x}\r\n", body.len()).into_bytes();
                framed.extend(&body);
                framed.extend(b"\r\n0\r\n\r\n");
                framed
            }
            Some(_) => {
                head.push_str(&format!("content-length: {}\r\n", body.len()));
                body.clone()
            }
            None => Vec::new(),
        };
        head.push_str("\r\n");
        let answer = ask(self.cluster.address(&record.node), &head, &bytes);
        if record.status == 202 && record.method == "PATCH" {
            self.uploads
                .entry(upload(&record.path))
                .or_default()
                .extend(body);
        }
        answer
    }

    fn body(&mut self, record: &Record) -> Vec<u8> {
        let Some(payload) = &record.body else {
            return Vec::new();
        };
        if let Some(text) = &payload.text {
            return self.labels.fill(text).into_bytes();
        }
        if let Some(label) = self
            .whole
            .get(&upload(&record.path))
            .filter(|_| record.method == "PATCH")
        {
            return content(label);
        }
        let stamp = format!("{}{}", record.path, payload.length);
        stamp
            .bytes()
            .cycle()
            .take(payload.length.min(LONGEST))
            .collect()
    }

    fn path(&mut self, record: &Record, body: &[u8]) -> String {
        if record.method == "PUT" && record.status == 201 && record.path.contains("digest=sha256") {
            let mut all = self
                .uploads
                .get(&upload(&record.path))
                .cloned()
                .unwrap_or_default();
            all.extend(body);
            let label = record
                .path
                .split("{digest")
                .nth(1)
                .and_then(|rest| rest.split('}').next());
            if let Some(number) = label {
                self.labels.set(&format!("digest{number}"), &sha256(&all));
            }
        }
        if record.method == "PUT" && record.status == 201 && record.path.contains("/manifests/") {
            let template = record.answered("docker-content-digest").unwrap_or_default();
            if let Some(label) = template.split(['{', '}']).nth(1) {
                self.labels.set(label, &sha256(body));
            }
        }
        self.labels.fill(&record.path)
    }

    fn authorization(&self, auth: &Auth) -> String {
        match auth {
            Auth::Basic(pair) => format!("Basic {}", STANDARD.encode(pair)),
            Auth::Raw(text) => text.clone(),
            Auth::Bearer(claims) => {
                let key = TokenKey::load(&self.cluster.keys[&claims.key]).unwrap();
                format!("Bearer {}", key.sign(claims.sub.as_deref(), &claims.access))
            }
        }
    }
}

fn upload(path: &str) -> String {
    path.split("{upload")
        .nth(1)
        .and_then(|rest| rest.split('}').next())
        .unwrap_or_default()
        .to_owned()
}

/// Uploads that consist of one PATCH and an empty PUT.
fn whole(scenario: &Scenario) -> HashMap<String, String> {
    let mut all = HashMap::new();
    for record in scenario.records.iter().filter(|r| r.method == "PUT") {
        let name = upload(&record.path);
        let patches = scenario
            .records
            .iter()
            .filter(|r| r.method == "PATCH" && upload(&r.path) == name)
            .count();
        let empty = record.body.as_ref().is_none_or(|b| b.length == 0);
        let digest = record
            .path
            .split("{digest")
            .nth(1)
            .and_then(|rest| rest.split('}').next());
        if let (1, true, Some(number)) = (patches, empty, digest) {
            all.insert(name, format!("digest{number}"));
        }
    }
    all
}

/// Differences of one scenario that nothing excuses; excuses used are counted.
async fn replay(scenario: &Scenario, redis: &RedisServer, used: &Mutex<Vec<bool>>) -> Vec<String> {
    let cluster = Cluster::start(scenario, redis).await;
    let mut labels = Labels::default();
    seed(scenario, cluster.storage.path(), &mut labels);
    if !scenario.name.starts_with("no-redis") {
        log_in(scenario, cluster.address("b"), &mut labels);
    }
    cluster.broken(scenario).await;
    let mut replay = Replay {
        cluster: &cluster,
        labels,
        whole: whole(scenario),
        uploads: HashMap::new(),
    };
    let mut found = Vec::new();
    let full = format!("{}-{}", scenario.version, scenario.name);
    replay.labels.set("asset", &asset_hash("v2.9.5"));
    for (number, record) in scenario.records.iter().enumerate() {
        if scenario.name == "upload-after-node-a-dies" && number == 3 {
            // Its nginx's workers survived.
            cluster.nodes["a"].set(Component::Core, Mode::Down).await;
        }
        let answer = replay.play(record);
        let all = match &answer {
            Some(answer) => differences(record, answer, &mut replay.labels),
            None => vec![("status".to_owned(), "no answer".to_owned())],
        };
        for (aspect, what) in all {
            if !excused(&full, number, record, &aspect, used) {
                found.push(format!(
                    "{full} #{number} {} {}: {aspect}: {what}",
                    record.method, record.path
                ));
            }
        }
    }
    found
}

fn excused(
    full: &str,
    number: usize,
    record: &Record,
    aspect: &str,
    used: &Mutex<Vec<bool>>,
) -> bool {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => full.starts_with(start),
        None => full == pattern,
    };
    let mut excuses = EXEMPT.iter().enumerate().filter(|(_, e)| {
        fits(e.scenario)
            && (e.method == "*" || e.method == record.method)
            && is_at(e.path, &record.path, number)
            && (e.aspect == "*" || e.aspect == aspect)
    });
    match excuses.next() {
        Some((index, _)) => {
            used.lock().unwrap()[index] = true;
            true
        }
        None => false,
    }
}

/// `start`, `=whole`, or either with `#number` of the record.
fn is_at(pattern: &str, path: &str, number: usize) -> bool {
    let (pattern, only) = pattern
        .split_once('#')
        .map_or((pattern, None), |(p, n)| (p, Some(n)));
    let path_fits = match pattern.strip_prefix('=') {
        Some(whole) => path == whole,
        None => path.starts_with(pattern),
    };
    path_fits && only.is_none_or(|n| n == number.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_scenario_is_answered_as_harbor_did() {
    let redis = RedisServer::start();
    let used = Mutex::new(vec![false; EXEMPT.len()]);
    let mut found = Vec::new();
    // Which scenarios a person wants to see is no configuration.
    #[allow(clippy::disallowed_methods)]
    let wanted = std::env::var("SEAWALL_SCENARIO").unwrap_or_default();
    for scenario in scenarios() {
        let full = format!("{}-{}", scenario.version, scenario.name);
        assert!(
            LEFT_OUT.iter().all(|(name, _)| *name != full),
            "{full} is both kept and left out"
        );
        if full.contains(&wanted) {
            found.extend(replay(&scenario, &redis, &used).await);
        }
    }
    assert!(
        found.is_empty(),
        "{} differences:\n{}",
        found.len(),
        found.join("\n")
    );
    if wanted.is_empty() {
        let idle: Vec<&str> = EXEMPT
            .iter()
            .zip(used.lock().unwrap().iter())
            .filter(|(_, used)| !**used)
            .map(|(exempt, _)| exempt.why)
            .collect();
        assert!(idle.is_empty(), "exemptions that excuse nothing: {idle:?}");
    }
}
