//! The only file that knows everybody: builds the process from a configuration, starts its runtimes, applies what a
//! reload built, and waits for the end.
//!
//! Three places to run: the workers serve clients, the control runtime (this thread) serves the admin listener, probes,
//! watches certificates and obeys signals, and a thread of its own keeps the virtual addresses, so that none waits for
//! another.

mod end;
mod estate;
mod hand_over;
mod journal;
mod nodes;
mod sockets;
mod take_over;
mod vip;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use self::estate::Heirloom;
use self::journal::Kept;
use self::sockets::Given;
use self::take_over::Elder;
use crate::admin::{self, Desk, Reloaded};
use crate::config::{self, AdminAddress, Config, Level, LogFormat, Problem};
use crate::front::Door;
use crate::front::listener::Listener;
use crate::front::policy::Policy;
use crate::harbor::class::Class;
use crate::lifecycle::drain;
use crate::lifecycle::privilege::{self, Keeper};
use crate::lifecycle::ready::Ready;
use crate::lifecycle::renew;
use crate::lifecycle::signals::{Signal, Signals};
use crate::lifecycle::watchdog::{self, Pulse};
use crate::lifecycle::workers::Workers;
use crate::proxy::finish::Sinks;
use crate::reload::{self, World};
use crate::state::State;
use crate::telemetry::log;
use crate::telemetry::metrics::Metrics;
use crate::tls::{CertError, provider};
use crate::upstream::capacity;
use crate::vip::holder::Holder;
use crate::vip::legacy::Legacy;

/// How often certificate files are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Files for all else: sockets that listen, the store, probes, operators, certificates, clients that are told to come again.
const OTHER_FILES: usize = 256;
/// How a run came to its end.
#[derive(Debug)]
pub enum Failure {
    /// The configuration cannot be served: nothing was.
    Configuration(Vec<Problem>),
    /// Something broke that no configuration could mend.
    Broken(anyhow::Error),
    /// A second signal cut the drain short.
    CutShort,
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Failure::Configuration(problems)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Broken(error.into())
    }
}

/// Checks everything that can be known without serving.
///
/// # Errors
/// All problems.
pub fn check(config: Config) -> Result<(), Vec<Problem>> {
    provider::install();
    reload::build(config, None, &metrics()).map(drop)
}

/// Serves `config` until a signal ends it; `file` is read again on reload. With `take_over` it takes the place of the
/// process that runs with the same `state_dir`.
///
/// # Errors
/// See [`Failure`].
pub fn run(config: Config, file: Option<PathBuf>, take_over: bool) -> Result<(), Failure> {
    provider::install();
    let files = privilege::raise_files()?;
    let keeper = Keeper::start()?;
    let metrics = metrics();
    let world = reload::build(config, None, &metrics)?;
    let kept = Kept::begin(&world, take_over)?;
    let (elder, mut given) = match take_over {
        true => {
            let (elder, given) = Elder::meet(&world.config).map_err(Failure::Broken)?;
            (Some(elder), given)
        }
        false => (None, Given::by_systemd()?),
    };
    let sockets = sockets::bind_all(&world.config, &[], &mut given)?;
    let admin = sockets::bind_admin(&world.config, &mut given)?;
    let place = given.take(estate::PLACE);
    let log = start_log(&world.config)?;
    warn(&world.config);
    if privilege::is_root() {
        tracing::warn!("runs as root with all its rights: set `user`, or start it as another user");
    }
    given.leave();
    metrics.log_drops(log.drops());
    let data = Workers::start(std::thread::available_parallelism().map_or(1, usize::from))?;
    let control = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let access = if world.config.log.access {
        log.access()
    } else {
        crate::telemetry::access::AccessLog::disabled()
    };
    let permits = permits(&world.config, files);
    let (trigger, watch) = drain::new();
    let holder = Arc::new(Holder::new(watch.clone()));
    let door = Arc::new(Door {
        ready: Ready::new(),
        state: State::new(world.snapshot.clone()),
        sinks: Arc::new(Sinks {
            metrics: metrics.clone(),
            access,
        }),
        drain: watch,
        permits: Arc::new(Semaphore::new(permits)),
        gate: Arc::default(),
    });
    let mut process = Process {
        admin_address: world.config.admin.address.clone(),
        world,
        door,
        data,
        holder,
        listeners: Vec::new(),
        admin: None,
        left: None,
        keeper,
        heirlooms: kept.into_iter().map(|kept| Box::new(kept) as _).collect(),
        probers: JoinSet::new(),
        reconcilers: JoinSet::new(),
        upkeep: JoinSet::new(),
        metrics,
        file,
    };
    let beginning = Beginning {
        sockets,
        admin,
        elder,
        place,
    };
    control.block_on(process.serve(beginning, trigger))
}

