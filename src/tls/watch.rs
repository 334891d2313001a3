//! Files that something was made of, and whether they have changed since.

use super::CertError;
use super::pem::{Stamp, stamp};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The files of something that is in service. What they hold is put into service when it loads as a whole; until then
/// the old stays.
#[derive(Debug)]
pub(super) struct Watch {
    files: Vec<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The files as they were when what is in service was read.
    served: Vec<Stamp>,
    /// What was last reported as wrong.
    reported: Vec<String>,
}

impl Watch {
    /// To be made before the files are read, so that a change in between is noticed at the next look.
    pub(super) fn new(files: Vec<PathBuf>) -> Watch {
        let watch = Watch {
            files,
            state: Mutex::default(),
        };
        watch.lock().served = watch.stamps();
        watch
    }

    /// Whether the files are others than the ones in service. Stays true while what they hold does not load.
    pub(super) fn changed(&self) -> bool {
        self.stamps() != self.lock().served
    }

    /// Has the files read again; remembers them if that went well.
    pub(super) fn reload<E>(&self, read: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let served = self.stamps();
        read()?;
        *self.lock() = State {
            served,
            ..State::default()
        };
        Ok(())
    }

    /// Has them read again when they changed. Tells that, and a fault when it is a new one; a fault that persists is
    /// tried again each time but told once.
    pub(super) fn poll(
        &self,
        read: impl FnOnce() -> Result<(), Vec<CertError>>,
    ) -> Option<Result<(), Vec<CertError>>> {
        if !self.changed() {
            return None;
        }
        let Err(errors) = self.reload(read) else {
            return Some(Ok(()));
        };
        // The file and the kind of fault, since the text of some faults counts seconds.
        let report: Vec<String> = errors
            .iter()
            .map(|error| {
                let fault = std::mem::discriminant(&error.fault);
                format!("{} {fault:?}", error.file.display())
            })
            .collect();
        let mut state = self.lock();
        if state.reported == report {
            return None;
        }
        state.reported = report;
        Some(Err(errors))
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.files.iter().map(|file| stamp(file)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
