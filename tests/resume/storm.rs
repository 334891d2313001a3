//! Many pulls at once through two nodes, one of which is killed, frozen or cut off in the middle of all of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use bytes::Bytes;
use nix::sys::signal::Signal;
use ring::digest::{Context, SHA256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::*;
use crate::support::client::{Knock, find};
use crate::support::clients::image::hex;
use crate::support::clients::raw::{self, Protocol};
use crate::support::cluster::Cluster;
use crate::support::harbor::{Dialect, Options};
use crate::support::harbor_process::HarborProcess;
use crate::support::netns::Lab;

const MIB: usize = 1 << 20;
/// A client that waits longer is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// `kill -9` of all of its processes.
    Killed,
    /// `kill -STOP` of them: nothing comes, nothing ends.
    Frozen,
    /// Its packets are dropped.
    CutOff,
}

impl Fate {
    fn befall(self, node: &HarborProcess) {
        match self {
            Fate::Killed => node.signal(Signal::SIGKILL),
            Fate::Frozen => node.signal(Signal::SIGSTOP),
            // In this network, which is the test's own.
            Fate::CutOff => {
                for end in ["--sport", "--dport"] {
                    let port = node.address.port().to_string();
                    let rule = ["-w", "-A", "INPUT", "-p", "tcp", end, &port, "-j", "DROP"];
                    let added = Command::new("iptables").args(rule).status();
                    assert!(added.unwrap().success());
                }
            }
        }
    }
}

/// One who pulls, and how it went.
struct Puller {
    address: SocketAddr,
    ca: PathBuf,
    blob: Arc<Blob>,
    /// Counts those who are in the middle.
    begun: Arc<AtomicUsize>,
    /// Says when to read on.
    go: watch::Receiver<bool>,
}

impl Puller {
    /// Pulls; the longest pause, or the byte at which it broke off.
    async fn pull(mut self) -> Result<Duration, usize> {
        let knock = Knock::with(self.address, &self.ca);
        let mut stream = knock.tls().await.unwrap();
        // So that little of it is on the way.
        let socket = socket2::SockRef::from(stream.get_ref().0);
        socket.set_recv_buffer_size(128 << 10).unwrap();
        let (path, admin) = (self.blob.path(), basic("admin", "Harbor12345"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{admin}Connection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 64 << 10];
        let mut head = Vec::new();
        let body = loop {
            let count = stream.read(&mut buffer).await.map_err(|_| 0_usize)?;
            assert!(count > 0, "no answer");
            head.extend_from_slice(&buffer[..count]);
            if let Some(end) = find(&head, b"\r\n\r\n") {
                break head.split_off(end + 4);
            }
        };
        assert!(head.starts_with(b"HTTP/1.1 200 "));
        let bytes = &self.blob.bytes;
        assert!(bytes.starts_with(&body));
        let mut digest = Context::new(&SHA256);
        digest.update(&body);
        let mut got = body.len();
        let mut longest = Duration::ZERO;
        let mut last = Instant::now();
        let mut waits = true;
        while got < bytes.len() {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer));
            let count = read.await.map_err(|_| got)?.map_err(|_| got)?;
            if count == 0 {
                return Err(got);
            }
            assert!(bytes[got..].starts_with(&buffer[..count]), "wrong at {got}");
            digest.update(&buffer[..count]);
            got += count;
            if waits && got > MIB {
                waits = false;
                self.begun.fetch_add(1, Ordering::SeqCst);
                self.go.wait_for(|go| *go).await.unwrap();
                last = Instant::now();
            }
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        let digest = format!("sha256:{}", hex(digest.finish().as_ref()));
        assert_eq!(digest, self.blob.digest);
        Ok(longest)
    }
}

/// How a storm went.
struct Outcome {
    failed: usize,
    pauses: Vec<Duration>,
    took: Duration,
}

/// So many pulls of a blob of this size; in the middle of all of them `fate` befalls a node. Clients come to `address`.
async fn storm(
    Scene { cluster, process }: &Scene,
    (address, ca): (SocketAddr, PathBuf),
    pulls: usize,
    size: usize,
    fate: Fate,
) -> Outcome {
    let blob = Blob::new(size);
    let mut client = raw::Raw::connect(&cluster.door, Protocol::Http1).await;
    client
        .push("library/app", Bytes::from(blob.bytes.clone()))
        .await;
    let begun = Arc::new(AtomicUsize::new(0));
    let (go, told) = watch::channel(false);
    let began = Instant::now();
    let pullers: Vec<_> = (0..pulls)
        .map(|_| {
            let puller = Puller {
                address,
                ca: ca.clone(),
                blob: blob.clone(),
                begun: begun.clone(),
                go: told.clone(),
            };
            tokio::spawn(puller.pull())
        })
        .collect();
    let limit = Duration::from_secs(120);
    crate::support::client::until("all are in the middle", limit, async || {
        begun.load(Ordering::SeqCst) == pulls
    })
    .await;
    fate.befall(process);
    go.send(true).unwrap();
    let (mut failed, mut pauses) = (0, Vec::new());
    for puller in pullers {
        match puller.await.unwrap() {
            Ok(pause) => pauses.push(pause),
            Err(_) => failed += 1,
        }
    }
    pauses.sort_unstable();
    let took = began.elapsed();
    let (median, longest) = (pauses.get(pauses.len() / 2), pauses.last());
    println!(
        "{fate:?}: {failed} of {pulls} pulls of {} MiB failed; longest pause of a pull: {median:?} in the median, {longest:?} at most; {took:?} in all",
        size / MIB
    );
    Outcome {
        failed,
        pauses,
        took,
    }
}

