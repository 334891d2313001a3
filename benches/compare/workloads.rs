//! The rows of the table.

use crate::job::{Act, Protocol};
use crate::peers::Setup;

const KIB: u64 = 1024;
const BLOB: u64 = 256 * KIB * KIB;

/// What one figure is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Requests,
    Gibibyte,
    Connections,
    Images,
    /// Memory instead of processor time.
    Held,
}

impl Unit {
    pub fn label(self) -> &'static str {
        match self {
            Unit::Requests => "CPU ms / 1000 requests",
            Unit::Gibibyte => "CPU ms / GiB",
            Unit::Connections => "CPU ms / 1000 connections",
            Unit::Images => "CPU ms / image pulled and pushed",
            Unit::Held => "KiB / connection",
        }
    }

    pub fn pace(self) -> &'static str {
        match self {
            Unit::Requests => "requests/s",
            Unit::Gibibyte => "MiB/s",
            Unit::Connections => "connections/s",
            Unit::Images => "images/s",
            Unit::Held => "",
        }
    }
}

/// How a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Every client waits for its answer before it asks again.
    Closed,
    /// Requests come at half the rate that this very proxy can do.
    Half,
    /// Connections are opened, used once and left alone.
    Held,
    /// Many slow readers, at a process of its own.
    Slow,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Workload {
    pub key: &'static str,
    pub title: &'static str,
    pub unit: Unit,
    pub way: Way,
    pub act: Act,
    pub protocol: Protocol,
    pub connections: usize,
    pub streams: usize,
    pub nodes: usize,
    /// TLS to the nodes.
    pub tls: bool,
    /// Whether `--quick` has it.
    pub core: bool,
    /// Whether the table without access log has it.
    pub unlogged: bool,
    /// Whether the floor can do it: whatever needs no answer of its own.
    pub floor: bool,
    /// At most so many rounds, for what takes long and varies little.
    pub rounds: usize,
}

impl Workload {
    pub fn setup(&self, log: bool) -> Setup {
        Setup {
            nodes: self.nodes,
            tls: self.tls,
            log,
        }
    }
}

fn row(key: &'static str, title: &'static str, unit: Unit, act: Act) -> Workload {
    let (protocol, connections) = (Protocol::Http1, 16);
    Workload {
        key,
        title,
        unit,
        way: Way::Closed,
        act,
        protocol,
        connections,
        streams: 1,
        nodes: 2,
        tls: false,
        core: false,
        unlogged: true,
        floor: false,
        rounds: usize::MAX,
    }
}

/// Every row, in the order of the table.
pub fn all() -> Vec<Workload> {
    let small = Act::Get { bytes: KIB };
    let medium = Act::Get { bytes: 64 * KIB };
    let pull = Act::Get { bytes: BLOB };
    let fixed = Act::Push {
        bytes: BLOB,
        fixed: true,
    };
    let chunked = Act::Push {
        bytes: BLOB,
        fixed: false,
    };
    let get = |key, title, act| Workload {
        core: true,
        ..row(key, title, Unit::Requests, act)
    };
    let h2 = |one: Workload| Workload {
        protocol: Protocol::Http2,
        connections: 4,
        streams: 8,
        ..one
    };
    let bulk = |key, title, act| Workload {
        connections: 2,
        floor: true,
        ..row(key, title, Unit::Gibibyte, act)
    };
    let bulk2 = |key, title, act| Workload {
        protocol: Protocol::Http2,
        connections: 1,
        streams: 2,
        ..bulk(key, title, act)
    };
    let core = |one: Workload| Workload { core: true, ..one };
    let fresh = |key, title, resumed| Workload {
        connections: 8,
        ..row(key, title, Unit::Connections, Act::Fresh { resumed })
    };
    let once = |one: Workload| Workload {
        unlogged: false,
        ..one
    };
    let nodes = |key, title, nodes| {
        once(Workload {
            nodes,
            ..row(key, title, Unit::Requests, small)
        })
    };
    let held = |key, title, connections, rounds| {
        let (way, connections) = (Way::Held, connections);
        once(Workload {
            way,
            connections,
            rounds,
            ..row(key, title, Unit::Held, small)
        })
    };
    vec![
        get("get-1k-h1", "1 KiB GET, HTTP/1.1", small),
        h2(get("get-1k-h2", "1 KiB GET, HTTP/2", small)),
        get("get-64k-h1", "64 KiB GET, HTTP/1.1", medium),
        h2(get("get-64k-h2", "64 KiB GET, HTTP/2", medium)),
        core(bulk("pull-h1", "256 MiB pull, HTTP/1.1", pull)),
        core(bulk2("pull-h2", "256 MiB pull, HTTP/2", pull)),
        core(bulk(
            "push-chunked-h1",
            "256 MiB push in chunks, HTTP/1.1",
            chunked,
        )),
        bulk(
            "push-fixed-h1",
            "256 MiB push of known length, HTTP/1.1",
            fixed,
        ),
        core(bulk2(
            "push-open-h2",
            "256 MiB push of unknown length, HTTP/2",
            chunked,
        )),
        bulk2(
            "push-fixed-h2",
            "256 MiB push of known length, HTTP/2",
            fixed,
        ),
        core(fresh("tls-full", "New TLS connection per request", false)),
        fresh("tls-resumed", "Resumed TLS connection per request", true),
        Workload {
            connections: 4,
            ..row(
                "docker",
                "docker pulls and pushes images",
                Unit::Images,
                Act::Image,
            )
        },
        once(Workload {
            way: Way::Half,
            ..row(
                "half-load",
                "1 KiB GET at half of its own capacity",
                Unit::Requests,
                small,
            )
        }),
        nodes("nodes-1", "1 KiB GET, 1 node", 1),
        nodes("nodes-10", "1 KiB GET, 10 nodes", 10),
        nodes("nodes-100", "1 KiB GET, 100 nodes", 100),
        once(Workload {
            tls: true,
            ..row(
                "node-tls-1k",
                "1 KiB GET, TLS to the nodes",
                Unit::Requests,
                small,
            )
        }),
        once(Workload {
            tls: true,
            floor: false,
            ..bulk("node-tls-pull", "256 MiB pull, TLS to the nodes", pull)
        }),
        held("idle-1000", "1,000 idle connections", 1000, 3),
        held("idle-10000", "10,000 idle connections", 10_000, 1),
        once(Workload {
            way: Way::Slow,
            connections: 1000,
            rounds: 2,
            ..row(
                "slow-1000",
                "1,000 slow readers of 64 KiB/s",
                Unit::Gibibyte,
                Act::Sip { rate: 64 * KIB },
            )
        }),
    ]
}
