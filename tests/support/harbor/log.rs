//! What a node saw, kept in memory for assertions.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use http::{HeaderMap, Version, request::Parts};

/// At most this much of a request's body is kept.
const HEAD: usize = 4096;

/// How the request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEnd {
    /// Its body is still arriving.
    Arriving,
    Complete,
    /// The sender left or broke the framing in the middle.
    Broken,
    /// No byte came for longer than the node waits.
    Stalled,
}

/// How the answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseEnd {
    /// Nothing was answered yet.
    Waiting,
    /// The head went out, the body is on its way.
    Sending,
    Complete,
    /// The connection ended before the answer did.
    Cut,
    /// The node gave up on purpose in the middle.
    Failed,
}

/// One request as it reached the node's nginx.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Place in the order of arrival, from 0.
    pub serial: usize,
    /// Number of the connection it came on.
    pub connection: u64,
    /// Whom it came from.
    pub peer: SocketAddr,
    /// Place on its connection, from 1.
    pub turn: u64,
    pub at: Instant,
    pub method: String,
    /// Path and query, byte for byte.
    pub target: String,
    pub version: Version,
    /// In the order of arrival; values as text, lossily.
    pub headers: Vec<(String, String)>,
    /// Body bytes that arrived.
    pub body: u64,
    /// The first of them.
    pub body_head: Vec<u8>,
    pub request_end: RequestEnd,
    pub status: Option<u16>,
    pub response_end: ResponseEnd,
}

impl Entry {
    /// The values of a header, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }
}

/// All requests since the node was made or the log was cleared.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Entry>>>);

impl Log {
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn open(
        &self,
        parts: &Parts,
        peer: SocketAddr,
        connection: u64,
        turn: u64,
    ) -> Ticket {
        let mut entries = self.lock();
        let serial = entries.last().map_or(0, |last| last.serial + 1);
        entries.push(Entry {
            serial,
            connection,
            peer,
            turn,
            at: Instant::now(),
            method: parts.method.to_string(),
            target: parts.uri.to_string(),
            version: parts.version,
            headers: lines(&parts.headers),
            body: 0,
            body_head: Vec::new(),
            request_end: RequestEnd::Arriving,
            status: None,
            response_end: ResponseEnd::Waiting,
        });
        Ticket {
            log: self.clone(),
            serial,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().expect("the log is never poisoned")
    }
}

fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(n, v)| {
            (
                n.to_string(),
                String::from_utf8_lossy(v.as_bytes()).into_owned(),
            )
        })
        .collect()
}

/// The right to complete one entry.
#[derive(Clone)]
pub(super) struct Ticket {
    log: Log,
    serial: usize,
}

impl Ticket {
    pub(super) fn note(&self, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.log.lock();
        let first = entries.first().map_or(0, |e| e.serial);
        if let Some(entry) = self
            .serial
            .checked_sub(first)
            .and_then(|i| entries.get_mut(i))
        {
            change(entry);
        }
    }

    pub(super) fn arrived(&self, bytes: &[u8]) {
        self.note(|entry| {
            entry.body += bytes.len() as u64;
            let room = HEAD.saturating_sub(entry.body_head.len()).min(bytes.len());
            entry.body_head.extend_from_slice(&bytes[..room]);
        });
    }
}