/// A door before two nodes, one of which is a process of its own.
struct Scene {
    cluster: Cluster,
    process: HarborProcess,
}

/// Two nodes that are as patient with clients as the real ones.
async fn scene(stall: Duration) -> Scene {
    let shared: Mutex<Option<Options>> = Mutex::default();
    let process = Mutex::default();
    let cluster = Cluster::start_with(
        Dialect::Harbor2,
        1,
        |options| {
            options.timing.proxy_v2 = Duration::from_secs(900);
            options.timing.body_stall = Duration::from_secs(60);
            *shared.lock().unwrap() = Some(options.clone());
        },
        |plan| {
            let mut options = shared.lock().unwrap().take().unwrap();
            options.name = "harbor-2".to_owned();
            options.address = crate::support::ports::free();
            let url = format!("http://{}", options.address);
            plan.nodes.push((options.name.clone(), url));
            *process.lock().unwrap() = Some(HarborProcess::start(&options));
            plan.more += &format!(
                "[timeouts]\nstall = \"{}ms\"\nconnect = \"500ms\"\n",
                stall.as_millis()
            );
        },
    )
    .await;
    let process = process.into_inner().unwrap().unwrap();
    Scene { cluster, process }
}

async fn nobody_notices(pulls: usize, size: usize, fate: Fate, stall: Duration) {
    let scene = scene(stall).await;
    let door = &scene.cluster.door;
    let to = (door.address, door.ca());
    let outcome = storm(&scene, to, pulls, size, fate).await;
    assert_eq!(outcome.failed, 0, "in {:?}", outcome.took);
    assert_eq!(outcome.pauses.len(), pulls);
    let resumed = resumes(door, "resumed");
    println!("{resumed} went on at the other node");
    assert!(resumed > 0);
}

/// Long enough for the node that is left on a machine with much else to do.
const SHORT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn no_pull_fails_when_a_node_is_killed() {
    nobody_notices(20, 32 * MIB, Fate::Killed, DEFAULT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_pull_fails_when_a_node_is_frozen() {
    nobody_notices(20, 32 * MIB, Fate::Frozen, SHORT).await;
}

#[test]
fn no_pull_fails_when_a_node_is_cut_off() {
    let Some(lab) = Lab::new(1) else { return };
    lab.host(1)
        .inside(|| nobody_notices(20, 32 * MIB, Fate::CutOff, SHORT));
}

/// What stands where operators put nothing.
const DEFAULT: Duration = Duration::from_secs(10);

#[test]
#[ignore = "moves 60 gigabytes; run with --ignored"]
fn none_of_a_hundred_large_pulls_fails_whatever_befalls_a_node() {
    for fate in [Fate::Killed, Fate::Frozen, Fate::CutOff] {
        let Some(lab) = Lab::new(1) else { return };
        lab.host(1)
            .inside(|| nobody_notices(100, 200 * MIB, fate, DEFAULT));
    }
}

#[test]
#[ignore = "for the record: the same through HAProxy; run with --ignored"]
fn a_hundred_large_pulls_through_haproxy() {
    for fate in [Fate::Killed, Fate::Frozen, Fate::CutOff] {
        let Some(lab) = Lab::new(1) else { return };
        lab.host(1).inside(|| async move {
            let scene = scene(DEFAULT).await;
            let (_haproxy, address) = haproxy(&scene);
            eventually("HAProxy listens", SOON, || {
                std::net::TcpStream::connect(address).is_ok()
            });
            let to = (address, scene.cluster.door.ca());
            storm(&scene, to, 100, 200 * MIB, fate).await;
        });
    }
}

/// Killed when dropped.
struct Haproxy(std::process::Child);

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// HAProxy before the same nodes, with the door's certificate.
fn haproxy(Scene { cluster, process }: &Scene) -> (Haproxy, SocketAddr) {
    let directory = cluster.door.directory();
    let address = crate::support::ports::free();
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    let both = directory.join("both.pem");
    std::fs::write(&both, read("door.pem") + &read("door-key.pem")).unwrap();
    let servers: String = ([cluster.nodes[0].address, process.address].iter().zip(1..))
        .map(|(address, number)| format!("  server harbor-{number} {address} check inter 2s\n"))
        .collect();
    let config = format!(
        "defaults\n  mode http\n  timeout connect 3s\n  timeout client 900s\n  timeout server 10s\n  retries 3\n  option redispatch\n  retry-on all-retryable-errors\n\
         frontend door\n  bind {address} ssl crt {}\n  http-request set-header X-Forwarded-Proto https\n  default_backend nodes\n\
         backend nodes\n  balance roundrobin\n{servers}",
        both.display()
    );
    let file = directory.join("haproxy.cfg");
    std::fs::write(&file, config).unwrap();
    let child = Command::new("haproxy")
        .arg("-db")
        .arg("-f")
        .arg(&file)
        .spawn();
    (Haproxy(child.unwrap()), address)
}
