//! A node's life: its threads, its listener, its connections, its child.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::database::Database;
use super::faults::{BrownOut, Component, Faults, Mode, Switch};
use super::health::{self, Health};
use super::log::Log;
use super::nginx::{self, Line};
use super::registry::{Registry, Trust};
use super::replication::Replication;
use super::session::Sessions;
use super::token::TokenKey;
use super::users::Users;
use super::{Dialect, Harbor, Options};

/// A running node. Dropping it ends everything at once, its registry included.
pub struct HarborNode {
    /// Where its nginx listens.
    pub address: SocketAddr,
    pub(super) harbor: Arc<Harbor>,
    open: Arc<Mutex<Open>>,
    runtime: Option<Runtime>,
    work: tempfile::TempDir,
    trusted: RwLock<PathBuf>,
}

/// What [`HarborNode::stop`] has to end.
#[derive(Default)]
struct Open {
    tasks: Vec<JoinHandle<()>>,
    lines: HashMap<u64, (JoinHandle<()>, StdStream)>,
    stopped: bool,
}

impl HarborNode {
    /// Starts a node and returns when it answers and has polled its components once.
    ///
    /// # Panics
    /// If its programs are missing or its address is taken.
    pub async fn start(options: Options) -> Self {
        let work = tempfile::tempdir().expect("a directory for the node");
        let key_path = match &options.key {
            Some(path) => path.clone(),
            None => TokenKey::generate(work.path()).expect("openssl makes keys"),
        };
        let mut key = TokenKey::load(&key_path).expect("a token key");
        key.clock = options.clock;
        let trust = trust(&options, &key);
        let registry =
            Registry::new(work.path(), &options, &trust).expect("a registry configuration");
        let faults = Faults::none();
        faults.switch(Switch::OverwriteProto, options.dialect != Dialect::Harbor2);
        let harbor = Arc::new_cyclic(|node| Harbor {
            hands: Arc::new(tokio::sync::Semaphore::new(options.hands)),
            replication: Replication::of(node.clone()),
            sessions: Sessions::new(
                options.redis.as_deref(),
                options.dialect,
                options.timing.clone(),
            ),
            store: Database::open(
                &options.storage,
                options.database.as_ref().unwrap_or(&options.storage),
            ),
            registry,
            health: Health::default(),
            key: RwLock::new(Arc::new(key)),
            log: Log::default(),
            users: Users::default(),
            configured: Mutex::new(Instant::now()),
            faults,
            options,
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(&harbor.options.name)
            .enable_all()
            .build()
            .expect("a runtime for the node");
        let mut node = Self {
            address: harbor.options.address,
            harbor,
            open: Arc::default(),
            runtime: Some(runtime),
            work,
            trusted: RwLock::new(key_path),
        };
        node.open.lock().unwrap().stopped = true;
        node.revive().await;
        node
    }

    /// Everything that reached the node's nginx.
    pub fn log(&self) -> Log {
        self.harbor.log.clone()
    }

    /// `http://address`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The options it was started with.
    pub fn options(&self) -> &Options {
        &self.harbor.options
    }

    /// Breaks or mends a component. The registry is a real process: it is killed, frozen or started.
    pub async fn set(&self, component: Component, mode: Mode) {
        if component == Component::Registry {
            self.set_registry(mode).await;
        }
        self.harbor.faults.set(component, mode);
    }

    /// Makes its core slow, or fail a part of its requests; or neither.
    pub fn brown_out(&self, brown_out: BrownOut) {
        self.harbor.faults.set_brown_out(brown_out);
    }

    async fn set_registry(&self, mode: Mode) {
        let harbor = self.harbor.clone();
        self.run(async move {
            match mode {
                Mode::Down => harbor.registry.crash(),
                Mode::Hung => {
                    harbor.registry.resume();
                    if !harbor.registry.is_running() {
                        harbor.registry.start().await.expect("the registry starts");
                    }
                    harbor.registry.hang();
                }
                Mode::Ok => {
                    harbor.registry.resume();
                    if !harbor.registry.is_running() {
                        harbor.registry.start().await.expect("the registry starts");
                    }
                }
            }
        })
        .await;
    }

    /// Turns a property of the node on or off.
    pub async fn switch(&self, switch: Switch, on: bool) {
        self.harbor.faults.switch(switch, on);
        if switch != Switch::WrongTokenKey {
            return;
        }
        let path = if on {
            let own = self.work.path().join("own");
            std::fs::create_dir_all(&own).expect("a directory for the key");
            TokenKey::generate(&own).expect("openssl makes keys")
        } else {
            self.trusted.read().unwrap().clone()
        };
        let mut key = TokenKey::load(&path).expect("a token key");
        key.clock = self.harbor.options.clock;
        let trust = trust(&self.harbor.options, &key);
        *self.harbor.key.write().unwrap() = Arc::new(key);
        if self.harbor.options.dialect != Dialect::Harbor2 && self.harbor.registry.is_running() {
            let options = &self.harbor.options;
            self.harbor
                .registry
                .configure(self.work.path(), options, &trust)
                .expect("a registry configuration");
            let harbor = self.harbor.clone();
            self.run(async move { harbor.registry.start().await.expect("the registry starts") })
                .await;
        }
    }

    /// The node dies: its listener closes, its connections are reset, its registry ends.
    pub async fn stop(&self) {
        self.end(Registry::retire).await;
    }

    /// The same by `kill -9` of everything.
    pub async fn crash(&self) {
        self.end(Registry::crash).await;
    }

    async fn end(&self, registry: fn(&Registry)) {
        let open = self.open.clone();
        let harbor = self.harbor.clone();
        self.run(async move { end(&open, &harbor, registry).await })
            .await;
    }

    /// It comes back on the same address, with the same data.
    pub async fn revive(&mut self) {
        if !self.open.lock().unwrap().stopped {
            return;
        }
        let (open, harbor) = (self.open.clone(), self.harbor.clone());
        let address = self
            .run(async move { begin(&open, &harbor).await.expect("the node starts") })
            .await;
        self.address = address;
    }

    /// Runs something on the node's own threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let runtime = self.runtime.as_ref().expect("there until the drop");
        runtime.spawn(work).await.expect("the node's threads work")
    }
}

impl Drop for HarborNode {
    fn drop(&mut self) {
        self.harbor.registry.kill();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn trust(options: &Options, key: &TokenKey) -> Trust {
    if options.dialect == Dialect::Harbor2 {
        return Trust::Core;
    }
    Trust::Tokens {
        realm: format!(
            "{}/service/token",
            options.external_url.trim_end_matches('/')
        ),
        certificate: key.certificate.clone(),
    }
}

async fn begin(open: &Arc<Mutex<Open>>, harbor: &Arc<Harbor>) -> io::Result<SocketAddr> {
    if harbor.faults.of(Component::Registry) != Mode::Down {
        harbor.registry.start().await?;
    }
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(harbor.options.address)?;
    let listener = socket.listen(1024)?;
    let address = listener.local_addr()?;
    harbor.health.forget();
    let mut tasks: Vec<JoinHandle<()>> = health::POLLED
        .into_iter()
        .map(|component| {
            let harbor = harbor.clone();
            tokio::spawn(async move { health::poll(&harbor, component).await })
        })
        .collect();
    tasks.push(tokio::spawn(accept(listener, open.clone(), harbor.clone())));
    {
        let mut open = open.lock().unwrap();
        open.tasks = tasks;
        open.stopped = false;
    }
    // Whoever waits for a node wants one that knows how it is; a part that hangs is not waited for.
    let known = async {
        while !harbor.health.is_complete() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), known).await;
    Ok(address)
}

async fn accept(listener: TcpListener, open: Arc<Mutex<Open>>, harbor: Arc<Harbor>) {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let Ok((stream, twin)) = twins(stream) else {
            continue;
        };
        let mut lines = open.lock().unwrap();
        let task = tokio::spawn(converse(stream, peer, number, harbor.clone(), open.clone()));
        lines.lines.insert(number, (task, twin));
    }
}

/// The stream, and a second handle to it with which it can be reset.
fn twins(stream: TcpStream) -> io::Result<(TcpStream, StdStream)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let twin = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, twin))
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    number: u64,
    harbor: Arc<Harbor>,
    open: Arc<Mutex<Open>>,
) {
    let line = Arc::new(Line {
        number,
        peer,
        turns: AtomicU64::new(0),
    });
    let idle = harbor.options.timing.keep_alive;
    let service = service_fn(move |request| nginx::serve(harbor.clone(), line.clone(), request));
    let connection = http1::Builder::new()
        .title_case_headers(true)
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
    open.lock().unwrap().lines.remove(&number);
}

async fn end(open: &Arc<Mutex<Open>>, harbor: &Arc<Harbor>, registry: fn(&Registry)) {
    let (tasks, lines) = {
        let mut open = open.lock().unwrap();
        open.stopped = true;
        (
            std::mem::take(&mut open.tasks),
            std::mem::take(&mut open.lines),
        )
    };
    harbor.replication.die();
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    // A connection accepted in between is in the map by now.
    let late = std::mem::take(&mut open.lock().unwrap().lines);
    for (task, twin) in lines.into_values().chain(late.into_values()) {
        let _ = socket2::SockRef::from(&twin).set_linger(Some(Duration::ZERO));
        task.abort();
        let _ = task.await;
    }
    let harbor = harbor.clone();
    let _ = tokio::task::spawn_blocking(move || registry(&harbor.registry)).await;
}
