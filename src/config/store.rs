//! The address of the Redis that balancers share, in every form that is pasted from a Harbor.
//!
//! What is wrong with an address is said without repeating any of it but the keys of its query: half of such
//! addresses hold a password, and nobody knows where in a broken one.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::{Secret, Wrong, host, node, url};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Older Harbors write this user before a password (`get_redis_url` in make/photon/prepare/utils/configs.py), since
/// their clients wanted one; it stands for nobody.
const NOBODY: &str = "anonymous";

/// The one key that Harbor puts into the query of an address; it is about Harbor's own connections.
const IGNORED: &str = "idle_timeout_seconds";

/// A Redis and what to say to it. Displays as an address without user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// How its servers belong together.
    pub shape: Shape,
    /// Hosts and ports, never empty: the server, the sentinels, or some of a Cluster. IPv6 without brackets.
    pub nodes: Vec<(String, u16)>,
    /// Whether TLS is spoken, with sentinels too.
    pub tls: bool,
    /// The user of an ACL; none: a password alone.
    pub user: Option<String>,
    /// The password, if one is needed.
    pub password: Option<Secret>,
    /// The number of the database; 0 for a Cluster.
    pub database: u32,
}

/// How the servers of a store belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One server.
    Single,
    /// Sentinels who know which server is the master.
    Sentinel {
        /// What they call the set of servers.
        master: String,
    },
    /// A Redis Cluster.
    Cluster,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss" } else { "redis" })?;
        f.write_str(match self.shape {
            Shape::Single => "://",
            Shape::Sentinel { .. } => "+sentinel://",
            Shape::Cluster => "+cluster://",
        })?;
        for (at, (host, port)) in self.nodes.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        match &self.shape {
            Shape::Single => write!(f, "/{}", self.database),
            Shape::Sentinel { master } => write!(f, "/{master}/{}", self.database),
            Shape::Cluster => Ok(()),
        }
    }
}

impl FromStr for Store {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        // The password of the older form may hold a `://`, but what stands before it is no scheme then.
        let is_scheme = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
        };
        match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => read_url(scheme, rest),
            _ => read_list(text),
        }
    }
}

/// `scheme://[user[:password]@]hosts[/path][?query]`.
fn read_url(scheme: &str, rest: &str) -> Result<Store, Wrong> {
    // Neither hosts nor path nor a query that is taken hold an `@`, and passwords are often pasted as they are.
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (login, rest),
        None => ("", rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let scheme = scheme.to_ascii_lowercase();
    let (protocol, kind) = scheme.split_once('+').unwrap_or((&scheme, ""));
    let tls = match protocol {
        "redis" => false,
        "rediss" => true,
        _ => return Err(unknown_scheme()),
    };
    let (shape, port, database) = match kind {
        "" => (Shape::Single, PORT, path),
        "cluster" => (Shape::Cluster, PORT, path),
        "sentinel" => {
            let (master, database) = path.split_once('/').unwrap_or((path, ""));
            let master = read_master(master)?;
            (Shape::Sentinel { master }, SENTINEL_PORT, database)
        }
        _ => return Err(unknown_scheme()),
    };
    let nodes = hosts
        .split(',')
        .map(|host| read_node(host, port))
        .collect::<Result<Vec<_>, _>>()?;
    if shape == Shape::Single && nodes.len() > 1 {
        let fix = "write redis+sentinel://HOST,HOST/MASTER or redis+cluster://HOST,HOST";
        return Err(Wrong::new("names several servers", fix));
    }
    let database = read_database(database)?;
    if shape == Shape::Cluster && database != 0 {
        let what = "names a database, but a Redis Cluster has only number 0";
        return Err(Wrong::new(what, "end the address after the servers"));
    }
    // Only behind sound servers and a sound path is this a query for certain, whose keys may be repeated.
    read_query(query)?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    Ok(Store {
        shape,
        nodes,
        tls,
        user: decode(user)?.filter(|user| user != NOBODY),
        password: decode(password)?.map(Secret::new),
        database,
    })
}

/// `host:port[,pool[,password[,database]]]`, whose parts may be empty. The pool was for the connections of Harbor.
fn read_list(text: &str) -> Result<Store, Wrong> {
    let mut parts = text.split(',');
    let mut part = || parts.next().unwrap_or_default();
    let (address, pool, password, database) = (part(), part(), part(), part());
    if !pool.bytes().all(|b| b.is_ascii_digit()) {
        let what = "has no number as its second part, where Harbor 1.x has the size of its pool";
        let fix = "write HOST:PORT,100,PASSWORD,DATABASE, or begin it with redis+sentinel:// or redis+cluster://";
        return Err(Wrong::new(what, fix));
    }
    if parts.next().is_some() {
        let what = "has more than four parts";
        let fix = "write redis://:PASSWORD@HOST:PORT/DATABASE, and a comma in the password as %2C";
        return Err(Wrong::new(what, fix));
    }
    Ok(Store {
        shape: Shape::Single,
        nodes: vec![read_node(address, PORT)?],
        tls: false,
        user: None,
        password: (!password.is_empty()).then(|| Secret::new(password)),
        database: read_database(database)?,
    })
}

fn read_query(query: &str) -> Result<(), Wrong> {
    let is_word =
        |key: &&str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        // What has no value may be the rest of something else, and is not repeated.
        let key = pair.split_once('=').map(|(key, _)| key).filter(is_word);
        if key == Some(IGNORED) {
            continue;
        }
        let named = key.map_or(String::new(), |key| format!(" `{key}`"));
        return Err(Wrong::new(
            format!("has a parameter{named} that is not known"),
            "end the address before the `?`; a `?` in the password is written as %3F",
        ));
    }
    Ok(())
}

fn read_node(text: &str, default: u16) -> Result<(String, u16), Wrong> {
    let (name, port) = url::split_port(text);
    let Ok(host) = host::parse(name) else {
        let what = "names a server without a sound host";
        let fix = "write it like \"redis://10.0.0.5:6379/8\"; IPv6 addresses in brackets";
        return Err(Wrong::new(what, fix));
    };
    match port.map(url::port_number) {
        None => Ok((host, default)),
        Some(Some(port)) => Ok((host, port)),
        Some(None) => {
            let what = "names a server without a sound port";
            Err(Wrong::new(what, "write a port from 1 to 65535"))
        }
    }
}

/// What sentinels call a master: letters, digits, dots, underscores and hyphens.
fn read_master(text: &str) -> Result<String, Wrong> {
    if node::is_name(text) {
        return Ok(text.to_owned());
    }
    let what = "does not say which master the sentinels are asked for";
    let fix = "write it like \"redis+sentinel://10.0.0.5,10.0.0.6/mymaster/8\"";
    Err(Wrong::new(what, fix))
}

fn read_database(text: &str) -> Result<u32, Wrong> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        _ if text.is_empty() => Ok(0),
        Ok(number) if digits => Ok(number),
        _ => Err(Wrong::new(
            "has something else than the number of a database at its end",
            "write a number, like /8",
        )),
    }
}

/// A part of the login; nothing when it is empty.
fn decode(text: &str) -> Result<Option<String>, Wrong> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| {
        let what = "has a user or password that is not UTF-8 when decoded";
        Wrong::new(what, "write a percent sign as %25")
    })?;
    Ok((!decoded.is_empty()).then(|| decoded.into_owned()))
}

fn unknown_scheme() -> Wrong {
    Wrong::new(
        "does not begin as the address of a Redis",
        "begin it with redis://, redis+sentinel:// or redis+cluster://, or with rediss for TLS",
    )
}

#[cfg(test)]
mod tests;
