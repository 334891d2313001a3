//! The only file that knows everybody: builds the process from a configuration, starts its runtimes, applies what a
//! reload built, and waits for the end.
//!
//! Three places to run: the workers serve clients, the control runtime (this thread) serves the admin listener, probes,
//! watches certificates and obeys signals, and a thread of its own keeps the virtual addresses, so that none waits for
//! another.

mod journal;
mod nodes;
mod vip;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::admin::{self, Desk, Reloaded};
use crate::config::{self, Config, Level, Listen, LogFormat, Problem};
use crate::front::Door;
use crate::front::listener::Listener;
use crate::front::policy::Policy;
use crate::harbor::class::Class;
use crate::lifecycle::drain;
use crate::lifecycle::privilege;
use crate::lifecycle::ready::Ready;
use crate::lifecycle::signals::{Signal, Signals};
use crate::lifecycle::watchdog::{self, Pulse};
use crate::lifecycle::workers::Workers;
use crate::net::listen;
use crate::proxy::finish::Sinks;
use crate::reload::{self, DoorTls, World};
use crate::state::State;
use crate::telemetry::log;
use crate::telemetry::metrics::Metrics;
use crate::tls::provider;
use crate::vip::holder::Holder;

/// How often certificate files are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How often a drain says what it still waits for.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What a client gets at the end to take the last bytes of an answer and the goodbye of its connection.
const GOODBYE: Duration = Duration::from_secs(5);

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

/// Serves `config` until a signal ends it; `file` is read again on reload.
///
/// # Errors
/// See [`Failure`].
pub fn run(config: Config, file: Option<PathBuf>) -> Result<(), Failure> {
    provider::install();
    let _ = privilege::raise_files();
    let metrics = metrics();
    let world = reload::build(config, None, &metrics)?;
    journal::open(&world.snapshot.placement.journal, &world.config).map_err(|what| {
        let fix = "free the directory and let this user write there, or set state_dir";
        let at = config::At::default();
        vec![world.config.problem(at, "state_dir", what, fix)]
    })?;
    let sockets = bind_all(&world.config, &[])?;
    let admin = admin::serve::bind(&world.config.admin.address).map_err(|error| {
        let fix = "free the address, or set [admin] address";
        vec![world.config.problem(
            world.config.admin.at,
            "admin.address",
            error.to_string(),
            fix,
        )]
    })?;
    let log = start_log(&world.config)?;
    warn(&world.config);
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
        permits: Arc::new(Semaphore::new(world.config.limits.connections)),
    });
    let mut process = Process {
        world,
        door,
        data,
        holder,
        listeners: Vec::new(),
        probers: JoinSet::new(),
        reconcilers: JoinSet::new(),
        upkeep: JoinSet::new(),
        metrics,
        file,
    };
    control.block_on(process.serve(sockets, admin, trigger))
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

/// Binds every listener that is not `open` already; all of them, or none and all problems.
fn bind_all(
    config: &Config,
    open: &[SocketAddr],
) -> Result<Vec<(SocketAddr, TcpListener)>, Vec<Problem>> {
    let mut sockets = Vec::new();
    let mut problems = Vec::new();
    for door in config
        .listen
        .iter()
        .filter(|door| !open.contains(&door.address))
    {
        let virtual_address = config.vip.as_ref().is_some_and(|vip| {
            let mut addresses = vip.instance.iter().flat_map(|one| &one.addresses);
            addresses.any(|net| net.addr() == door.address.ip())
        });
        let bind = match virtual_address {
            true => listen::bind_ahead,
            false => listen::bind,
        };
        match bind(door.address) {
            Ok(socket) => sockets.push((door.address, socket)),
            Err(error) => {
                let fix = match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "run with CAP_NET_BIND_SERVICE, or choose a port above 1023"
                    }
                    _ => "stop what listens there, or choose another address",
                };
                problems.push(config.problem(door.at, "listen.address", error.to_string(), fix));
            }
        }
    }
    if problems.is_empty() {
        Ok(sockets)
    } else {
        Err(problems)
    }
}

