//! What a configuration may say, but better would not.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{At, Certificate, Config, Problem, Shape};

/// Harbor keeps sessions, caches, job queues and scans in the databases up to this one
/// (make/harbor.yml.tmpl, `external_redis`).
const LAST_OF_HARBOR: u32 = 7;

impl Config {
    /// Everything that is allowed but unwise, in the order of its lines.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut all: Vec<_> = self.shared_database().into_iter().collect();
        all.extend(self.open_keys());
        all.sort_by_key(|problem| problem.line);
        all
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

    /// Private keys that others than Seawall can read or replace.
    fn open_keys(&self) -> Vec<Problem> {
        let pair = |key: &'static str| move |pair| (key, pair);
        let doors = self.listen.iter().flat_map(|listen| &listen.certificate);
        let nodes = self.cluster.node.iter();
        let nodes = nodes.filter_map(|node| node.client_certificate.as_ref());
        let store = self.sessions.client_certificate.as_ref();
        let all = doors
            .map(pair("listen.certificate.key"))
            .chain(nodes.map(pair("cluster.node.client_certificate.key")))
            .chain(store.map(pair("sessions.client_certificate.key")));
        all.filter_map(|(key, Certificate { at, key: file, .. })| self.open_file(*at, key, file))
            .collect()
    }

    fn open_file(&self, at: At, key: &str, file: &Path) -> Option<Problem> {
        let who = intruders(&std::fs::metadata(file).ok()?)?;
        let file = file.display();
        let what = format!("`{file}` is a private key that {who}");
        let fix = format!("chmod 600 it, or as root: chgrp seawall {file}; chmod 640 {file}");
        Some(self.problem(at, key, what, fix))
    }
}

/// Who could take or replace the key in a file. A group may read it if root gave it to the group: so a key gets to a user
/// that may not change it.
fn intruders(file: &Metadata) -> Option<&'static str> {
    let mode = file.mode();
    match () {
        () if mode & 0o004 != 0 => Some("everybody on this machine can read"),
        () if mode & 0o022 != 0 => Some("others than its owner can replace"),
        () if mode & 0o040 != 0 && file.uid() != 0 => Some("the whole group of its owner can read"),
        () => None,
    }
}
