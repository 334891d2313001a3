//! Stands between a door and a node, reads along, and dies in the place of the node: at one request, at one moment, once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::client::find;
use super::ports;

/// What a registry's client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `GET /v2/`
    Ping,
    /// `GET /service/token`
    Token,
    /// `HEAD` of a manifest.
    ManifestHead,
    /// `GET` of a manifest by its tag.
    TagGet,
    /// `GET` of a manifest by its digest.
    ManifestGet,
    /// `HEAD` of a blob.
    BlobHead,
    /// `GET` of a blob.
    BlobGet,
    /// `POST`: an upload begins.
    Start,
    /// `PATCH`: its bytes.
    Chunk,
    /// `PUT`: it ends.
    Finish,
    /// `PUT` of a manifest.
    ManifestPut,
}

impl Operation {
    /// What a request is, if its head begins here; nobody sends two at a time, so that heads begin where reads do.
    fn of(bytes: &[u8]) -> Option<Self> {
        let line = bytes.split(|byte| *byte == b'\r').next()?;
        let line = std::str::from_utf8(line).ok()?;
        let (method, rest) = line.split_once(' ')?;
        let target = rest.strip_suffix(" HTTP/1.1")?;
        let path = target.split('?').next()?;
        let head = &bytes[..find(bytes, b"\r\n\r\n")?];
        if find(head, b"seawall-probe").is_some() {
            return None;
        }
        let is = |part: &str| path.contains(part);
        Some(match method {
            "GET" if path == "/v2/" => Operation::Ping,
            _ if path == "/service/token" => Operation::Token,
            "HEAD" if is("/manifests/") => Operation::ManifestHead,
            "GET" if is("/manifests/sha256:") => Operation::ManifestGet,
            "GET" if is("/manifests/") => Operation::TagGet,
            "PUT" if is("/manifests/") => Operation::ManifestPut,
            "HEAD" if is("/blobs/") => Operation::BlobHead,
            "GET" if is("/blobs/") => Operation::BlobGet,
            "POST" if is("/blobs/uploads/") => Operation::Start,
            "PATCH" => Operation::Chunk,
            "PUT" => Operation::Finish,
            _ => return None,
        })
    }
}

/// When the node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the request: after the answer to the one before it.
    Connect,
    /// With the request's head, nothing of which reaches the node's insides.
    Head,
    /// With a half of what came of its body.
    MidBody,
    /// When the request was carried out and nothing of the answer is out.
    BeforeAnswer,
    /// In the middle of the answer's body, or of its head where it has none.
    MidAnswer,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Moment::Connect => "connect",
            Moment::Head => "request head",
            Moment::MidBody => "mid-body",
            Moment::BeforeAnswer => "before answer",
            Moment::MidAnswer => "mid-answer",
        })
    }
}

/// What is heard, and what for.
#[derive(Default)]
struct Ears {
    heard: Vec<Operation>,
    trap: Option<Trap>,
}

#[derive(Clone, Copy)]
enum Trap {
    At(Operation, Moment),
    /// After the answer to so many requests.
    After(usize),
}

/// What the connection of a request has to do.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Die(Moment),
    DieAfter,
}

impl Ears {
    fn hear(&mut self, operation: Operation) -> Option<Order> {
        self.heard.push(operation);
        let order = match self.trap? {
            Trap::At(at, moment) => (at == operation).then_some(Order::Die(moment)),
            Trap::After(count) => (self.heard.len() == count).then_some(Order::DieAfter),
        };
        if order.is_some() {
            self.trap = None;
        }
        order
    }
}

/// A running relay.
pub struct Relay {
    /// Where the door finds the node.
    pub address: SocketAddr,
    node: SocketAddr,
    ears: Arc<Mutex<Ears>>,
    dead: Arc<watch::Sender<bool>>,
    runtime: Option<Runtime>,
}

impl Relay {
    /// One before the node at `node`.
    pub fn before(node: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let mut relay = Relay {
            address: ports::free(),
            node,
            ears: Arc::default(),
            dead: Arc::new(watch::Sender::new(true)),
            runtime: Some(runtime.expect("a thread for the relay")),
        };
        relay.revive();
        relay
    }

    /// Forgets what it heard, and will die at the first `operation` from now on. `before` is how many requests come
    /// before that one, for a death at its connection; with none it dies at once.
    pub fn dies_at(&self, operation: Operation, moment: Moment, before: usize) {
        let trap = match (moment, before) {
            (Moment::Connect, 0) => None,
            (Moment::Connect, count) => Some(Trap::After(count)),
            _ => Some(Trap::At(operation, moment)),
        };
        let heard = Vec::new();
        *self.ears.lock().unwrap() = Ears { heard, trap };
        if trap.is_none() {
            self.dead.send_replace(true);
        }
    }

