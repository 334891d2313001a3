//! The same attacks on Seawall, HAProxy and nginx in front of the same node: what is left for honest clients, and what the
//! attack costs in memory.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{BLOB, MIB, node};
use crate::support::client::Knock;
use crate::support::door::{Door, eventually};
use crate::support::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, Frames, HEADERS, PING, field, frame, reset,
};
use crate::support::origin::{Origin, before};
use crate::support::ports;

const CLIENTS: usize = 8;
const MEASURED: Duration = Duration::from_secs(4);

/// A program under attack, killed at its end.
struct Peer {
    name: &'static str,
    knock: Knock,
    pid: u32,
    child: Option<Child>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(child.id() as i32),
                nix::sys::signal::Signal::SIGTERM,
            );
            let _ = child.wait();
        }
    }
}

impl Peer {
    fn seawall(door: &Door) -> Self {
        Peer {
            name: "Seawall",
            knock: Knock::at(door),
            pid: door.pid(),
            child: None,
        }
    }

    fn other(name: &'static str, door: &Door, command: &mut Command, address: SocketAddr) -> Self {
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("it starts");
        eventually("it listens", Duration::from_secs(20), || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Peer {
            name,
            knock: Knock::with(address, &door.ca()),
            pid: child.id(),
            child: Some(child),
        }
    }

    fn haproxy(door: &Door, origin: &Origin, folder: &Path) -> Self {
        let address = ports::free();
        let read = |name| std::fs::read_to_string(door.directory().join(name)).unwrap();
        let joined = folder.join("joined.pem");
        std::fs::write(&joined, read("door.pem") + &read("door-key.pem")).unwrap();
        let text = format!(
            "global\n maxconn 8000\n no strict-limits\n\
             defaults\n mode http\n timeout connect 3s\n timeout client 2m\n timeout server 15m\n\
             \x20timeout http-request 30s\n\
             frontend door\n bind {address} ssl crt {pem} alpn h2,http/1.1\n default_backend harbor\n\
             backend harbor\n server node {node}\n",
            pem = joined.display(),
            node = origin.address,
        );
        let config = folder.join("haproxy.cfg");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("haproxy");
        Self::other(
            "HAProxy",
            door,
            command.arg("-db").arg("-f").arg(config),
            address,
        )
    }

    fn nginx(door: &Door, origin: &Origin, folder: &Path) -> Self {
        let address = ports::free();
        let text = format!(
            "daemon off; worker_processes 2; worker_rlimit_nofile 20000; pid nginx.pid;\n\
             error_log errors.log; events {{ worker_connections 8000; }}\n\
             http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy;\n\
             fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n\
             upstream harbor {{ server {node}; keepalive 64; }}\n\
             server {{ listen {address} ssl http2; ssl_certificate {at}/door.pem;\n\
             ssl_certificate_key {at}/door-key.pem; keepalive_requests 10000000;\n\
             location / {{ proxy_pass http://harbor; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_set_header Host $http_host; proxy_buffering off; }} }} }}\n",
            node = origin.address,
            at = door.directory().display(),
        );
        let config = folder.join("nginx.conf");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("nginx");
        let command = command.arg("-p").arg(folder).arg("-c").arg(config);
        Self::other("nginx", door, command, address)
    }

    /// Bytes that it and its children hold for themselves.
    fn memory(&self) -> u64 {
        let value = |pid: &str, name: &str| -> Option<u64> {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let ours = all.filter_map(|entry| {
            let pid = entry.file_name().into_string().ok()?;
            let is_ours =
                pid == self.pid.to_string() || value(&pid, "PPid:") == Some(u64::from(self.pid));
            is_ours.then(|| value(&pid, "RssAnon:"))?
        });
        ours.sum::<u64>() * 1024
    }

    /// Requests per second that honest clients get answered.
    async fn serves(&self) -> f64 {
        let answered = Arc::new(AtomicU32::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (knock, answered) = (self.knock.clone(), answered.clone());
            clients.spawn(async move {
                let request = format!("GET /v2/ HTTP/1.1\r\nHost: {}\r\n\r\n", knock.address);
                loop {
                    let Ok(mut raw) = knock.raw().await else {
                        continue;
                    };
                    while raw.ask(&request).await.status != 0 {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        tokio::time::sleep(MEASURED).await;
        clients.shutdown().await;
        f64::from(answered.load(Ordering::Relaxed)) / MEASURED.as_secs_f64()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Attack {
    HalfOpen,
    SlowHeads,
    RapidReset,
    Continuations,
    Pings,
    Bomb,
    ShutWindows,
}

impl Attack {
    /// How many connections attack at once.
    fn connections(self) -> usize {
        match self {
            Attack::HalfOpen => 5000,
            Attack::SlowHeads => 1000,
            Attack::Bomb | Attack::ShutWindows => 20,
            _ => 2,
        }
    }

    /// Attacks once and returns what has to be kept, or nothing where the attack is to be repeated.
    async fn strike(self, knock: &Knock, pause: Duration) {
        let say = async |frames: &mut Frames, bytes: &[u8]| {
            tokio::time::sleep(pause).await;
            frames.say(bytes).await
        };
        match self {
            Attack::HalfOpen => {
                let stream = TcpStream::connect(knock.address).await;
                tokio::time::sleep(MEASURED * 2).await;
                drop(stream);
            }
            Attack::SlowHeads => {
                if let Ok(mut raw) = knock.raw().await {
                    raw.say("GET /v2/ HTTP/1.1\r\nHost: a").await;
                    tokio::time::sleep(MEASURED * 2).await;
                }
            }
            Attack::RapidReset => {
                let mut frames = Frames::with(knock, 65_535).await;
                loop {
                    let (stream, mut bytes) = frames.get("/v2/");
                    bytes.extend(reset(stream));
                    if !say(&mut frames, &bytes).await {
                        return;
                    }
                }
            }
            Attack::Continuations => {
                let mut frames = Frames::with(knock, 65_535).await;
                let head = frames.head("GET", "/v2/");
                frames.say(&frame(HEADERS, END_STREAM, 1, &head)).await;
                let more = frame(CONTINUATION, 0, 1, &field("x-more", &"x".repeat(1000)));
                while say(&mut frames, &more).await {}
            }
            Attack::Pings => {
                let mut frames = Frames::with(knock, 65_535).await;
                while say(&mut frames, &frame(PING, 0, 0, b"flooding").repeat(20)).await {}
            }
            Attack::Bomb | Attack::ShutWindows => {
                let mut frames = Frames::with(knock, 0).await;
                let crumbs = if self == Attack::Bomb { 400 } else { 0 };
                for _ in 0..100 {
                    let stream = frames.open();
                    let mut head = frames.head("GET", BLOB);
                    head.extend(vec![0x80 | 32; crumbs]);
                    let flags = END_HEADERS | END_STREAM;
                    frames.say(&frame(HEADERS, flags, stream, &head)).await;
                }
                tokio::time::sleep(MEASURED * 2).await;
            }
        }
    }
}

/// The rate of honest clients beside an attack, as a part of what it was before, and bytes that the attack cost.
async fn suffers(peer: &Peer, attack: Attack) -> (f64, u64) {
    let (alone, before) = (peer.serves().await, peer.memory());
    let done = Arc::new(AtomicBool::new(false));
    let mut attackers = JoinSet::new();
    for _ in 0..attack.connections() {
        let (knock, done) = (peer.knock.clone(), done.clone());
        attackers.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                attack.strike(&knock, Duration::from_millis(1)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let beside = peer.serves().await;
    let grown = peer.memory().saturating_sub(before);
    done.store(true, Ordering::Relaxed);
    attackers.shutdown().await;
    (beside / alone, grown)
}

/// Half-open handshakes cost some KiB each; everything else stays within what connections may hold.
const MOST: u64 = 96 * MIB;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lasts minutes and wants an idle machine; run with --release -- --ignored"]
async fn honest_clients_beside_every_attack() {
    let origin = node(MIB as usize);
    let door = before(&origin);
    let folder = tempfile::tempdir().unwrap();
    let peers = [
        Peer::seawall(&door),
        Peer::haproxy(&door, &origin, folder.path()),
        Peer::nginx(&door, &origin, folder.path()),
    ];
    let mut failed = Vec::new();
    for attack in [
        Attack::HalfOpen,
        Attack::SlowHeads,
        Attack::RapidReset,
        Attack::Continuations,
        Attack::Pings,
        Attack::Bomb,
        Attack::ShutWindows,
    ] {
        for peer in &peers {
            let (left, grown) = suffers(peer, attack).await;
            let (left, name) = (left * 100.0, peer.name);
            println!("{attack:?}: {name}: {left:.0} % left, {} MiB", grown / MIB);
            if name == "Seawall" && (left < 80.0 || grown > MOST) {
                failed.push(attack);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
