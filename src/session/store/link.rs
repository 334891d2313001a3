//! Connections to a store: how they are made, and the one way to use them.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, RedisConnectionInfo, RedisError, TlsCertificates, TlsMode, Value,
};

use super::sentinel;
use super::trouble::Trouble;
use crate::config::{self, Shape};

/// For a connection, its handshakes and its login.
const CONNECT: Duration = Duration::from_secs(2);
/// For one answer of a Cluster's node, before the topology is looked at anew.
const ANSWER: Duration = Duration::from_secs(1);

/// A way to a store that is there. Shared by all requests: calls of many are on their way at the same time.
pub enum Link {
    /// To one server.
    One(MultiplexedConnection),
    /// To all masters of a Cluster.
    Cluster(ClusterConnection),
}

impl Link {
    /// Sends a command and waits for its answer, however long that takes.
    pub async fn call(&self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Link::One(connection) => command.query_async(&mut connection.clone()).await,
            Link::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }
    }

    /// Names that match `pattern`, found in steps of `step` keys; at most `most`, in no order.
    ///
    /// # Errors
    /// What broke off the search.
    pub async fn scan(
        &self,
        pattern: &str,
        step: u32,
        most: usize,
    ) -> Result<Vec<String>, RedisError> {
        let mut names = Vec::new();
        match self {
            Link::One(_) => self.scan_at(None, pattern, step, most, &mut names).await?,
            Link::Cluster(_) => {
                let slots = self.call(redis::cmd("CLUSTER").arg("SLOTS")).await?;
                for master in masters(&slots) {
                    self.scan_at(Some(master), pattern, step, most, &mut names)
                        .await?;
                }
            }
        }
        Ok(names)
    }

    async fn scan_at(
        &self,
        master: Option<(String, u16)>,
        pattern: &str,
        step: u32,
        most: usize,
        names: &mut Vec<String>,
    ) -> Result<(), RedisError> {
        let mut cursor = 0_u64;
        loop {
            let mut command = redis::cmd("SCAN");
            command
                .arg(cursor)
                .arg("MATCH")
                .arg(pattern)
                .arg("COUNT")
                .arg(step);
            let answer = match (self, &master) {
                (Link::Cluster(connection), Some((host, port))) => {
                    let node = SingleNodeRoutingInfo::ByAddress {
                        host: host.clone(),
                        port: *port,
                    };
                    let route = RoutingInfo::SingleNode(node);
                    connection.clone().route_command(command, route).await?
                }
                _ => self.call(&command).await?,
            };
            let (next, found): (u64, Vec<String>) = redis::from_redis_value(answer)?;
            names.extend(found);
            if next == 0 || names.len() >= most {
                names.truncate(most);
                return Ok(());
            }
            cursor = next;
        }
    }
}

/// The masters in an answer to `CLUSTER SLOTS`, each once.
fn masters(slots: &Value) -> Vec<(String, u16)> {
    let mut found = Vec::new();
    let ranges = slots.as_sequence().unwrap_or_default();
    for range in ranges.iter().filter_map(Value::as_sequence) {
        // First slot, last slot, then the master, then its replicas.
        let Some([host, port, ..]) = range.get(2).and_then(Value::as_sequence) else {
            continue;
        };
        if let (Value::BulkString(host), Value::Int(port)) = (host, port)
            && let Ok(port) = u16::try_from(*port)
        {
            let place = (String::from_utf8_lossy(host).into_owned(), port);
            if !found.contains(&place) {
                found.push(place);
            }
        }
    }
    found
}

/// Makes links.
pub struct Dialer {
    store: config::Store,
    certificates: Option<TlsCertificates>,
    sentinel_password: Option<String>,
}

