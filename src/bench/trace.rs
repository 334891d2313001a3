//! What one operation cost, gathered while it runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A new connection, TLS included.
    Connect,
    /// The first knock at `/v2/` and the token of a login.
    Token,
    /// A manifest, looked for, read or written.
    Manifest,
    /// Whether a blob is there.
    Check,
    /// A blob, read.
    Blob,
    /// A blob, written: begin, bytes, end.
    Upload,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Connect => "connect",
            Stage::Token => "token",
            Stage::Manifest => "manifest",
            Stage::Check => "check",
            Stage::Blob => "blob",
            Stage::Upload => "upload",
        })
    }
}

/// The notes of one operation; clones write to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Notes>>);

/// What was noted.
#[derive(Debug, Default)]
pub struct Notes {
    /// How long each request took to the last byte of its answer.
    pub stages: Vec<(Stage, Duration)>,
    /// Bytes of blobs and manifests that were moved.
    pub bytes: u64,
}

impl Trace {
    /// A request ended.
    pub fn took(&self, stage: Stage, time: Duration) {
        self.write(|notes| notes.stages.push((stage, time)));
    }

    /// Bytes of content were moved.
    pub fn moved(&self, bytes: u64) {
        self.write(|notes| notes.bytes += bytes);
    }

    /// Everything noted so far; the notes are empty afterwards.
    pub fn take(&self) -> Notes {
        let mut taken = Notes::default();
        self.write(|notes| taken = std::mem::take(notes));
        taken
    }

    fn write(&self, change: impl FnOnce(&mut Notes)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
