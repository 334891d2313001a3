//! A node that says exactly what a test wants said: for answers that no well-behaved server gives.
//!
//! Probes are answered as a healthy Harbor 2.x would; everything else is the script's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::client::{fields, find};

/// No read takes longer.
const LIMIT: Duration = Duration::from_secs(30);
const COMPONENTS: [&str; 7] = [
    "core",
    "database",
    "jobservice",
    "portal",
    "redis",
    "registry",
    "registryctl",
];

/// How the client's side of a request ended, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is not read to its end.
    Open,
    /// As its framing said it would.
    Clean,
    /// The connection ended before.
    Broken,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Number of the connection, from 0.
    pub connection: usize,
    /// The head, byte for byte.
    pub head: String,
    pub headers: Vec<(String, String)>,
    /// The body so far, without its framing.
    pub body: Vec<u8>,
    pub trailers: String,
    pub end: End,
}

impl Heard {
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap()
    }

    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter();
        let named = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

/// What happens to the connection after an answer.
pub enum Then {
    /// The next request is read.
    Next,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

type Probe = dyn Fn(&str) -> Option<String> + Send + Sync;
type Script = dyn Fn(&mut Talk<'_>) -> Then + Send + Sync;

/// A scripted node.
pub struct Origin {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    open: Arc<Mutex<BTreeSet<usize>>>,
    done: Arc<AtomicBool>,
}

impl Origin {
    /// Starts one; `script` is called for every request that is no probe, once its head was read.
    pub fn start(script: impl Fn(&mut Talk<'_>) -> Then + Send + Sync + 'static) -> Self {
        Self::probed(|head| Some(well(head)), script)
    }

    /// The same with its own answers to probes; those without one go to the script.
    pub fn probed(
        probe: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        script: impl Fn(&mut Talk<'_>) -> Then + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<Script> = Arc::new(script);
        let probe: Arc<Probe> = Arc::new(probe);
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let connections = AtomicUsize::new(0);
        let open: Arc<Mutex<BTreeSet<usize>>> = Arc::default();
        let done = Arc::new(AtomicBool::new(false));
        let origin = Origin {
            address,
            heard: heard.clone(),
            open: open.clone(),
            done: done.clone(),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                let (script, probe, heard) = (script.clone(), probe.clone(), heard.clone());
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let open = open.clone();
                open.lock().unwrap().insert(number);
                std::thread::spawn(move || {
                    converse(stream, number, &heard, &*script, &*probe);
                    open.lock().unwrap().remove(&number);
                });
            }
        });
        origin
    }

    /// One that says the same to everybody and keeps the connection.
    pub fn saying(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::start(move |talk| {
            talk.hear_all();
            talk.say(&answer);
            Then::Next
        })
    }

    /// `http://address`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, probes left out.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The only request so far.
    pub fn only(&self) -> Heard {
        let mut heard = self.heard();
        assert_eq!(heard.len(), 1, "{heard:#?}");
        heard.remove(0)
    }

    /// Forgets what it heard.
    pub fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }

    /// The last one.
    pub fn last(&self) -> Heard {
        self.heard().pop().expect("a request")
    }

    /// Whether a connection is still open, as far as the node has noticed.
    pub fn is_open(&self, connection: usize) -> bool {
        self.open.lock().unwrap().contains(&connection)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// One request and what is said to it.
pub struct Talk<'a> {
    stream: &'a mut TcpStream,
    seen: &'a mut Vec<u8>,
    heard: &'a Mutex<Vec<Heard>>,
    place: usize,
    /// Place of the request on its connection, from 0; probes count.
    pub turn: usize,
}

impl Talk<'_> {
    pub fn request(&self) -> Heard {
        self.heard.lock().unwrap()[self.place].clone()
    }

    /// Says `bytes` at once.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// A whole answer with a length.
    pub fn answer(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.say(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ));
    }

    fn more(&mut self) -> bool {
        more(self.stream, self.seen)
    }

