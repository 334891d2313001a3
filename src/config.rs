//! The room `config`: what the operator wrote, checked and typed.
//!
//! A configuration is read once and then is plain data whose fields are named as the keys of the file. Reading
//! does not stop at the first mistake: [`load`] and [`parse`] return every [`Problem`] with its line. What a
//! later room finds out (a key that does not fit its certificate) it reports with [`Config::problem`].
//!
//! Relative paths begin at the folder of the file. The environment is never read.

mod admin;
mod admission;
mod affinity;
mod changes;
mod cluster;
mod direct;
mod doors;
pub mod duration;
mod health;
pub mod host;
mod journal;
pub mod keepalived;
mod limits;
mod listen;
mod log;
mod node;
mod notes;
mod problem;
mod resume;
mod room;
mod scope;
mod secret;
mod sessions;
pub mod size;
mod store;
mod timeouts;
mod topology;
mod unserved;
mod url;
mod user;
mod vip;
mod warnings;

pub use admin::{Admin, AdminAddress};
pub use admission::{Access, ClientLimits, Rate, Rates};
pub use affinity::{Affinity, Stick};
pub use changes::changes;
pub use cluster::{Account, Cluster};
pub use health::{Health, Outlier, Probe};
pub use journal::Journal;
pub use limits::{Limits, Retry};
pub use listen::{Certificate, ClientAuth, ClientCertificates, Listen, TlsProfile};
pub use log::{Level, Log, LogFormat};
pub use node::{Endpoints, Node};
pub use problem::{At, Problem, Wrong};
pub use resume::Resume;
pub use room::Room;
pub use secret::Secret;
pub use sessions::Sessions;
pub use store::{Shape, Store};
pub use timeouts::Timeouts;
pub use topology::{Part, Role, Topology};
pub use url::Url;
pub use user::User;
pub use vip::{Vip, VipInstance, VrrpVersion};

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use notes::{Files, Notes};
use scope::Scope;

/// Far beyond any configuration; a wrong path to something huge must not fill the memory.
const LONGEST_FILE: u64 = 4 << 20;

const STATE_DIR: &str = "/var/lib/seawall";

/// Everything that an operator can say.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file, as the operator named it; for a start without one, what stands for it in problems.
    pub file: PathBuf,
    /// Who the process becomes when root starts it.
    pub user: Option<User>,
    /// Where Seawall keeps what must outlive it.
    pub state_dir: PathBuf,
    /// The doors; never empty.
    pub listen: Vec<Listen>,
    /// The nodes; never empty.
    pub cluster: Cluster,
    /// What sticks to a node.
    pub affinity: Affinity,
    /// Where balancers share what sticks.
    pub sessions: Sessions,
    /// What is written while a peer is away.
    pub journal: Journal,
    /// Probes.
    pub health: Health,
    /// The admin API.
    pub admin: Admin,
    /// What is written.
    pub log: Log,
    /// How long everybody may take.
    pub timeouts: Timeouts,
    /// Repeats.
    pub retry: Retry,
    /// Downloads that go on at another node.
    pub resume: Resume,
    /// Nodes that fail requests.
    pub outlier: Outlier,
    /// How much of everything.
    pub limits: Limits,
    /// Who may come at all.
    pub access: Vec<Access>,
    /// The addresses that move between doors.
    pub vip: Option<Vip>,
}

impl Config {
    /// A problem with what stands `at` some place of this configuration.
    pub fn problem(
        &self,
        at: At,
        key: impl Into<String>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Problem {
        Problem {
            file: self.file.clone(),
            line: at.line,
            key: key.into(),
            what: what.into(),
            fix: fix.into(),
        }
    }
}

/// Reads a configuration file and checks it, including that the files it names can be read.
///
/// # Errors
///
/// Every problem, in the order of their lines. Whether a certificate is sound is not looked at here.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut text));
    let unreadable = |wrong: Wrong| {
        let notes = Notes::new(path, "", Files::LeftAlone);
        notes.problem(At { line: 1 }, "file", wrong);
        Err(notes.finish().1)
    };
    if let Err(error) = read {
        return unreadable(Wrong::new(
            format!("cannot be read: {error}"),
            "name a file that is there and that this user may read",
        ));
    }
    match String::from_utf8(text) {
        Ok(text) => read_text(&text, path, Files::Opened).map(|(config, _)| config),
        Err(_) => unreadable(Wrong::new("is not UTF-8", "write it as a text in UTF-8")),
    }
}

/// Checks a configuration by its text alone; `file` is what problems call it and where relative paths begin.
///
/// Secrets in files of their own stay empty.
///
/// # Errors
///
/// Every problem, in the order of their lines.
pub fn parse(text: &str, file: &Path) -> Result<Config, Vec<Problem>> {
    read_text(text, file, Files::LeftAlone).map(|(config, _)| config)
}

/// Also returns every key that there is, so far as the tables in the text show them.
fn read_text(
    text: &str,
    file: &Path,
    files: Files,
) -> Result<(Config, BTreeSet<String>), Vec<Problem>> {
    let notes = Notes::new(file, text, files);
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let at = notes.at(error.span().map_or(0, |span| span.start));
            let what = error.message().lines().collect::<Vec<_>>().join(", ");
            notes.problem(at, "syntax", Wrong::new(what, "mend the TOML"));
        }
        return Err(notes.finish().1);
    }
    let config = read_top(Scope::top(&notes, document.get_ref()), file);
    let (asked, problems) = notes.finish();
    if problems.is_empty() {
        Ok((config, asked))
    } else {
        Err(problems)
    }
}

fn read_top(mut scope: Scope<'_>, file: &Path) -> Config {
    let user = User::read(&mut scope);
    let state_dir = scope.path("state_dir");
    let listen = doors::read(&mut scope);
    let config = Config {
        file: file.to_owned(),
        user,
        state_dir: state_dir.unwrap_or_else(|| STATE_DIR.into()),
        listen,
        cluster: Cluster::read(scope.table("cluster")),
        affinity: Affinity::read(scope.table("affinity")),
        sessions: Sessions::read(scope.table("sessions")),
        journal: Journal::read(scope.table("journal")),
        health: Health::read(scope.table("health")),
        admin: Admin::read(scope.table("admin")),
        log: Log::read(scope.table("log")),
        timeouts: Timeouts::read(scope.table("timeouts")),
        retry: Retry::read(scope.table("retry")),
        resume: Resume::read(scope.table("resume")),
        outlier: Outlier::read(scope.table("outlier")),
        limits: Limits::read(scope.table("limits")),
        access: scope
            .tables("access")
            .into_iter()
            .map(Access::read)
            .collect(),
        vip: Vip::read(scope.table("vip")),
    };
    doors::check_admin(&scope, &config);
    scope.finish();
    config
}

#[cfg(test)]
mod tests;