/// The counters of a process, with every class that a request can have.
pub fn metrics() -> Metrics {
    static SLUGS: LazyLock<Vec<&str>> =
        LazyLock::new(|| Class::ALL.iter().map(|class| class.slug()).collect());
    Metrics::new(&SLUGS)
}

fn start_log(config: &Config) -> io::Result<log::LogGuard> {
    let format = match config.log.format {
        LogFormat::Json => log::Format::Json,
        LogFormat::Text => log::Format::Text,
    };
    let level = match config.log.level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
    };
    log::start(format, level)
}

/// Says what the configuration is better without.
fn warn(config: &Config) {
    for warning in config.warnings() {
        tracing::warn!(%warning, "the configuration is allowed, but unwise");
    }
}

/// How many connections may be open: each takes a file, another one at a node, and the rest of the process needs some.
fn permits(config: &Config, files: u64) -> usize {
    let wanted = config.limits.connections;
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let most = (files.saturating_sub(OTHER_FILES) / 2).max(1);
    if most < wanted {
        tracing::info!(
            files,
            connections = most,
            "the system allows too few open files for limits.connections = {wanted}: fewer connections are taken; raise \
             LimitNOFILE (systemd) or `ulimit -Hn`"
        );
    }
    wanted.min(most)
}

/// What a process is given to begin with.
struct Beginning {
    sockets: Vec<(SocketAddr, TcpListener)>,
    admin: admin::serve::Socket,
    /// The one that it takes over from.
    elder: Option<Elder>,
    /// Where that one waited for it.
    place: Option<OwnedFd>,
}

/// A running Seawall.
struct Process {
    world: World,
    door: Arc<Door>,
    data: Workers,
    holder: Arc<Holder>,
    listeners: Vec<(SocketAddr, Listener)>,
    admin: Option<admin::serve::Serving>,
    /// Where that listens: a reload does not move it.
    admin_address: AdminAddress,
    /// What was left to another process that may yet be lost.
    left: Option<Vec<Legacy>>,
    /// What starts threads and programs with more rights.
    keeper: Keeper,
    /// What goes from process to process and is written by one at a time.
    heirlooms: Vec<Box<dyn Heirloom>>,
    probers: JoinSet<()>,
    /// What brings the journal to peers.
    reconcilers: JoinSet<()>,
    /// What keeps the session store; ends with the sessions that it belongs to.
    upkeep: JoinSet<()>,
    metrics: Metrics,
    file: Option<PathBuf>,
}

