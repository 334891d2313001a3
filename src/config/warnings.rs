//! What a configuration may say, but better would not.

use super::{Config, Problem, Shape};

/// Harbor keeps sessions, caches, job queues and scans in the databases up to this one
/// (make/harbor.yml.tmpl, `external_redis`).
const LAST_OF_HARBOR: u32 = 7;

impl Config {
    /// Everything that is allowed but unwise, in the order of its lines.
    pub fn warnings(&self) -> Vec<Problem> {
        self.shared_database().into_iter().collect()
    }

    fn shared_database(&self) -> Option<Problem> {
        let sessions = &self.sessions;
        let store = sessions.store.as_ref()?;
        let number = store.database;
        if store.shape == Shape::Cluster || number > LAST_OF_HARBOR {
            return None;
        }
        let key = format!("sessions.{}", sessions.store_key());
        let what = format!("database {number} is one of those that Harbor uses itself");
        let fix = match number {
            0 => "add /8 (or any above 7) to the address",
            _ => "name database 8 (or any above 7) in the address",
        };
        Some(self.problem(sessions.at, key, what, fix))
    }
}
