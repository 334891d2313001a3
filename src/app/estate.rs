//! What two processes say to each other when one takes over from the other, and what goes with it.
//!
//! The heir connects and both say who they are. It is given the sockets, builds its world, begins to accept beside the
//! elder, and says that it is ready. Then the elder falls silent as virtual router and lets go of its heirlooms, says
//! that they are the heir's, and hears that the heir has them; from there it finishes what it has begun, and its end ends
//! the conversation. Until that last word it goes on as before if the heir is lost.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::vip::legacy::{Identity, Legacy};

/// What this program says here; another number is another language.
const LANGUAGE: u32 = 1;

/// The first word of both. Its form never changes.
#[derive(Serialize, Deserialize)]
pub(super) struct Hello {
    take_over: u32,
    version: String,
}

impl Hello {
    pub(super) fn new() -> Self {
        Hello {
            take_over: LANGUAGE,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether the two understand each other; else what to do about it.
    pub(super) fn suits(&self) -> Result<(), String> {
        if self.take_over == LANGUAGE {
            return Ok(());
        }
        Err(format!(
            "the other Seawall is version {} and hands over in another way (its {}, ours {LANGUAGE}) than version {}: \
             restart it instead, `systemctl restart seawall`",
            self.version,
            self.take_over,
            env!("CARGO_PKG_VERSION"),
        ))
    }
}

/// What is said after that.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// Elder: the socket of that name comes with this.
    Socket(String),
    /// Elder: those were all.
    All,
    /// Heir: it accepts, and is ready to go on with these virtual routers.
    Ready(Vec<Identity>),
    /// Elder: it is silent, and these are the heir's.
    Yours(Vec<Legacy>),
    /// Heir: it goes on.
    Mine,
    /// Elder: nothing is handed over, and why.
    Refused(String),
}

/// The name of the socket at which the elder waits.
pub(super) const PLACE: &str = "take-over";

/// Where the elder waits.
pub(super) fn place(state_dir: &Path) -> PathBuf {
    state_dir.join(PLACE)
}

/// Something under `state_dir` that one process writes at a time, such as the journal. Both processes have theirs: one lets
/// go of it, the other takes it up.
pub(super) trait Heirloom {
    /// The elder lets go before the heir hears that it may write. What the elder still has to keep for the requests that it
    /// finishes goes into a file of its own from here on.
    ///
    /// # Errors
    /// What the disk says: then nothing is handed over.
    fn let_go(&mut self) -> io::Result<()>;

    /// The heir is lost: the elder writes as before.
    ///
    /// # Errors
    /// What the disk says.
    fn take_back(&mut self) -> io::Result<()>;

    /// The heir takes it up: nobody else writes it. An heir has not opened it before.
    ///
    /// # Errors
    /// What the disk says.
    fn take_up(&mut self) -> io::Result<()>;

    /// Everybody who had it before has ended: what they kept beside it is complete.
    ///
    /// # Errors
    /// What the disk says.
    fn gather(&mut self) -> io::Result<()>;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn another_language_is_refused_with_both_versions_and_what_to_do() {
        Hello::new().suits().unwrap();
        let other = r#"{"take_over": 99, "version": "9.0.0", "and": "more"}"#;
        let hello: Hello = serde_json::from_str(other).unwrap();
        let why = hello.suits().unwrap_err();
        for word in ["9.0.0", env!("CARGO_PKG_VERSION"), "restart"] {
            assert!(why.contains(word), "{word}: {why}");
        }
    }
}