/// A running Seawall.
struct Process {
    world: World,
    door: Arc<Door>,
    data: Workers,
    holder: Arc<Holder>,
    listeners: Vec<(SocketAddr, Listener)>,
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
        sockets: Vec<(SocketAddr, TcpListener)>,
        admin: admin::serve::Socket,
        trigger: drain::Trigger,
    ) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        let (ask, mut asked) = mpsc::channel::<oneshot::Sender<Reloaded>>(4);
        let ready = self.door.ready.clone();
        let pulse = Pulse::start(self.data.crew());
        self.open(sockets)?;
        self.look_after_nodes();
        self.keep_sessions();
        self.keep_journal();
        let desk = Arc::new(Desk {
            door: self.door.clone(),
            data: self.data.crew().clone(),
            ready: ready.clone(),
            vip: self.holder.clone(),
            reload: ask,
            token: self
                .world
                .config
                .admin
                .token
                .as_ref()
                .map(|token| token.expose().to_owned()),
        });
        let _admin = admin::serve::start(admin, desk)?;
        for (_, listener) in &self.listeners {
            tracing::info!(address = %listener.address(), "listening");
        }
        ready.set(Ready::STARTING, false);
        self.keep_addresses(&ready, &pulse).await;
        watchdog::tell_ready();
        let mut alive = tokio::time::interval(watchdog::watched_every().unwrap_or(WATCH_EVERY) / 3);
        alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut watch = tokio::time::interval(WATCH_EVERY);
        watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Reload => drop(self.reload(&ready, &pulse).await),
                    Signal::Terminate => break,
                },
                Some(tell) = asked.recv() => drop(tell.send(self.reload(&ready, &pulse).await)),
                () = self.world.sessions.words().changed() => self.obey(),
                _ = watch.tick() => self.watch_certificates(),
                _ = alive.tick() => if pulse.silence(Instant::now()) < vip::DEAD {
                    watchdog::tell_alive();
                },
            }
        }
        watchdog::tell_stopping();
        self.give_addresses_away(&mut signals).await?;
        self.drain(trigger, signals).await
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
        let (listen, tls) = self.doors().find(|(listen, _)| listen.address == address)?;
        let tls = tls.map(|tls| tls.server.clone());
        Some(Policy::new(&self.world.config, listen, tls))
    }

    fn doors(&self) -> impl Iterator<Item = (&Listen, Option<&DoorTls>)> {
        self.world
            .config
            .listen
            .iter()
            .zip(self.world.doors.iter().map(Option::as_ref))
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
        let sockets = bind_all(&fresh.config, &open).map_err(words)?;
        journal::open(&fresh.snapshot.placement.journal, &fresh.config)
            .map_err(|what| vec![what])?;
        let mut changes = config::changes(&self.world.config, &fresh.config);
        let (old, new) = (&self.world.config, &fresh.config);
        let fixed = old.admin != new.admin
            || old.log != new.log
            || old.limits.connections != new.limits.connections;
        if fixed {
            changes.push(
                "[admin], [log] and limits.connections are read at the start only: restart for those"
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

    /// Gives the nodes the weights of the current world. One that differs from the last is the operator's latest word, and
    /// ends one that was said by command.
    fn weigh(&self) {
        for node in &self.world.config.cluster.node {
            let members = self.world.snapshot.cluster.members();
            let changed = members
                .iter()
                .find(|backend| *backend.name == *node.name)
                .is_some_and(|backend| backend.configure_weight(node.weight));
            if changed && self.world.sessions.words().of(&node.name).is_some() {
                self.world
                    .sessions
                    .say(&node.name, |word| word.weight = None);
            }
        }
    }

    fn watch_certificates(&self) {
        let mut expiry = Vec::new();
        for door in self.world.doors.iter().flatten() {
            match door.certificates.poll() {
                Some(Ok(())) => tracing::info!(
                    "certificate files changed; the next handshake sees the new ones"
                ),
                Some(Err(errors)) => {
                    for error in errors {
                        tracing::error!(%error, "certificate files changed but cannot be used; the old ones stay");
                    }
                }
                None => {}
            }
            expiry.extend(door.certificates.expiry());
        }
        self.metrics.certificates(expiry);
    }

    /// Takes nothing new, lets running work finish, and says what it waits for.
    async fn drain(
        &mut self,
        trigger: drain::Trigger,
        mut signals: Signals,
    ) -> Result<(), Failure> {
        let limit = self.world.config.timeouts.drain;
        trigger.start();
        self.listeners.clear();
        tracing::info!(limit = ?limit, "draining: no new connections; running requests may finish");
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        let mut say = tokio::time::interval(SAY_EVERY);
        let ended = async {
            trigger.finished().await;
            // The last answers may still be on their way, and idle clients have yet to hear of the end.
            tokio::time::timeout(GOODBYE, trigger.parted()).await
        };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                _ = &mut ended => {
                    tracing::info!("drained");
                    return Ok(());
                }
                _ = say.tick() => {
                    for (kind, count) in trigger.waiting() {
                        tracing::info!(kind, count, "still waiting");
                    }
                }
                () = &mut deadline => {
                    for (kind, count) in trigger.waiting() {
                        tracing::warn!(kind, count, "cut off: the drain took too long");
                    }
                    return Ok(());
                }
                signal = signals.next() => if signal == Signal::Terminate {
                    tracing::warn!("second signal: ending at once");
                    return Err(Failure::CutShort);
                },
            }
        }
    }
}
