//! The heir's side of a take-over: it is given what it needs, begins beside the elder, and goes on.

use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Process;
use super::estate::{Hello, Word, place};
use super::sockets::Given;
use crate::config::Config;
use crate::net::handover::Peer;
use crate::vip::legacy::{Identity, Legacy};

/// How long the elder may take for a word.
const TURN: Duration = Duration::from_secs(10);
/// How long the nodes may take for the first word about them, beyond what a probe may.
const NODES: Duration = Duration::from_secs(2);
/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The process that runs already.
pub(super) struct Elder(Peer);

impl Elder {
    /// Finds the one that has the same `state_dir`, and what it gives.
    ///
    /// # Errors
    /// There is none; it hands nothing over, or in another way. It serves on.
    pub(super) fn meet(config: &Config) -> anyhow::Result<(Self, Given)> {
        let path = place(&config.state_dir);
        let peer = Peer::connect(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => anyhow!(
                "there is nothing to take over: no Seawall waits at {}; start without --take-over, or give both the same \
                 state_dir",
                path.display()
            ),
            _ => anyhow!("cannot take over: {}: {error}", path.display()),
        })?;
        Self::greet(peer).context("cannot take over")
    }

    fn greet(peer: Peer) -> anyhow::Result<(Self, Given)> {
        peer.wait_at_most(TURN)?;
        peer.send(&Hello::new(), None)?;
        let (hello, _) = peer.receive::<Hello>().map_err(unheard)?;
        hello.suits().map_err(anyhow::Error::msg)?;
        let elder = Elder(peer);
        let mut given = Given::default();
        loop {
            match elder.hear()? {
                (Word::Socket(name), Some(socket)) => given.add(name, socket),
                (Word::All, _) => return Ok((elder, given)),
                _ => return Err(nonsense()),
            }
        }
    }

    fn hear(&self) -> anyhow::Result<(Word, Option<std::os::fd::OwnedFd>)> {
        match self.0.receive().map_err(unheard)? {
            (Word::Refused(why), _) => Err(anyhow!("{why}")),
            heard => Ok(heard),
        }
    }

    /// Says that this process is ready, and waits until the elder is silent; what it leaves. An elder that died meanwhile
    /// leaves nothing, and is not needed.
    fn relieve(&self, identities: Vec<Identity>) -> anyhow::Result<Vec<Legacy>> {
        let asked = self.0.send(&Word::Ready(identities), None);
        match asked.and_then(|()| self.0.receive()) {
            Ok((Word::Yours(legacies), _)) => {
                // If it does not hear this, it is no more.
                match self.0.send(&Word::Mine, None) {
                    Err(error) if !is_gone(&error) => Err(error.into()),
                    _ => Ok(legacies),
                }
            }
            Ok((Word::Refused(why), _)) => Err(anyhow!("{why}")),
            Ok(_) => Err(nonsense()),
            Err(error) if is_gone(&error) => {
                tracing::warn!(
                    "the process before died before it handed over; going on without it"
                );
                Ok(Vec::new())
            }
            Err(error) => Err(unheard(error)),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn unheard(error: io::Error) -> anyhow::Error {
    match error.kind() {
        _ if is_gone(&error) => {
            anyhow!("the running Seawall ended, or lets nobody of this user take over")
        }
        io::ErrorKind::WouldBlock => anyhow!("the running Seawall does not answer"),
        _ => error.into(),
    }
}

fn nonsense() -> anyhow::Error {
    anyhow!("the running Seawall said something that this version does not understand")
}

impl Process {
    /// Waits until there is a word about every node, or until it would have come.
    pub(super) async fn know_nodes(&self) {
        let cluster = &self.world.snapshot.cluster;
        let until = Instant::now() + self.world.plan.timeout + NODES;
        let known = || cluster.members().iter().all(|node| node.standing.probed());
        while !known() && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Goes on instead of the elder. What comes back tells of its end.
    ///
    /// # Errors
    /// The elder is lost, or serves on.
    pub(super) async fn succeed(&mut self, elder: Elder) -> anyhow::Result<oneshot::Receiver<()>> {
        let wanted = self.world.config.vip.as_ref();
        let identities = wanted.map(Identity::all).unwrap_or_default();
        let relieved = tokio::task::spawn_blocking(move || {
            let legacies = elder.relieve(identities);
            legacies.map(|legacies| (elder, legacies))
        });
        let (elder, legacies) = relieved.await?.context("cannot take over")?;
        self.holder.inherit(legacies).await;
        for heirloom in &mut self.heirlooms {
            if let Err(error) = heirloom.take_up() {
                tracing::error!(%error, "cannot go on with what was handed over");
            }
        }
        tracing::info!("took over; the process before finishes what it has begun");
        let (tell, ended) = oneshot::channel();
        thread::Builder::new()
            .name("elder".to_owned())
            .spawn(move || {
                elder.0.is_gone();
                tracing::info!("the process before has ended");
                let _ = tell.send(());
            })?;
        Ok(ended)
    }

    /// The elder has ended, and all before it.
    pub(super) fn gather(&mut self) {
        for heirloom in &mut self.heirlooms {
            if let Err(error) = heirloom.gather() {
                tracing::error!(%error, "what the process before has kept cannot be taken over");
            }
        }
    }
}