impl Process {
    async fn serve(
        &mut self,
        beginning: Beginning,
        trigger: drain::Trigger,
    ) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        let (ask, mut asked) = mpsc::channel::<oneshot::Sender<Reloaded>>(4);
        let ready = self.door.ready.clone();
        let pulse = Pulse::start(self.data.crew());
        self.look_after_nodes();
        self.keep_sessions();
        self.keep_journal();
        ready.set(Ready::STARTING, false);
        if beginning.elder.is_some() {
            self.know_nodes().await;
            self.prepare_addresses(&ready, &pulse).await;
        }
        self.open(beginning.sockets)?;
        self.admin = Some(admin::serve::start(beginning.admin, self.desk(ask))?);
        let mut steps = hand_over::wait(&self.world.config, beginning.place);
        for (_, listener) in &self.listeners {
            tracing::info!(address = %listener.address(), "listening");
        }
        let mut elder = match beginning.elder {
            Some(elder) => match self.succeed(elder).await {
                Ok(ended) => Some(ended),
                Err(error) => {
                    // It has accepted clients already; the elder has not stopped.
                    trigger.start();
                    self.drain(trigger, signals, None).await?;
                    return Err(Failure::Broken(error));
                }
            },
            None => {
                self.keep_addresses(&ready, &pulse).await;
                None
            }
        };
        watchdog::tell_ready();
        let mut alive = tokio::time::interval(watchdog::watched_every().unwrap_or(WATCH_EVERY) / 3);
        alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut watch = tokio::time::interval(WATCH_EVERY);
        watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let heir = loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Reload => drop(self.reload(&ready, &pulse).await),
                    Signal::Renew => if let Err(error) = self.keeper.start_with(renew::start) {
                        tracing::error!(%error, "cannot start the process that takes over");
                    },
                    Signal::Terminate => break None,
                },
                Some(tell) = asked.recv() => drop(tell.send(self.reload(&ready, &pulse).await)),
                Some(step) = steps.recv() => if let Some(heir) = self.step(step, &ready, &pulse).await {
                    break Some(heir);
                },
                () = ended(&mut elder) => {
                    elder = None;
                    self.gather();
                },
                () = self.world.sessions.words().changed() => self.obey(),
                _ = watch.tick() => self.watch_certificates(),
                _ = alive.tick() => if pulse.silence(Instant::now()) < vip::DEAD {
                    watchdog::tell_alive();
                },
            }
        };
        drop(steps);
        match heir {
            Some(heir) => {
                watchdog::tell_successor(heir);
                tracing::info!(process = heir, "another process took over");
                self.admin = None;
                trigger.start_gently();
            }
            None => {
                watchdog::tell_stopping();
                self.give_addresses_away(&mut signals).await?;
                trigger.start();
            }
        }
        self.drain(trigger, signals, elder).await
    }

    /// What the admin listener needs to know.
    fn desk(&self, reload: mpsc::Sender<oneshot::Sender<Reloaded>>) -> Arc<Desk> {
        let token = self.world.config.admin.token.as_ref();
        Arc::new(Desk {
            door: self.door.clone(),
            data: self.data.crew().clone(),
            ready: self.door.ready.clone(),
            vip: self.holder.clone(),
            reload,
            token: token.map(|token| token.expose().to_owned()),
        })
    }

    /// Starts the sockets that are new, with the policies of the current world.
    fn open(&mut self, sockets: Vec<(SocketAddr, TcpListener)>) -> io::Result<()> {
        let crew = self.data.crew().clone();
        // One of the workers accepts for all.
        let _first = crew.handles().next().map(|worker| worker.enter());
        for (address, socket) in sockets {
            let Some(policy) = self.policy(address) else {
                continue;
            };
            let listener = Listener::start(socket, crew.clone(), self.door.clone(), policy)?;
            self.listeners.push((address, listener));
        }
        Ok(())
    }

    /// What the current world demands of the listener at `address`.
    fn policy(&self, address: SocketAddr) -> Option<Policy> {
        let World { config, doors, .. } = &self.world;
        let mut doors = config.listen.iter().zip(doors);
        let (listen, tls) = doors.find(|(listen, _)| listen.address == address)?;
        Some(Policy::new(config, listen, tls.clone()))
    }

    async fn reload(&mut self, ready: &Ready, pulse: &Pulse) -> Reloaded {
        let before = self.world.config.vip.clone();
        let outcome = self.try_reload();
        if self.world.config.vip != before {
            self.keep_addresses(ready, pulse).await;
        }
        match &outcome {
            Ok(changes) => {
                self.metrics.reload("done");
                tracing::info!(changes = changes.len(), "configuration reloaded");
                warn(&self.world.config);
                for change in changes {
                    tracing::info!(change, "changed");
                }
            }
            Err(problems) => {
                self.metrics.reload("refused");
                for problem in problems {
                    tracing::error!(problem, "configuration not reloaded; the old one stays");
                }
            }
        }
        outcome
    }

    /// Builds and binds everything first; only then is anything swapped.
    fn try_reload(&mut self) -> Reloaded {
        let words =
            |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let Some(file) = &self.file else {
            return Err(vec![
                "started without a file: there is nothing to read again; use `seawall run -c FILE`"
                    .to_owned(),
            ]);
        };
        let fresh = config::load(file).map_err(words)?;
        let fresh = reload::build(fresh, Some(&self.world), &self.metrics).map_err(words)?;
        let open: Vec<SocketAddr> = self.listeners.iter().map(|(address, _)| *address).collect();
        let bound = sockets::bind_all(&fresh.config, &open, &mut Given::default());
        let sockets = bound.map_err(words)?;
        journal::open(&fresh.snapshot.placement.journal, &fresh.config)
            .map_err(|what| vec![what])?;
        let mut changes = config::changes(&self.world.config, &fresh.config);
        let (old, new) = (&self.world.config, &fresh.config);
        let fixed = old.user != new.user
            || old.admin != new.admin
            || old.log != new.log
            || old.limits.connections != new.limits.connections;
        if fixed {
            changes.push(
                "user, [admin], [log] and limits.connections are read at the start only: restart for those"
                    .to_owned(),
            );
        }
        for gone in self.world.config.cluster.node.iter().filter(|old| {
            !fresh
                .config
                .cluster
                .node
                .iter()
                .any(|new| new.name == old.name)
        }) {
            self.metrics.forget(&gone.name);
        }
        let same_sessions = Arc::ptr_eq(&self.world.sessions, &fresh.sessions);
        self.world = fresh;
        self.weigh();
        self.door.state.publish(self.world.snapshot.clone());
        if !same_sessions {
            self.keep_sessions();
        }
        // A node whose address changed is new, and has heard nothing yet.
        self.obey();
        self.look_after_nodes();
        self.keep_journal();
        self.listeners.retain(|(address, _)| {
            self.world
                .config
                .listen
                .iter()
                .any(|listen| listen.address == *address)
        });
        for (address, listener) in &self.listeners {
            if let Some(policy) = self.policy(*address) {
                listener.adopt(policy);
            }
        }
        self.open(sockets)
            .map_err(|error| vec![error.to_string()])?;
        Ok(changes)
    }

    /// Gives the nodes the room and the weights of the current world. A weight that differs from the last is the operator's latest word, and
    /// ends one that was said by command.
    fn weigh(&self) {
        for node in &self.world.config.cluster.node {
            let members = self.world.snapshot.cluster.members();
            let backend = members.iter().find(|backend| *backend.name == *node.name);
            let changed = backend.is_some_and(|backend| {
                capacity::adopt(backend, self.world.config.room(node));
                backend.configure_weight(node.weight)
            });
            if changed && self.world.sessions.words().of(&node.name).is_some() {
                self.world
                    .sessions
                    .say(&node.name, |word| word.weight = None);
            }
        }
    }

    /// Reads what changed among the files of certificates, of listeners and of nodes.
    fn watch_certificates(&self) {
        let mut expiry = Vec::new();
        for door in self.world.doors.iter().flatten() {
            for swap in door.poll() {
                tell(swap, "the next handshake");
            }
            expiry.extend(door.expiry());
        }
        for node in self.world.snapshot.cluster.members() {
            if let Some(swap) = node.tls.poll() {
                tell(swap, &format!("the next connection to {}", node.name));
            }
        }
        self.metrics.certificates(expiry);
    }
}

fn tell(swap: Result<(), Vec<CertError>>, who: &str) {
    match swap {
        Ok(()) => tracing::info!("certificate files changed; {who} sees the new ones"),
        Err(errors) => {
            for error in errors {
                tracing::error!(%error, "certificate files changed but cannot be used; the old ones stay");
            }
        }
    }
}

/// Returns when the process before has ended; never where there was none.
async fn ended(elder: &mut Option<oneshot::Receiver<()>>) {
    match elder {
        Some(elder) => drop(elder.await),
        None => std::future::pending().await,
    }
}
