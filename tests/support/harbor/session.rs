//! Sessions of browsers, and of everybody else: each request without one makes one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderMap, header};
use redis::aio::MultiplexedConnection;

use super::faults::{Component, Faults, Mode};
use super::{Dialect, Timing};

/// Seconds a session lives without a request.
const LIFETIME: usize = 3600;
/// What marks a value as a session of this stand-in; Harbor writes a gob there.
const MARK: &str = "session:";

/// Why a session could not be read or written.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Redis refuses, hangs or broke off.
    Away,
    /// The cookie is not URL-encoded text.
    Malformed,
    /// The key holds something that is no session.
    Foreign,
}

/// The session of one request.
pub struct Session {
    pub id: String,
    pub user: Option<String>,
    /// The answer has to set the cookie.
    pub fresh: bool,
    /// The request named a session, known or not.
    pub named: bool,
    /// The key whose place this one takes.
    pub replaces: Option<String>,
    pub destroyed: bool,
    keep_ttl: bool,
}

impl Session {
    fn new(named: bool) -> Self {
        Self {
            id: identifier(),
            user: None,
            fresh: true,
            named,
            replaces: None,
            destroyed: false,
            keep_ttl: false,
        }
    }

    /// Gives the session another id, as a login does since 1.7.
    pub fn regenerate(&mut self) {
        self.replaces = Some(std::mem::replace(&mut self.id, identifier()));
        self.fresh = true;
    }
}

/// Thirty-two hexadecimal digits.
fn identifier() -> String {
    format!("{:032x}", fastrand::u128(..))
}

enum Store {
    Redis(
        Box<redis::Client>,
        tokio::sync::Mutex<Option<MultiplexedConnection>>,
    ),
    /// A 1.x node without `_REDIS_URL`.
    Memory(Mutex<HashMap<String, String>>),
}

/// Where a node keeps sessions.
pub struct Sessions {
    store: Store,
    dialect: Dialect,
    timing: Timing,
}

impl Sessions {
    pub fn new(redis: Option<&str>, dialect: Dialect, timing: Timing) -> Self {
        let store = match redis {
            Some(url) => Store::Redis(
                Box::new(redis::Client::open(url).expect("a redis URL")),
                tokio::sync::Mutex::new(None),
            ),
            None => Store::Memory(Mutex::default()),
        };
        Self {
            store,
            dialect,
            timing,
        }
    }

