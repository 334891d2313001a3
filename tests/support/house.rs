//! The data plane inside of the test's own process, served as the program does: for what cannot be seen or said from
//! outside. It has no probes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use seawall::front::Door;
use seawall::front::listener::Listener;
use seawall::front::policy::Policy;
use seawall::harbor::dialect::Dialect;
use seawall::lifecycle::drain;
use seawall::lifecycle::ready::Ready;
use seawall::lifecycle::workers::Workers;
use seawall::net::listen;
use seawall::proxy::finish::Sinks;
use seawall::state::State;
use seawall::telemetry::log;
use seawall::upstream::backend::Backend;
use seawall::{app, config, reload};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::origin::Origin;

/// A data plane with a single worker.
pub struct House {
    listener: Listener,
    /// Its nodes, in the order of their origins.
    pub nodes: Vec<Arc<Backend>>,
    workers: Workers,
    _trigger: drain::Trigger,
    _log: log::LogGuard,
}

impl House {
    /// Serves `origins`; `keys` are further ones of its listener, and files are looked for `at` a directory.
    pub fn start(origins: &[&Origin], keys: &str, at: &Path) -> Self {
        let mut text = format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{keys}\n[cluster]\n");
        for (origin, number) in origins.iter().zip(1..) {
            let url = origin.url();
            let _ = writeln!(
                text,
                "[[cluster.node]]\nname = \"harbor-{number}\"\nurl = \"{url}\""
            );
        }
        let metrics = app::metrics();
        let config = config::parse(&text, &at.join("seawall.toml")).expect("a sound configuration");
        let world =
            reload::build(config, None, &metrics).map_err(|problems| format!("{problems:?}"));
        let world = world.expect("a world");
        let nodes = world.snapshot.cluster.members().to_vec();
        // In place of its probes: a node is believed to be well until one says otherwise.
        for node in &nodes {
            node.standing.set_dialect(Dialect::Harbor2);
        }
        let log = log::open(log::Format::Json, std::io::sink()).unwrap();
        let (trigger, watch) = drain::new();
        let door = Arc::new(Door {
            state: State::new(world.snapshot.clone()),
            sinks: Arc::new(Sinks {
                metrics,
                access: log.access(),
            }),
            ready: Ready::new(),
            drain: watch,
            permits: Arc::new(Semaphore::new(world.config.limits.connections)),
            gate: Arc::default(),
        });
        let workers = Workers::start(1).unwrap();
        let crew = workers.crew().clone();
        let worker = crew.handles().next().unwrap();
        let (listen, tls) = (&world.config.listen[0], &world.doors[0]);
        let socket = listen::bind(listen.address).unwrap();
        let policy = Policy::new(&world.config, listen, tls.clone());
        let listener = {
            let _here = worker.enter();
            Listener::start(socket, crew.clone(), door, policy).unwrap()
        };
        House {
            listener,
            nodes,
            workers,
            _trigger: trigger,
            _log: log,
        }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The only worker.
    pub fn worker(&self) -> Handle {
        self.workers.crew().handles().next().unwrap().clone()
    }
}
