//! The elder's side of a take-over: it gives, falls silent, and then finishes.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Process;
use super::estate::{Hello, PLACE, Word, place};
use super::sockets::admin_name;
use crate::config::Config;
use crate::lifecycle::ready::Ready;
use crate::lifecycle::watchdog::Pulse;
use crate::net::handover::{Peer, Place};
use crate::vip::legacy::{Identity, Legacy};

/// How long an heir may take to build its world and to hear its nodes.
const PREPARATION: Duration = Duration::from_secs(120);
/// How long it may take to say that it goes on; meanwhile nobody speaks for the virtual addresses.
const TURN: Duration = Duration::from_secs(5);
/// Between two tries when the place itself is in trouble.
const AGAIN: Duration = Duration::from_secs(1);

/// What the conversation wants of the process.
pub(super) enum Step {
    /// Its sockets.
    Sockets(oneshot::Sender<io::Result<Vec<(String, OwnedFd)>>>),
    /// That it falls silent, and what it leaves.
    Yield(Vec<Identity>, oneshot::Sender<Result<Vec<Legacy>, String>>),
    /// That it goes on as before: the heir is lost.
    Resume,
    /// That it finishes what it has begun: the heir, by the number of its process, goes on.
    Finish(u32),
}

/// Waits at the place of `config`, or at the one that was given to this process, for an heir. What can be done for it comes
/// as steps; without a place there is no take-over, and that is said.
pub(super) fn wait(config: &Config, given: Option<OwnedFd>) -> mpsc::Receiver<Step> {
    let (tell, steps) = mpsc::channel(1);
    let path = place(&config.state_dir);
    let opened = match given {
        Some(socket) => Ok(Place::adopt(socket)),
        None => Place::open(&path),
    };
    let waits = opened.and_then(|place| {
        thread::Builder::new()
            .name("take-over".to_owned())
            .spawn(move || host(place, &tell))
    });
    if let Err(error) = waits {
        tracing::warn!(path = %path.display(), %error, "no other process can take over from this one");
    }
    steps
}

fn host(place: Place, steps: &mpsc::Sender<Step>) {
    loop {
        let heir = match place.accept() {
            Ok(heir) => heir,
            Err(error) => {
                tracing::warn!(%error, "a take-over was not begun");
                thread::sleep(AGAIN);
                continue;
            }
        };
        match talk(&place, &heir, steps) {
            // Its end is what the heir waits for now. The place is the heir's: whoever starts after that was killed must
            // not find somebody there who lets nobody take over any more.
            Ok(true) => {
                drop(place);
                loop {
                    thread::park();
                }
            }
            Ok(false) => {}
            Err(error) => {
                let _ = heir.send(&Word::Refused(error.to_string()), None);
                tracing::warn!(%error, "the take-over failed; this process serves on");
            }
        }
    }
}

/// False if nothing was wanted.
fn talk(place: &Place, heir: &Peer, steps: &mpsc::Sender<Step>) -> io::Result<bool> {
    heir.wait_at_most(TURN)?;
    let Ok((hello, _)) = heir.receive::<Hello>() else {
        return Ok(false);
    };
    heir.send(&Hello::new(), None)?;
    hello.suits().map_err(io::Error::other)?;
    tracing::info!(
        process = heir.pid()?,
        "another process is about to take over"
    );
    for (name, socket) in ask(steps, Step::Sockets)?? {
        heir.send(&Word::Socket(name), Some(socket.as_fd()))?;
    }
    heir.send(&Word::Socket(PLACE.to_owned()), Some(place.as_fd()))?;
    heir.send(&Word::All, None)?;
    heir.wait_at_most(PREPARATION)?;
    let (Word::Ready(identities), _) = heir.receive()? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    heir.wait_at_most(TURN)?;
    let legacies = ask(steps, |tell| Step::Yield(identities, tell))?.map_err(io::Error::other)?;
    let goes_on = || {
        heir.send(&Word::Yours(legacies), None)?;
        match heir.receive()? {
            (Word::Mine, _) => heir.pid(),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    };
    match goes_on() {
        Ok(process) => steps
            .blocking_send(Step::Finish(process))
            .map_err(|_| ending())?,
        Err(error) => {
            let _ = steps.blocking_send(Step::Resume);
            return Err(error);
        }
    }
    Ok(true)
}

fn ask<T>(
    steps: &mpsc::Sender<Step>,
    step: impl FnOnce(oneshot::Sender<T>) -> Step,
) -> io::Result<T> {
    let (tell, told) = oneshot::channel();
    steps.blocking_send(step(tell)).map_err(|_| ending())?;
    told.blocking_recv().map_err(|_| ending())
}

fn ending() -> io::Error {
    io::Error::other("the running Seawall is about to end; start again when it has")
}

impl Process {
    /// Takes a step of a hand-over. The number of the heir's process when it goes on instead of this one.
    pub(super) async fn step(&mut self, step: Step, ready: &Ready, pulse: &Pulse) -> Option<u32> {
        match step {
            Step::Sockets(tell) => drop(tell.send(self.sockets())),
            Step::Yield(identities, tell) => {
                let left = self.fall_silent(identities).await;
                if tell.send(left).is_err() {
                    self.resume(ready, pulse).await;
                }
            }
            Step::Resume => self.resume(ready, pulse).await,
            Step::Finish(heir) => return Some(heir),
        }
        None
    }

    fn sockets(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let share = |socket: BorrowedFd<'_>| socket.try_clone_to_owned();
        let mut sockets = Vec::new();
        for (address, listener) in &self.listeners {
            sockets.push((address.to_string(), share(listener.socket())?));
        }
        if let Some(admin) = &self.admin {
            let name = admin_name(&self.admin_address);
            sockets.push((name, share(admin.socket())?));
        }
        Ok(sockets)
    }

    async fn fall_silent(&mut self, identities: Vec<Identity>) -> Result<Vec<Legacy>, String> {
        let mut gone = Ok(());
        // What is brought to peers is the heir's business now.
        self.reconcilers.shutdown().await;
        for heirloom in &mut self.heirlooms {
            gone = gone.and_then(|()| heirloom.let_go());
        }
        if let Err(error) = gone {
            self.take_back();
            self.keep_journal();
            return Err(error.to_string());
        }
        let left = self.holder.yield_to(identities).await;
        self.left = Some(left.clone());
        Ok(left)
    }

    async fn resume(&mut self, ready: &Ready, pulse: &Pulse) {
        let Some(left) = self.left.take() else { return };
        self.take_back();
        self.keep_journal();
        self.prepare_addresses(ready, pulse).await;
        self.holder.inherit(left).await;
    }

    fn take_back(&mut self) {
        for heirloom in &mut self.heirlooms {
            if let Err(error) = heirloom.take_back() {
                tracing::error!(%error, "cannot go on with what was to be handed over");
            }
        }
    }
}
