//! Who is compared: each writes its own configuration, is started, and is gone when its value is.

mod envoy;
mod floor;
mod haproxy;
mod nginx;
mod seawall;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::account;
use crate::clients::Clients;
use crate::papers::Papers;

/// How much of a program's last words is shown when it does not come up. Bytes.
const TOLD: usize = 1500;

/// A program that can be measured.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: String,
    pub kind: Kind,
    pub path: PathBuf,
    /// As it says itself.
    pub version: String,
}

/// Whose configuration to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Seawall,
    Haproxy,
    Nginx,
    Envoy,
    Floor,
}

/// How many nodes there are, and what is between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    pub nodes: usize,
    pub tls: bool,
    pub log: bool,
}

/// Everything a configuration is made of.
pub struct Site<'a> {
    pub folder: &'a Path,
    pub listen: SocketAddr,
    /// For whatever else a program wants to listen on.
    pub spare: SocketAddr,
    pub nodes: Vec<SocketAddr>,
    pub tls: bool,
    pub log: bool,
    pub papers: &'a Papers,
    /// Processors of this machine.
    pub cores: usize,
    /// Files that a process may have open.
    pub files: u64,
}

impl Site<'_> {
    /// Where the lines for requests go.
    pub fn access_log(&self) -> PathBuf {
        self.folder.join("access.log")
    }
}

/// What is common to all peers of a run.
pub struct World {
    pub folder: PathBuf,
    pub papers: Papers,
    /// Ports of the origin without TLS, then one with.
    pub ports: Vec<u16>,
    pub cores: usize,
    pub files: u64,
}

/// A running program.
pub struct Peer {
    pub program: Program,
    pub address: SocketAddr,
    pub access_log: PathBuf,
    pub logs: bool,
    group: Pid,
    child: Child,
}

/// Groups of processes to end when this process is told to.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Ends all peers.
pub fn end_all() {
    for group in RUNNING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .drain(..)
    {
        let _ = killpg(group, Signal::SIGKILL);
    }
}

impl Program {
    pub fn find(kind: Kind, name: &str, path: PathBuf) -> Result<Program> {
        let flag = match kind {
            Kind::Nginx | Kind::Haproxy => "-v",
            Kind::Seawall | Kind::Envoy | Kind::Floor => "--version",
        };
        let version = match kind {
            Kind::Floor => "rustls and copying, nothing else".to_owned(),
            _ => {
                let said = Command::new(&path)
                    .arg(flag)
                    .output()
                    .with_context(|| path.display().to_string())?;
                let text =
                    String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
                let line = text
                    .lines()
                    .find(|line| line.contains("ersion") || line.contains("seawall"));
                let line = line.unwrap_or("unknown").trim();
                // Envoy says its path, its revision and how it was built as well.
                match (kind, line.split('/').rev().nth(3)) {
                    (Kind::Envoy, Some(number)) => format!("envoy version {number}"),
                    _ => line.to_owned(),
                }
            }
        };
        Ok(Program {
            name: name.to_owned(),
            kind,
            path,
            version,
        })
    }

    /// Starts it, and waits until it answers requests.
    pub fn start(&self, setup: Setup, world: &World, clients: &mut Clients) -> Result<Peer> {
        let folder = tempfile::Builder::new()
            .prefix(&self.name)
            .tempdir_in(&world.folder)?
            .keep();
        let address = free_port()?;
        let nodes = if setup.tls {
            world.ports.iter().rev().take(1).copied().collect()
        } else {
            world
                .ports
                .iter()
                .take(setup.nodes)
                .copied()
                .collect::<Vec<_>>()
        };
        let site = Site {
            folder: &folder,
            listen: address,
            spare: free_port()?,
            nodes: nodes.into_iter().map(local).collect(),
            tls: setup.tls,
            log: setup.log,
            papers: &world.papers,
            cores: world.cores,
            files: world.files,
        };
        let mut command = match self.kind {
            Kind::Seawall => seawall::command(&self.path, &site)?,
            Kind::Haproxy => haproxy::command(&self.path, &site)?,
            Kind::Nginx => nginx::command(&self.path, &site)?,
            Kind::Envoy => envoy::command(&self.path, &site)?,
            Kind::Floor => floor::command(&self.path, &site)?,
        };
        let child = command
            .process_group(0)
            .current_dir(&folder)
            .spawn()
            .with_context(|| format!("starting {}", self.path.display()))?;
        let group = Pid::from_raw(i32::try_from(child.id())?);
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(group);
        let mut peer = Peer {
            program: self.clone(),
            address,
            access_log: site.access_log(),
            logs: setup.log,
            group,
            child,
        };
        peer.wait(&folder, clients)?;
        Ok(peer)
    }
}

impl Peer {
    fn wait(&mut self, folder: &Path, clients: &mut Clients) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let said = match clients.ask(self.address) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let last = |name| {
                    let told = std::fs::read(folder.join(name)).unwrap_or_default();
                    let from = told.len().saturating_sub(TOLD);
                    String::from_utf8_lossy(&told[from..]).into_owned()
                };
                let told = last("errors.log") + &last("access.log");
                bail!(
                    "{} does not answer ({ended:?}): {said:#}\n{told}",
                    self.program.name
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Every process of it.
    pub fn pids(&self) -> Vec<i32> {
        account::family(self.group.as_raw())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = self.child.wait();
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|group| *group != self.group);
    }
}

/// A command whose words go to files beside its configuration.
fn quiet(program: &Path, site: &Site<'_>) -> Result<Command> {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(File::create(site.folder.join("output.log"))?)
        .stderr(File::create(site.folder.join("errors.log"))?);
    Ok(command)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port that was free a moment ago.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind(local(0))?.local_addr()?)
}
