//! One change that some storage lacks.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Deed;

/// Earlier digests of a reference that are remembered: what a slow copy may still bring to a peer.
const MOST_EARLIER: usize = 8;

/// How far a change is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It waits for its peer, its time or its turn.
    #[default]
    Pending,
    /// It is being brought to a peer.
    Running,
    /// Both sides changed: a person must say which one is right.
    Conflict,
    /// Only a person can go on.
    Stuck,
}

impl State {
    /// Every state.
    pub const ALL: [State; 4] = [
        State::Pending,
        State::Running,
        State::Conflict,
        State::Stuck,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Running => "running",
            State::Conflict => "conflict",
            State::Stuck => "stuck",
        }
    }
}

/// How the attempts to bring it to its peers went. Not kept on disk: a new start begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How far it is, unless both sides changed.
    pub state: State,
    /// Attempts that failed.
    pub attempts: u32,
    /// Not before this time, in milliseconds since 1970.
    pub due: u64,
    /// Why it is not there yet, for people.
    pub why: String,
    /// A person wants it tried now, whatever it waits for.
    pub hurried: bool,
    /// The store has this version of it.
    pub shared: bool,
}

/// The last change of one reference, and who lacks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is called: the same at every door.
    pub id: String,
    /// `project/name`.
    pub repository: String,
    /// Tag or digest; empty: the whole repository.
    pub reference: String,
    /// What was done.
    pub deed: Deed,
    /// The node that did it.
    pub node: String,
    /// That node's storage.
    pub store: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The storages that are not known to have it.
    pub missing: BTreeSet<String>,
    /// Digests that the reference had before, as far as this journal saw them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
    /// No journal saw it: it was found by comparing the storages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found: bool,
    /// Why a person must decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
    /// The door that keeps it on disk; empty: this one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub door: String,
    /// How the attempts went.
    #[serde(skip)]
    pub progress: Progress,
}

impl Entry {
    /// How far it is.
    pub fn state(&self) -> State {
        match &self.conflict {
            Some(_) => State::Conflict,
            None => self.progress.state,
        }
    }

    /// Why it is not everywhere yet, for people.
    pub fn why(&self) -> &str {
        self.conflict.as_deref().unwrap_or(&self.progress.why)
    }

    /// The digest that was pushed.
    pub fn digest(&self) -> Option<&str> {
        match &self.deed {
            Deed::Push(digest) => Some(digest),
            Deed::Delete => None,
        }
    }

    /// Whether its reference is a digest.
    pub fn is_by_digest(&self) -> bool {
        self.reference.contains(':')
    }

    /// Takes over what is known of the reference from the entry that this one replaces.
    pub(super) fn replaces(&mut self, old: &Entry) {
        self.earlier.clone_from(&old.earlier);
        if let Some(digest) = old.digest().filter(|digest| self.digest() != Some(digest)) {
            self.earlier.push(digest.to_owned());
        }
        let surplus = self.earlier.len().saturating_sub(MOST_EARLIER);
        self.earlier.drain(..surplus);
    }
}

/// The SHA-256 of what names a reference, in hexadecimal digits: its key in the store.
pub fn key(repository: &str, reference: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(repository);
    hash.update([0]);
    hash.update(reference);
    let mut digits = String::with_capacity(64);
    for byte in hash.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// What people call an entry: the beginning of its [`key`].
pub fn id(repository: &str, reference: &str) -> String {
    let mut digits = key(repository, reference);
    digits.truncate(12);
    digits
}
