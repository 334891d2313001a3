//! Nodes to examine: sound ones, and one with faults.

use std::path::PathBuf;
use std::time::Duration;

use seawall::config::{self, Config, Secret};
use seawall::doctor::finding::Report;
use seawall::doctor::{self, Account, Settings};

use crate::support::harbor::{Dialect, HarborNode, Options, TokenKey};
use crate::support::redis::RedisServer;

/// What a node can have of its own that it should share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TokenKey,
    CsrfKey,
    HttpSecret,
    Storage,
    Redis,
    Database,
    Version,
    ExternalUrl,
    Clock,
    PlainRealm,
}

impl Fault {
    pub const ALL: [Self; 10] = [
        Self::TokenKey,
        Self::CsrfKey,
        Self::HttpSecret,
        Self::Storage,
        Self::Redis,
        Self::Database,
        Self::Version,
        Self::ExternalUrl,
        Self::Clock,
        Self::PlainRealm,
    ];

    /// The code that it must be found under.
    pub fn code(self) -> &'static str {
        match self {
            Self::TokenKey => "token-key-differs",
            Self::CsrfKey => "csrf-key-differs",
            Self::HttpSecret => "http-secret-differs",
            Self::Storage => "storage-not-shared",
            Self::Redis => "redis-not-shared",
            Self::Database => "database-not-shared",
            Self::Version => "version-differs",
            Self::ExternalUrl => "external-url-wrong",
            Self::Clock => "clock-skew",
            Self::PlainRealm => "realm-plain-http",
        }
    }

    /// Whether anybody can see it.
    pub fn shows_without_account(self) -> bool {
        !matches!(self, Self::HttpSecret | Self::Storage)
    }
}

/// What the nodes share, and what a faulty one has instead.
pub struct Site {
    dialect: Dialect,
    directory: tempfile::TempDir,
    pub redis: RedisServer,
    other_redis: RedisServer,
    key: PathBuf,
    other_key: PathBuf,
    /// Sound nodes.
    pub nodes: Vec<HarborNode>,
}

impl Site {
    pub async fn start(dialect: Dialect, count: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let mut site = Site {
            dialect,
            key: TokenKey::generate(&path("key")).unwrap(),
            other_key: TokenKey::generate(&path("other-key")).unwrap(),
            redis: RedisServer::start(),
            other_redis: RedisServer::start(),
            directory,
            nodes: Vec::new(),
        };
        for name in ["storage", "other-storage", "other-database"] {
            std::fs::create_dir_all(site.path(name)).unwrap();
        }
        let project = "{\"name\":\"elsewhere\",\"public\":true,\"owner\":\"admin\",\"created\":\"2026-01-03T00:00:00.000Z\"}\n";
        std::fs::write(site.path("other-database").join("projects.jsonl"), project).unwrap();
        for number in 1..=count {
            let node = site.node(&format!("harbor-{number}"), &[]).await;
            site.nodes.push(node);
        }
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A node with these faults.
    pub async fn node(&self, name: &str, faults: &[Fault]) -> HarborNode {
        self.node_with(name, faults, |_| {}).await
    }

    pub async fn node_with(
        &self,
        name: &str,
        faults: &[Fault],
        change: impl FnOnce(&mut Options),
    ) -> HarborNode {
        let mut options = Options::new(name, self.dialect, self.path("storage"));
        options.redis = Some(self.redis.url());
        options.key = Some(self.key.clone());
        let mut address = "harbor.example";
        let mut scheme = "https";
        for fault in faults {
            match fault {
                Fault::TokenKey => options.key = Some(self.other_key.clone()),
                Fault::CsrfKey => options.csrf_key = "ffffffffffffffffffffffffffffffff".to_owned(),
                Fault::HttpSecret => options.http_secret = "another".to_owned(),
                Fault::Storage => options.storage = self.path("other-storage"),
                Fault::Redis => options.redis = Some(self.other_redis.url()),
                Fault::Database => options.database = Some(self.path("other-database")),
                Fault::Version => options.version.push_str("-other"),
                Fault::ExternalUrl => address = "other.example",
                Fault::Clock => options.clock = 30,
                Fault::PlainRealm => scheme = "http",
            }
        }
        if options.database.is_none() {
            options.database = Some(self.path("storage"));
        }
        options.external_url = format!("{scheme}://{address}");
        change(&mut options);
        HarborNode::start(options).await
    }
}

/// A configuration with these nodes.
pub fn text(nodes: &[&HarborNode], more: &str) -> String {
    let mut text = format!(
        "[[listen]]\naddress = \"127.0.0.1:1\"\n[cluster]\npublic_url = \"https://harbor.example\"\n{more}\n"
    );
    for node in nodes {
        let (name, url) = (&node.options().name, node.url());
        text.push_str(&format!(
            "[[cluster.node]]\nname = \"{name}\"\nurl = \"{url}\"\n"
        ));
    }
    text
}

pub fn config(nodes: &[&HarborNode]) -> Config {
    config::parse(&text(nodes, ""), "seawall.toml".as_ref()).unwrap()
}

/// As an administrator of Harbor.
pub fn admin() -> Settings {
    as_user("admin", "Harbor12345")
}

pub fn as_user(user: &str, password: &str) -> Settings {
    Settings {
        account: Some(Account {
            user: user.to_owned(),
            password: Secret::new(password),
        }),
        wait: Duration::from_secs(2),
        ..Settings::default()
    }
}

pub async fn examine(nodes: &[&HarborNode], settings: &Settings) -> Report {
    let config = config(nodes);
    let examined = doctor::examine(&config, settings, std::future::pending());
    examined.await.unwrap().unwrap()
}

/// The codes of a report, sorted, each with the nodes that are blamed.
pub fn codes(report: &Report) -> Vec<(&'static str, String)> {
    let all = report.findings.iter();
    let mut codes: Vec<_> = all
        .map(|one| (one.code.name(), one.nodes.join(",")))
        .collect();
    codes.sort();
    codes
}