    fn note(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.heard.lock().unwrap()[self.place]);
    }

    /// Reads the body until at least `count` bytes of it are there, or it ended.
    pub fn hear(&mut self, count: usize) {
        let request = self.request();
        if request
            .header("transfer-encoding")
            .is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
        {
            self.hear_chunks(count);
            return;
        }
        let length: usize = request
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        loop {
            let have = self.request_len();
            let take = self.seen.len().min(length - have);
            let part: Vec<u8> = self.seen.drain(..take).collect();
            self.note(|heard| heard.body.extend(part));
            if have + take >= length {
                return self.note(|heard| heard.end = End::Clean);
            }
            if have + take >= count {
                return;
            }
            if !self.more() {
                return self.note(|heard| heard.end = End::Broken);
            }
        }
    }

    fn request_len(&self) -> usize {
        self.heard.lock().unwrap()[self.place].body.len()
    }

    fn hear_chunks(&mut self, count: usize) {
        while self.request_len() < count {
            let Some(line) = self.line() else {
                return self.note(|heard| heard.end = End::Broken);
            };
            let size = usize::from_str_radix(line.trim(), 16).expect("a chunk size");
            if size == 0 {
                let mut trailers = String::new();
                loop {
                    match self.line() {
                        None => return self.note(|heard| heard.end = End::Broken),
                        Some(line) if line == "\r\n" => break,
                        Some(line) => trailers.push_str(&line),
                    }
                }
                return self.note(|heard| {
                    heard.trailers = trailers;
                    heard.end = End::Clean;
                });
            }
            while self.seen.len() < size + 2 {
                if !self.more() {
                    return self.note(|heard| heard.end = End::Broken);
                }
            }
            let part: Vec<u8> = self.seen.drain(..size).collect();
            self.seen.drain(..2);
            self.note(|heard| heard.body.extend(part));
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(self.seen, b"\r\n") {
                let line: Vec<u8> = self.seen.drain(..at + 2).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// Reads the body to its end, clean or broken.
    pub fn hear_all(&mut self) {
        self.hear(usize::MAX);
    }

    /// Waits until the other side hangs up; what it still says becomes part of the body.
    pub fn wait(&mut self) {
        while self.more() {}
        let rest = std::mem::take(self.seen);
        self.note(|heard| heard.body.extend(rest));
    }

    /// Says nothing more and reads on into nowhere, as nginx leaves.
    pub fn leave(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        while self.more() {
            self.seen.clear();
        }
    }

    /// Sends everything back that comes, until the other side hangs up.
    pub fn echo(&mut self) {
        loop {
            let bytes = std::mem::take(self.seen);
            self.say(bytes);
            if !self.more() {
                return;
            }
        }
    }
}

fn more(stream: &mut TcpStream, seen: &mut Vec<u8>) -> bool {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return false,
            Ok(count) => {
                seen.extend_from_slice(&buffer[..count]);
                return true;
            }
        }
    }
}

fn converse(
    mut stream: TcpStream,
    connection: usize,
    all: &Mutex<Vec<Heard>>,
    script: &Script,
    probe: &Probe,
) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut seen = Vec::new();
    for turn in 0.. {
        let end = loop {
            if let Some(at) = find(&seen, b"\r\n\r\n") {
                break at + 4;
            }
            if !more(&mut stream, &mut seen) {
                return;
            }
        };
        let head: Vec<u8> = seen.drain(..end).collect();
        let head = String::from_utf8(head).expect("a head in ASCII");
        if head.contains("seawall-probe")
            && let Some(answer) = probe(&head)
        {
            let _ = stream.write_all(answer.as_bytes());
            continue;
        }
        let place = {
            let mut all = all.lock().unwrap();
            all.push(Heard {
                connection,
                headers: fields(&head),
                head,
                body: Vec::new(),
                trailers: String::new(),
                end: End::Open,
            });
            all.len() - 1
        };
        let mut talk = Talk {
            stream: &mut stream,
            seen: &mut seen,
            heard: all,
            place,
            turn,
        };
        match script(&mut talk) {
            Then::Next => {}
            Then::Close => {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            Then::Reset => {
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                return;
            }
        }
    }
}

/// What a healthy Harbor 2.x says to a probe.
pub fn well(head: &str) -> String {
    let answer = |status: &str, more: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n{body}")
    };
    match head.split(' ').nth(1).unwrap_or_default() {
        "/api/v2.0/ping" => answer("200 OK", "", "Pong"),
        "/api/v2.0/health" => {
            let parts = COMPONENTS
                .map(|name| format!("{{\"name\":\"{name}\",\"status\":\"healthy\"}}"))
                .join(",");
            let body = format!("{{\"status\":\"healthy\",\"components\":[{parts}]}}");
            answer("200 OK", "Content-Type: application/json\r\n", &body)
        }
        "/v2/" => answer(
            "401 Unauthorized",
            "Www-Authenticate: Bearer realm=\"https://harbor.example/service/token\",service=\"harbor-registry\"\r\n",
            "",
        ),
        path if path.starts_with("/api/v2.0/projects") => answer("200 OK", "", "[]"),
        "/" => answer("200 OK", "Content-Type: text/html\r\n", "<html></html>"),
        _ => answer("404 Not Found", "", ""),
    }
}

/// A door in front of one scripted node.
pub fn before(origin: &Origin) -> super::door::Door {
    before_with(origin, |_| {})
}

/// The same with changes to its configuration.
pub fn before_with(
    origin: &Origin,
    change: impl FnOnce(&mut super::door::Plan),
) -> super::door::Door {
    let mut plan = super::door::Plan::fronting([origin.url()]);
    change(&mut plan);
    let door = super::door::Door::start(&plan);
    door.settled();
    door
}
