//! A Harbor node for tests: the real registry of Debian behind a stand-in for the rest, which speaks the dialects of
//! Harbor 1.5, 1.10 and 2.x as they were recorded on the wire (`tests/fixtures/traces`).
//!
//! A node runs on threads of its own and outlives the runtime of the test that made it. Two nodes form a cluster
//! when they get the same storage, Redis and key.

#![allow(dead_code, unused_imports)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod api1;
mod api2;
mod artifacts;
mod body;
mod changes;
mod contents;
mod core1;
mod core2;
mod csrf;
mod database;
mod dial;
mod faults;
mod health;
mod lag;
mod log;
mod nginx;
mod node;
mod paging;
mod portal;
mod pushes;
mod registry;
mod registry_client;
mod replication;
mod reply;
mod repositories1;
mod service;
mod session;
mod time;
mod token;
mod users;
mod v2;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant, SystemTime};

pub use contents::{DOCKER, push};
pub use dial::{Answer, Dialer};
pub use faults::{BrownOut, Component, Faults, Mode, Switch};
pub use log::{Entry, Log, RequestEnd, ResponseEnd};
pub use node::HarborNode;
pub use portal::asset_hash;
pub use registry_client::RegistryClient;
pub use replication::{Execution, Replicating, Task};
pub use token::TokenKey;
pub use users::ACCOUNTS;

/// Which Harbor a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// 2.x, as 2.9.5 was recorded.
    Harbor2,
    /// 1.8 to 1.10, as 1.10.19 was recorded.
    Harbor1,
    /// 1.5, as 1.5.2 was recorded.
    Harbor15,
}

/// Every time a node goes by.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Period of the health polls.
    pub poll: Duration,
    /// Limit of a health poll over HTTP.
    pub check: Duration,
    /// nginx's limit between two signs of life of what is behind it.
    pub proxy: Duration,
    /// The same for `/v2/`.
    pub proxy_v2: Duration,
    /// nginx's limit between two reads of a request's body.
    pub body_stall: Duration,
    /// nginx's limit for an idle connection.
    pub keep_alive: Duration,
    /// The request of a connection that is answered with `Connection: close`.
    pub requests_per_connection: u64,
    /// How long a wrong password locks its user.
    pub lock: Duration,
    /// What one command costs while Redis refuses (2.x retries).
    pub redis_refused: Duration,
    /// What one command costs while Redis hangs.
    pub redis_hung: Duration,
    /// How long core goes on with the configuration it read last.
    pub configuration: Duration,
    /// How far away the node is: every request waits that long before it is looked at.
    pub distance: Duration,
    /// What one of its hands has to do for every request.
    pub work: Duration,
}

impl Timing {
    /// As measured on the real thing.
    pub fn real() -> Self {
        let seconds = Duration::from_secs;
        Self {
            poll: seconds(10),
            check: seconds(60),
            proxy: seconds(60),
            proxy_v2: seconds(900),
            body_stall: seconds(60),
            keep_alive: seconds(75),
            requests_per_connection: 1000,
            lock: Duration::from_millis(1500),
            redis_refused: Duration::from_millis(75),
            redis_hung: seconds(12),
            configuration: seconds(60),
            distance: Duration::ZERO,
            work: Duration::ZERO,
        }
    }

    /// The same relations, fast enough for tests: a second is 20 ms, polls come every 200 ms.
    pub fn quick() -> Self {
        let ms = Duration::from_millis;
        Self {
            poll: ms(200),
            check: ms(1200),
            proxy: ms(1200),
            proxy_v2: ms(18_000),
            body_stall: ms(1200),
            lock: ms(30),
            redis_refused: ms(2),
            redis_hung: ms(240),
            configuration: ms(1200),
            ..Self::real()
        }
    }
}

