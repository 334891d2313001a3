//! `seawall node`: operate one node of a running Seawall.

use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use serde_json::Value;

use super::ask::{self, Admin};
use super::{FAILED, OK, RAN_OUT};
use crate::config::duration;

/// How often a waiting drain looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Doors that share a store hear the operator's word, and of each other's requests, within two rounds of somewhat more
/// than a second: until then, that nothing is left is only what this door knows.
const HEARD_BY_ALL: Duration = Duration::from_secs(3);

/// Operate one node.
#[derive(Args)]
pub struct Node {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Subcommand)]
enum Act {
    /// Give it no new work; running requests may finish
    Drain {
        /// The node
        name: String,
        /// Return when its last request ended, or with 75 after this long
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        wait: Option<Duration>,
    },
    /// Let it serve again
    Ready {
        /// The node
        name: String,
    },
    /// Give it no work, and close what is still open after `timeouts.maintenance`
    Maintenance {
        /// The node
        name: String,
        /// Return when its last request ended, or with 75 after this long
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        wait: Option<Duration>,
    },
    /// Let it take what is written in place of the primary (topology "primary-replica")
    Promote {
        /// The node
        name: String,
    },
    /// Set its weight, until the configuration gives it another
    Weight {
        /// The node
        name: String,
        /// 0 to 1000; other nodes have 10 unless told otherwise
        weight: u32,
    },
}

impl Node {
    pub(super) fn execute(self) -> u8 {
        match self.act {
            Act::Drain { name, wait } => rest(&self.admin, &name, "drain", wait),
            Act::Ready { name } => tell(&self.admin, Method::POST, &name, "ready", Bytes::new()),
            Act::Maintenance { name, wait } => rest(&self.admin, &name, "maintenance", wait),
            Act::Promote { name } => {
                tell(&self.admin, Method::POST, &name, "promote", Bytes::new())
            }
            Act::Weight { name, weight } => tell(
                &self.admin,
                Method::PUT,
                &name,
                "weight",
                format!("{{\"weight\":{weight}}}").into(),
            ),
        }
    }
}

fn rest(admin: &Admin, name: &str, act: &str, wait: Option<Duration>) -> u8 {
    let code = tell(admin, Method::POST, name, act, Bytes::new());
    match wait {
        Some(limit) if code == OK => until_idle(admin, name, limit),
        _ => code,
    }
}

fn tell(admin: &Admin, method: Method, name: &str, act: &str, body: Bytes) -> u8 {
    match admin.send(method, &format!("/api/v1/nodes/{name}/{act}"), body) {
        Ok((StatusCode::OK, node)) => {
            let text = |key: &str| node.get(key).map(ToString::to_string).unwrap_or_default();
            println!(
                "{name}: state {}, weight {}, {} in flight",
                text("state"),
                text("weight"),
                text("in_flight")
            );
            OK
        }
        Ok((_, answer)) => {
            for complaint in ask::complaints(&answer) {
                eprintln!("seawall: {name}: {complaint}");
            }
            FAILED
        }
        Err(error) => {
            eprintln!("seawall: {error:#}");
            FAILED
        }
    }
}

/// What still ties work to a node.
#[derive(Default, PartialEq)]
struct Left {
    requests: u64,
    elsewhere: u64,
    uploads: u64,
    sessions: u64,
}

impl Left {
    fn of(node: &Value) -> Self {
        let count = |key: &str| node.get(key).and_then(Value::as_u64).unwrap_or(0);
        Left {
            requests: count("in_flight"),
            elsewhere: count("in_flight_elsewhere"),
            uploads: count("uploads"),
            sessions: count("sessions"),
        }
    }

    /// Sessions of the pages go on at another node whenever their next request comes: nobody waits for them.
    fn is_nothing(&self) -> bool {
        self.requests + self.elsewhere + self.uploads == 0
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} requests", self.requests)?;
        if self.elsewhere > 0 {
            write!(f, ", {} through other doors", self.elsewhere)?;
        }
        write!(f, ", {} uploads, {} sessions", self.uploads, self.sessions)
    }
}

fn until_idle(admin: &Admin, name: &str, limit: Duration) -> u8 {
    let began = Instant::now();
    let deadline = began + limit;
    let mut told = Left::default();
    loop {
        let nodes = match admin.ask(Method::GET, "/api/v1/nodes") {
            Ok((StatusCode::OK, nodes)) => nodes,
            Ok((status, _)) => {
                eprintln!(
                    "seawall: whether {name} is idle is not known: the door answered {status}"
                );
                return FAILED;
            }
            Err(error) => {
                eprintln!("seawall: {error:#}");
                return FAILED;
            }
        };
        let of_name = |node: &&Value| node.get("name").and_then(Value::as_str) == Some(name);
        let found = nodes.as_array().and_then(|all| all.iter().find(of_name));
        let Some(left) = found.map(Left::of) else {
            eprintln!("seawall: {name}: no longer a node of this door");
            return FAILED;
        };
        if left.is_nothing() && began.elapsed() >= HEARD_BY_ALL {
            println!("{name}: nothing is left, its last request has ended");
            return OK;
        }
        if left != told {
            println!("{name}: left: {left}");
        }
        if Instant::now() >= deadline {
            eprintln!("seawall: {name}: still {left}; it stays drained, ask again or end it");
            return RAN_OUT;
        }
        told = left;
        std::thread::sleep(LOOK_EVERY);
    }
}
