//! The journal of a running process.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Process;
use super::estate::Heirloom;
use crate::config::{At, Config, Problem};
use crate::placement::journal::Journal;
use crate::placement::layout::Layout;
use crate::placement::reconcile::{self, Means};
use crate::reload::World;

/// Opens the journal where `config` wants one; nothing else of it is changed.
///
/// # Errors
/// Why it cannot be opened, in words.
pub(super) fn open(journal: &Journal, config: &Config) -> Result<(), String> {
    if !wants(config) || journal.is_open() {
        return Ok(());
    }
    let directory = config.state_dir.join("journal");
    let damage = journal
        .open(&directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    for line in damage {
        let copy = directory.join("changes.damaged");
        tracing::warn!(line, copy = %copy.display(), "the journal is damaged; what can be read of it counts");
    }
    Ok(())
}

/// The journal as it goes from process to process.
pub(super) struct Kept {
    journal: Arc<Journal>,
    directory: PathBuf,
}

impl Kept {
    /// Opens the journal of a process that begins, if it wants one; while its elder has it, a file beside it.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(super) fn begin(world: &World, take_over: bool) -> Result<Option<Self>, Vec<Problem>> {
        let World {
            config, snapshot, ..
        } = world;
        let journal = &snapshot.placement.journal;
        if !wants(config) {
            return Ok(None);
        }
        let mut kept = Kept {
            journal: journal.clone(),
            directory: config.state_dir.join("journal"),
        };
        let opened = match take_over {
            true => kept.let_go().map_err(|error| error.to_string()),
            false => open(journal, config),
        };
        opened.map(|()| Some(kept)).map_err(|what| {
            let fix = "free the directory and let this user write there, or set state_dir";
            vec![config.problem(At::default(), "state_dir", what, fix)]
        })
    }
}

impl Heirloom for Kept {
    fn let_go(&mut self) -> io::Result<()> {
        self.journal.step_aside(&self.directory)
    }

    fn take_back(&mut self) -> io::Result<()> {
        self.journal.open(&self.directory).map(drop)
    }

    fn take_up(&mut self) -> io::Result<()> {
        self.journal.open(&self.directory).map(drop)
    }

    fn gather(&mut self) -> io::Result<()> {
        self.journal.gather(&self.directory).map(drop)
    }
}

/// Whether there is anything to keep: one storage has no peers.
fn wants(config: &Config) -> bool {
    config.journal.enabled && !config.cluster.topology.shares_data()
}

impl Process {
    /// Lets the journal and what brings it to peers go by the current world.
    pub(super) fn keep_journal(&mut self) {
        let World {
            config,
            snapshot,
            sessions,
            ..
        } = &self.world;
        let journal = &snapshot.placement.journal;
        let layout = wants(config).then(|| snapshot.placement.layout().clone());
        journal.adopt(
            layout.as_deref().map(|layout: &Layout| layout),
            config.journal.most,
        );
        let public = snapshot.public.as_ref();
        self.reconcilers = reconcile::start(Means {
            placement: snapshot.placement.clone(),
            cluster: snapshot.cluster.clone(),
            sessions: sessions.clone(),
            config: config.journal.clone(),
            account: config.cluster.account.clone(),
            standing: self.world.plan.account.clone(),
            public: public.map(|public| (public.authority.clone(), public.https)),
            settled_after: config.affinity.push.ttl,
            metrics: self.metrics.journal(),
        });
    }
}