    pub fn cookie_name(&self) -> &'static str {
        if self.dialect == Dialect::Harbor15 {
            "beegosessionID"
        } else {
            "sid"
        }
    }

    /// Finds the request's session or begins one.
    pub async fn begin(&self, headers: &HeaderMap, faults: &Faults) -> Result<Session, Trouble> {
        let Some(raw) = cookie(headers, self.cookie_name()) else {
            return self.first(false, faults).await;
        };
        let id = unescape(&raw).ok_or(Trouble::Malformed)?;
        if id.is_empty() {
            return self.first(true, faults).await;
        }
        let mut session = Session::new(true);
        session.keep_ttl = headers.contains_key("x-harbor-no-session-renewal");
        match self.get(&id, faults).await {
            Ok(None) => Ok(session),
            Ok(Some(value)) => {
                let user = value.strip_prefix(MARK).ok_or(Trouble::Foreign)?;
                session.user = (!user.is_empty()).then(|| user.to_owned());
                session.fresh = false;
                session.id = id;
                Ok(session)
            }
            Err(Trouble::Foreign) if self.dialect == Dialect::Harbor2 => {
                session.fresh = false;
                session.id = id;
                Ok(session)
            }
            Err(Trouble::Away) if self.dialect == Dialect::Harbor2 => Ok(session),
            Err(trouble) => Err(trouble),
        }
    }

    /// 1.x asks Redis even for a session it is about to make.
    async fn first(&self, named: bool, faults: &Faults) -> Result<Session, Trouble> {
        let session = Session::new(named);
        match self.get(&session.id, faults).await {
            Err(trouble) if self.dialect != Dialect::Harbor2 => Err(trouble),
            _ => Ok(session),
        }
    }

    /// Writes the session back, as happens at the end of each request.
    pub async fn save(&self, session: &Session, faults: &Faults) -> Result<(), Trouble> {
        if session.destroyed {
            return self.command(faults, &["DEL", &session.id]).await.map(drop);
        }
        if let Some(old) = &session.replaces {
            self.command(faults, &["DEL", old]).await?;
        }
        let value = format!("{MARK}{}", session.user.as_deref().unwrap_or_default());
        let lifetime = LIFETIME.to_string();
        let expiry: &[&str] = if session.keep_ttl {
            &["KEEPTTL"]
        } else {
            &["EX", &lifetime]
        };
        let words: Vec<&str> = ["SET", &session.id, &value]
            .iter()
            .chain(expiry)
            .copied()
            .collect();
        self.command(faults, &words).await.map(drop)
    }

    /// Remembers how many bytes of an upload were accepted (2.x), in the database of the registry.
    pub async fn accept_upload(
        &self,
        upload: &str,
        size: u64,
        faults: &Faults,
    ) -> Result<(), Trouble> {
        let key = format!("upload:{upload}:size");
        self.command(faults, &["SET", &key, &size.to_string(), "EX", "86400"])
            .await
            .map(drop)
    }

    /// As many fruitless attempts as Harbor 2.x makes to read its cached configuration.
    pub async fn read_cache(&self, faults: &Faults) {
        for _ in 0..5 {
            if self.command(faults, &["GET", "cache:cfgs"]).await.is_ok() {
                return;
            }
        }
    }

    pub async fn ping(&self, faults: &Faults) -> Result<(), Trouble> {
        self.command(faults, &["PING"]).await.map(drop)
    }

    async fn get(&self, id: &str, faults: &Faults) -> Result<Option<String>, Trouble> {
        self.command(faults, &["GET", id]).await
    }

    async fn command(&self, faults: &Faults, words: &[&str]) -> Result<Option<String>, Trouble> {
        let patience = self.timing.redis_hung;
        match faults.of(Component::Redis) {
            Mode::Ok => {}
            Mode::Down => return Err(self.refuse().await),
            Mode::Hung if self.dialect == Dialect::Harbor2 => {
                match tokio::time::timeout(patience, faults.unhung(Component::Redis)).await {
                    Ok(Mode::Ok) => {}
                    _ => return Err(Trouble::Away),
                }
            }
            Mode::Hung => {
                if faults.unhung(Component::Redis).await == Mode::Down {
                    return Err(Trouble::Away);
                }
            }
        }
        let (client, link) = match &self.store {
            Store::Redis(client, link) => (client, link),
            Store::Memory(all) => return Ok(remember(all, words)),
        };
        match tokio::time::timeout(patience, query(client, link, words)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if error.kind() == redis::ErrorKind::UnexpectedReturnType => {
                Err(Trouble::Foreign)
            }
            Ok(Err(error)) if error.code() == Some("WRONGTYPE") => Err(Trouble::Foreign),
            Ok(Err(_)) => {
                *link.lock().await = None;
                Err(self.refuse().await)
            }
            Err(_) => {
                *link.lock().await = None;
                Err(Trouble::Away)
            }
        }
    }

    async fn refuse(&self) -> Trouble {
        if self.dialect == Dialect::Harbor2 {
            tokio::time::sleep(self.timing.redis_refused).await;
        }
        Trouble::Away
    }
}

async fn query(
    client: &redis::Client,
    link: &tokio::sync::Mutex<Option<MultiplexedConnection>>,
    words: &[&str],
) -> redis::RedisResult<Option<String>> {
    let mut held = link.lock().await;
    let mut connection = match &*held {
        Some(connection) => connection.clone(),
        None => {
            let config = redis::AsyncConnectionConfig::new()
                .set_connection_timeout(Some(Duration::from_secs(60)));
            held.insert(
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?,
            )
            .clone()
        }
    };
    drop(held);
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.query_async(&mut connection).await
}

fn remember(all: &Mutex<HashMap<String, String>>, words: &[&str]) -> Option<String> {
    let mut all = all.lock().expect("never poisoned");
    match words {
        ["GET", key] => all.get(*key).cloned(),
        ["SET", key, value, ..] => all.insert((*key).to_owned(), (*value).to_owned()),
        ["DEL", key] => all.remove(*key),
        _ => None,
    }
}

/// The value of a cookie; the first one wins.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value.trim_matches('"').to_owned())
}

/// URL decoding that refuses what Go refuses.
pub fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                bytes.push((high * 16 + low) as u8);
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The pairs of a query or form.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(name)?, unescape(value)?))
        })
        .collect()
}

/// The first value of a parameter.
pub fn parameter<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs
        .iter()
        .find(|(n, _)| n == name)
        .map_or("", |(_, v)| v.as_str())
}