impl Dialer {
    /// For the store of a configuration.
    ///
    /// # Errors
    /// Certificates that cannot be read, in words.
    pub fn new(sessions: &config::Sessions) -> Result<Self, String> {
        let store = sessions.store.clone().ok_or("no store is named")?;
        let read = |path: &std::path::Path| {
            std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let client_tls = match &sessions.client_certificate {
            Some(pair) => Some(ClientTlsConfig {
                client_cert: read(&pair.chain)?,
                client_key: read(&pair.key)?,
            }),
            None => None,
        };
        let root_cert = sessions.ca.as_deref().map(read).transpose()?;
        let certificates = TlsCertificates {
            client_tls,
            root_cert,
        };
        let dialer = Dialer {
            certificates: store.tls.then_some(certificates),
            sentinel_password: sessions
                .sentinel_password
                .as_ref()
                .map(|secret| secret.expose().to_owned()),
            store,
        };
        // Certificates that nobody could use are found now and not when the store is needed.
        if let Some((host, port)) = dialer.store.nodes.first() {
            dialer
                .client(host, *port, RedisConnectionInfo::default())
                .map_err(|error| format!("the certificates cannot be used: {error}"))?;
        }
        Ok(dialer)
    }

    /// The address without user and password.
    pub fn address(&self) -> String {
        self.store.to_string()
    }

    /// Whether it is in parts, of which one may be away.
    pub fn is_cluster(&self) -> bool {
        self.store.shape == Shape::Cluster
    }

    /// A new link.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(&self) -> Result<Link, Trouble> {
        let linked = async {
            match &self.store.shape {
                Shape::Single => {
                    let (host, port) = self.store.nodes.first().ok_or(Trouble::Connecting)?;
                    self.open(host, *port).await.map(Link::One)
                }
                Shape::Sentinel { master } => {
                    let (host, port) = sentinel::master(self, master).await?;
                    self.open(&host, port).await.map(Link::One)
                }
                Shape::Cluster => self.cluster().await.map(Link::Cluster),
            }
        };
        tokio::time::timeout(CONNECT, linked)
            .await
            .unwrap_or(Err(Trouble::Slow(CONNECT)))
    }

    async fn open(&self, host: &str, port: u16) -> Result<MultiplexedConnection, Trouble> {
        let client = self
            .client(host, port, self.login())
            .map_err(|error| Trouble::of(&error))?;
        connect(&client).await
    }

    /// Addresses of the Sentinels.
    pub(super) fn sentinels(&self) -> &[(String, u16)] {
        &self.store.nodes
    }

    /// A client of one Sentinel.
    ///
    /// # Errors
    /// Certificates that cannot be used.
    pub(super) fn sentinel(&self, host: &str, port: u16) -> Result<Client, RedisError> {
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(password) = &self.sentinel_password {
            login = login.set_password(password);
        }
        self.client(host, port, login)
    }

    /// Tells of every switch to another master, as Sentinels announce them.
    pub(super) async fn switches(&self, tell: impl Fn()) {
        match &self.store.shape {
            Shape::Sentinel { master } => sentinel::switches(self, master, tell).await,
            Shape::Single | Shape::Cluster => std::future::pending().await,
        }
    }

    fn login(&self) -> RedisConnectionInfo {
        // A name for the library is what servers of version 3 do not know.
        let mut login = RedisConnectionInfo::default()
            .set_skip_set_lib_name()
            .set_db(i64::from(self.store.database));
        if let Some(user) = &self.store.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.store.password {
            login = login.set_password(password.expose());
        }
        login
    }

    fn client(
        &self,
        host: &str,
        port: u16,
        login: RedisConnectionInfo,
    ) -> Result<Client, RedisError> {
        let info = self.place(host, port)?.set_redis_settings(login);
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    fn place(&self, host: &str, port: u16) -> Result<ConnectionInfo, RedisError> {
        let host = host.to_owned();
        if self.store.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
            .into_connection_info()
        } else {
            ConnectionAddr::Tcp(host, port).into_connection_info()
        }
    }

    async fn cluster(&self) -> Result<ClusterConnection, Trouble> {
        let places = self
            .store
            .nodes
            .iter()
            .map(|(host, port)| self.place(host, *port));
        let places: Vec<_> = places
            .collect::<Result<_, _>>()
            .map_err(|error| Trouble::of(&error))?;
        let mut builder = ClusterClientBuilder::new(places)
            .connection_timeout(ANSWER)
            .response_timeout(ANSWER)
            .retries(2)
            .max_retry_wait(200);
        if let Some(certificates) = &self.certificates {
            builder = builder.tls(TlsMode::Secure).certs(certificates.clone());
        }
        if let Some(user) = &self.store.user {
            builder = builder.username(user);
        }
        if let Some(password) = &self.store.password {
            builder = builder.password(password.expose());
        }
        let client = builder.build().map_err(|error| Trouble::of(&error))?;
        client
            .get_async_connection()
            .await
            .map_err(|error| Trouble::of(&error))
    }
}

/// Opens a connection that has no limit of its own on answers: every caller has one.
pub(super) async fn connect(client: &Client) -> Result<MultiplexedConnection, Trouble> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(None);
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(|error| Trouble::of(&error))
}