/// What a node is made of.
#[derive(Clone, Debug)]
pub struct Options {
    pub name: String,
    pub dialect: Dialect,
    /// Told by systeminfo and in the portal's assets.
    pub version: String,
    /// Where its nginx listens.
    pub address: SocketAddr,
    /// The registry's files; nodes of a cluster share them.
    pub storage: PathBuf,
    /// Where projects and the times of pushes are kept; beside the storage if not told.
    pub database: Option<PathBuf>,
    /// `redis://…`; without it sessions stay in the process (1.x without HA).
    pub redis: Option<String>,
    /// The public URL: scheme, host and port of token realms.
    pub external_url: String,
    /// The token key's PEM file; `None` makes one for this node alone.
    pub key: Option<PathBuf>,
    /// The key of CSRF tokens; differs between nodes that were installed separately.
    pub csrf_key: String,
    /// A `Host` for which 2.x takes a caller for an internal one.
    pub core_host: String,
    pub timing: Timing,
    /// How late this node learns what others write to the shared storage; at once without it.
    pub attribute_cache: Option<Duration>,
    /// What its registry signs the state of uploads with.
    pub http_secret: String,
    /// Seconds by which its clock is ahead; behind if negative.
    pub clock: i64,
    /// How it replicates, once it has policies.
    pub replication: Replicating,
    /// How many requests it works on at once, to the last byte of their answers; further ones wait, first come, first
    /// served.
    pub hands: usize,
}

impl Options {
    /// A node on a free port with quick timing and shared secrets.
    pub fn new(name: &str, dialect: Dialect, storage: impl Into<PathBuf>) -> Self {
        let version = match dialect {
            Dialect::Harbor2 => "v2.9.5",
            Dialect::Harbor1 => "v1.10.19",
            Dialect::Harbor15 => "v1.5.2",
        };
        Self {
            name: name.to_owned(),
            dialect,
            version: version.to_owned(),
            address: super::ports::free(),
            storage: storage.into(),
            database: None,
            redis: None,
            external_url: "https://harbor.example".to_owned(),
            key: None,
            csrf_key: "0123456789abcdef0123456789abcdef".to_owned(),
            core_host: "core:8080".to_owned(),
            timing: Timing::quick(),
            attribute_cache: None,
            http_secret: "placeholder".to_owned(),
            clock: 0,
            replication: Replicating::default(),
            hands: 10_000,
        }
    }
}

/// A node's insides, shared by its connections.
pub struct Harbor {
    options: Options,
    faults: Faults,
    log: Log,
    users: users::Users,
    sessions: session::Sessions,
    store: database::Database,
    registry: registry::Registry,
    health: health::Health,
    replication: replication::Replication,
    hands: Arc<tokio::sync::Semaphore>,
    key: RwLock<Arc<TokenKey>>,
    /// When the database was last seen well, for cached configuration.
    configured: Mutex<Instant>,
}

/// The database refuses.
struct Refused;

impl Harbor {
    /// Waits while the database hangs; fails while it is down.
    async fn database(&self) -> Result<(), Refused> {
        match self.faults.unhung(Component::Database).await {
            Mode::Ok => {
                *self.configured.lock().unwrap() = Instant::now();
                Ok(())
            }
            _ => Err(Refused),
        }
    }

    /// Whether core still has a configuration: from the database, or read from it not long ago.
    fn has_configuration(&self) -> bool {
        if self.faults.of(Component::Database) == Mode::Ok {
            *self.configured.lock().unwrap() = Instant::now();
        }
        self.configured.lock().unwrap().elapsed() < self.options.timing.configuration
    }

    /// What its clock shows.
    fn now(&self) -> SystemTime {
        time::shifted(self.options.clock)
    }

    fn key(&self) -> Arc<TokenKey> {
        self.key.read().unwrap().clone()
    }

    fn csrf_key(&self) -> String {
        if self.faults.on(Switch::WrongCsrfKey) {
            format!("{}-{}", self.options.name, self.options.csrf_key)
        } else {
            self.options.csrf_key.clone()
        }
    }
}
