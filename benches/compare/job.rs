//! What the parent process asks of the client process, and what it answers: one JSON document a line.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The protocol that clients speak above TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    Http1,
    Http2,
}

/// What one client does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Pulls a blob of so many bytes on a connection that stays.
    Get { bytes: u64 },
    /// Pushes so many bytes with PATCH, of known length or (HTTP/1.1) in chunks.
    Push { bytes: u64, fixed: bool },
    /// Opens a connection, pulls 1 KiB and closes it.
    Fresh { resumed: bool },
    /// Pulls one image and pushes another, as docker does.
    Image,
    /// Reads an endless blob at so many bytes per second.
    Sip { rate: u64 },
}

/// One slice of load.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Job {
    pub address: SocketAddr,
    pub protocol: Protocol,
    pub act: Act,
    pub connections: usize,
    /// Concurrent requests on each connection; more than 1 for HTTP/2 only.
    pub streams: usize,
    /// No request begins after this.
    pub seconds: f64,
    /// Requests per second on all connections together; absent: each follows the answer to the one before.
    pub rate: Option<f64>,
}

/// What the client process is asked to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Make one request, to see whether anybody answers.
    Ask(SocketAddr),
    /// Open the connections of a job and use each once.
    Prepare(Job),
    /// Do the prepared job.
    Go,
    /// Open so many connections, use each once, and keep them.
    Hold(SocketAddr, usize),
    /// Use every held connection once more.
    Check,
    /// Close everything.
    Drop,
}

/// What the client process answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    Done,
    Counted(Tally),
    Failed(String),
}

/// What a slice came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Acts that ended well; for held connections, those that answered.
    pub acts: u64,
    /// Requests in them.
    pub requests: u64,
    /// Bytes of bodies, both ways.
    pub bytes: u64,
    /// Answers with another status or length than they should have, and connections that broke.
    pub wrong: u64,
    /// The first thing that went wrong.
    pub complaint: Option<String>,
    pub seconds: f64,
    /// Milliseconds: the median and the 99th and 99.9th percentile of an act.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// The cipher suite and the version, as the last connection had them.
    pub tls: Option<String>,
}
