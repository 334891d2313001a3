//! Why a store cannot be used, in words for its operator.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody has reached it yet, or another master is being looked for.
    #[error("not connected yet")]
    Connecting,
    /// No connection, or it broke.
    #[error("{0}; does it run, and does this machine reach it?")]
    Unreachable(String),
    /// It takes longer than we wait.
    #[error("no answer within {0:?}; requests do not wait longer than sessions.budget")]
    Slow(Duration),
    /// User or password.
    #[error("it refuses the password: {0}; put the right one into sessions.store")]
    Refused(String),
    /// The database of the address is not there.
    #[error(
        "it has no such database: {0}; name one that it has, or raise `databases` in redis.conf"
    )]
    NoDatabase(String),
    /// It takes no writes.
    #[error(
        "it is a replica and takes no writes; name the master, or its Sentinels as redis+sentinel://…"
    )]
    Replica,
    /// The account may not do what is needed.
    #[error("the account lacks a right: {0}; allow it GET, SETEX, SET, DEL and SCAN on our keys")]
    Denied(String),
    /// Sentinels do not know the master.
    #[error("no Sentinel knows a master `{0}`; see `SENTINEL masters` for its name")]
    NoMaster(String),
    /// It is no Cluster although the address says so, or the other way round.
    #[error("{0}; redis+cluster:// is for a Redis Cluster, redis:// for a server of its own")]
    OtherShape(String),
    /// Another value than ours stands under a key of ours.
    #[error("a value that Seawall did not write")]
    Foreign,
    /// Anything else that it says.
    #[error("it says: {0}")]
    Other(String),
}

impl Trouble {
    /// What an error means.
    pub fn of(error: &RedisError) -> Self {
        let detail = || {
            let text = error
                .detail()
                .map_or_else(|| error.to_string(), str::to_owned);
            // What a server says goes to logs: one line, and not all of it.
            text.chars()
                .filter(|c| !c.is_control())
                .take(160)
                .collect::<String>()
        };
        match (error.kind(), error.code()) {
            (_, Some("WRONGTYPE")) => Trouble::Foreign,
            (_, Some("WRONGPASS" | "NOAUTH")) | (ErrorKind::AuthenticationFailed, _) => {
                Trouble::Refused(detail())
            }
            (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => Trouble::Replica,
            (ErrorKind::Server(ServerErrorKind::NoPerm), _) => Trouble::Denied(detail()),
            (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask), _) => {
                Trouble::OtherShape("it is a part of a Cluster".to_owned())
            }
            (ErrorKind::Server(ServerErrorKind::ResponseError), _) => of_words(detail()),
            (ErrorKind::Io | ErrorKind::ClusterConnectionNotFound, _) => {
                Trouble::Unreachable(error.to_string())
            }
            _ => of_words(format!("{} {}", error.code().unwrap_or_default(), detail())),
        }
    }

    /// Whether the next call will fail as well, so that requests need not find out one by one. A part of a Cluster may be
    /// out of reach while the others answer.
    pub(super) fn is_lasting(&self, cluster: bool) -> bool {
        match self {
            Trouble::Slow(_) | Trouble::Other(_) | Trouble::Foreign => false,
            Trouble::Unreachable(_) | Trouble::Replica => !cluster,
            _ => true,
        }
    }

    /// Whether an operator would call it the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// The word for it in metrics and status.
    pub const fn slug(&self) -> &'static str {
        match self {
            Trouble::Connecting => "connecting",
            Trouble::Unreachable(_) => "unreachable",
            Trouble::Slow(_) => "slow",
            Trouble::Refused(_) => "refused",
            Trouble::NoDatabase(_) => "no_database",
            Trouble::Replica => "replica",
            Trouble::Denied(_) => "denied",
            Trouble::NoMaster(_) => "no_master",
            Trouble::OtherShape(_) => "other_shape",
            Trouble::Foreign => "foreign",
            Trouble::Other(_) => "other",
        }
    }
}

/// Old servers say everything with `ERR` and words.
fn of_words(words: String) -> Trouble {
    let lower = words.to_ascii_lowercase();
    let has = |part: &str| lower.contains(part);
    if has("db index") || has("invalid db") {
        Trouble::NoDatabase(words)
    } else if has("password") || has("auth") {
        Trouble::Refused(words)
    } else if has("cluster support disabled") || has("cluster mode") {
        Trouble::OtherShape("it is no Cluster".to_owned())
    } else {
        Trouble::Other(words)
    }
}