    /// Forgets what it heard, and lives.
    pub fn listens(&self) {
        *self.ears.lock().unwrap() = Ears::default();
    }

    /// What it heard.
    pub fn heard(&self) -> Vec<Operation> {
        self.ears.lock().unwrap().heard.clone()
    }

    /// Whether it is dead.
    pub fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Comes back where it was.
    pub fn revive(&mut self) {
        if !self.is_dead() {
            return;
        }
        let (dead, watched) = watch::channel(false);
        self.dead = Arc::new(dead);
        let runtime = self.runtime.as_ref().expect("there until the drop");
        let guard = runtime.enter();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).expect("its own address");
        let listener = socket.listen(1024).unwrap();
        drop(guard);
        let (ears, dead, node) = (self.ears.clone(), self.dead.clone(), self.node);
        runtime.spawn(accept(listener, node, ears, dead, watched));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(
    listener: TcpListener,
    node: SocketAddr,
    ears: Arc<Mutex<Ears>>,
    dead: Arc<watch::Sender<bool>>,
    mut watched: watch::Receiver<bool>,
) {
    loop {
        let stream = tokio::select! {
            biased;
            _ = watched.wait_for(|dead| *dead) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let (ears, dead, mut watched) = (ears.clone(), dead.clone(), watched.clone());
        tokio::spawn(async move {
            let Ok(node) = TcpStream::connect(node).await else {
                return;
            };
            let mut line = Line { door: stream, node };
            let died = tokio::select! {
                biased;
                _ = watched.wait_for(|dead| *dead) => true,
                carried = line.carry(&ears) => matches!(carried, Ok(Ended::Dies)),
            };
            if died {
                // Even what is on its way to the node's insides ends here.
                dead.send_replace(true);
                for end in [&line.door, &line.node] {
                    let _ = socket2::SockRef::from(end).set_linger(Some(Duration::ZERO));
                }
            }
        });
    }
}

enum Ended {
    Closed,
    Dies,
}

/// One connection of the door, and what belongs to it at the node.
struct Line {
    door: TcpStream,
    node: TcpStream,
}

impl Line {
    async fn carry(&mut self, ears: &Mutex<Ears>) -> io::Result<Ended> {
        for end in [&self.door, &self.node] {
            end.set_nodelay(true)?;
        }
        let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let mut order = None;
        loop {
            tokio::select! {
                count = self.door.read(&mut up) => {
                    let bytes = &up[..count?];
                    if bytes.is_empty() {
                        return Ok(Ended::Closed);
                    }
                    if let Some(operation) = Operation::of(bytes) {
                        order = ears.lock().unwrap().hear(operation);
                    }
                    let most = match order {
                        Some(Order::Die(Moment::Head)) => return Ok(Ended::Dies),
                        Some(Order::Die(Moment::MidBody)) => middle(bytes),
                        _ => None,
                    };
                    self.node.write_all(&bytes[..most.unwrap_or(bytes.len())]).await?;
                    if most.is_some() {
                        return Ok(Ended::Dies);
                    }
                }
                count = self.node.read(&mut down) => {
                    let bytes = &down[..count?];
                    if bytes.is_empty() {
                        return Ok(Ended::Closed);
                    }
                    let answers = !bytes.starts_with(b"HTTP/1.1 1");
                    let most = match order.filter(|_| answers) {
                        Some(Order::Die(Moment::BeforeAnswer)) => Some(0),
                        Some(Order::Die(Moment::MidAnswer)) => middle(bytes).or(Some(bytes.len() / 2)),
                        Some(Order::DieAfter) => Some(bytes.len()),
                        _ => None,
                    };
                    self.door.write_all(&bytes[..most.unwrap_or(bytes.len())]).await?;
                    if most.is_some() {
                        return Ok(Ended::Dies);
                    }
                }
            }
        }
    }
}

/// The middle of the body's bytes here, be there a head before them or not; `None` without any.
fn middle(bytes: &[u8]) -> Option<usize> {
    let begins = match bytes.starts_with(b"HTTP/1.1 ") || Operation::of(bytes).is_some() {
        true => find(bytes, b"\r\n\r\n")? + 4,
        false => 0,
    };
    (begins < bytes.len()).then(|| begins + (bytes.len() - begins) / 2)
}
