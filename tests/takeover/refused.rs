//! A take-over that comes to nothing: the old process serves on as if nothing had been.

use nix::sys::signal::Signal;
use seawall::net::handover::Place;
use serde_json::Value;

use super::END;
use crate::support::clients::raw::{self, Protocol, Raw};
use crate::support::cluster::Cluster;
use crate::support::door::{Door, Plan, eventually};
use crate::support::harbor::{Component, Dialect, HarborNode, Mode};

/// Runs a process that should take over and does not; what it said, and its exit code.
fn fails(door: &Door) -> (String, Option<i32>) {
    let mut heir = door.heir();
    let code = heir.wait(END).code();
    let mut said = String::new();
    eventually("it says why", raw::PATIENCE, || {
        said = heir.log().join("\n");
        !said.is_empty()
    });
    (said, code)
}

async fn serves(cluster: &Cluster) {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut client = Raw::connect(&cluster.door, protocol).await;
        client.push("library/app", vec![7; 1000].into()).await;
    }
    assert_eq!(cluster.door.ask("GET", "/readyz").0, 200);
}

async fn serves_on(cluster: &Cluster) {
    serves(cluster).await;
    assert!(!cluster.door.said("draining"));
}

fn plan(cluster: &Cluster) -> Plan {
    Plan::fronting(cluster.nodes.iter().map(HarborNode::url))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_lets_the_old_process_serve_on() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let mut bad = plan(&cluster);
    bad.more = "[health]\nintervall = \"200ms\"\n".to_owned();
    cluster.door.rewrite(&bad);
    let (said, code) = fails(&cluster.door);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("intervall"), "{said}");
    serves_on(&cluster).await;
    // And the next one succeeds.
    cluster.door.rewrite(&plan(&cluster));
    cluster.door.take_over();
    serves_on(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_lets_the_old_process_serve_on() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = std::fs::read_to_string(cluster.door.file()).unwrap();
    let admin = format!("[admin]\naddress = \"{}\"", cluster.door.admin);
    let other = text.replace(&admin, &format!("[admin]\naddress = \"{address}\""));
    assert_ne!(text, other);
    std::fs::write(cluster.door.file(), other).unwrap();
    let (said, code) = fails(&cluster.door);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("admin.address"), "{said}");
    serves_on(&cluster).await;
    std::fs::write(cluster.door.file(), text).unwrap();
    cluster.door.take_over();
    serves_on(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_that_is_killed_before_its_turn_leaves_the_old_one_serving() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    // It waits for the first word about its nodes, and that does not come.
    for node in &cluster.nodes {
        node.set(Component::Core, Mode::Hung).await;
    }
    let mut heir = cluster.door.heir();
    eventually("it has begun", raw::PATIENCE, || {
        cluster.door.said("another process is about to take over")
    });
    heir.signal(Signal::SIGKILL);
    heir.wait(END);
    eventually("the old one hears of it", raw::PATIENCE, || {
        cluster.door.said("the take-over failed")
    });
    for node in &cluster.nodes {
        node.set(Component::Core, Mode::Ok).await;
    }
    cluster.door.settled();
    serves_on(&cluster).await;
    cluster.door.take_over();
    serves_on(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_runs_there_is_nothing_to_take_over() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    cluster.door.signal(Signal::SIGTERM);
    assert_eq!(cluster.door.wait(END).code(), Some(0));
    let (said, code) = fails(&cluster.door);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nothing to take over"), "{said}");
    assert!(said.contains("start without --take-over"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_language_is_refused_by_both_with_what_to_do() {
    use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};
    use std::os::fd::AsRawFd;
    let cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let path = cluster.door.directory().join("state/take-over");
    let kind = SockType::SeqPacket;
    let stranger = socket::socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
    socket::connect(stranger.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    nix::unistd::write(&stranger, br#"{"take_over": 99, "version": "9.0.0"}"#).unwrap();
    let mut told = String::new();
    for _ in 0..2 {
        let mut bytes = [0; 4096];
        let count = nix::unistd::read(&stranger, &mut bytes).unwrap();
        told.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    assert!(told.contains("9.0.0") && told.contains("restart"), "{told}");
    eventually("it is in the log", raw::PATIENCE, || {
        cluster.door.said("the take-over failed")
    });
    serves_on(&cluster).await;
}

/// The first words of an elder.
#[derive(serde::Serialize)]
struct Hello {
    take_over: u32,
    version: &'static str,
}

/// An elder that gives nothing and whose last word, once the heir is ready, is `last`, or that dies instead.
fn poor_elder(cluster: &Cluster, last: Option<Value>) -> std::thread::JoinHandle<()> {
    let place = Place::open(&cluster.door.directory().join("state/take-over")).unwrap();
    std::thread::spawn(move || {
        let heir = place.accept().unwrap();
        heir.receive::<Value>().unwrap();
        let hello = Hello {
            take_over: 1,
            version: "0",
        };
        heir.send(&hello, None).unwrap();
        heir.send(&"All", None).unwrap();
        heir.receive::<Value>().unwrap();
        if let Some(last) = last {
            heir.send(&last, None).unwrap();
        }
    })
}

async fn ended() -> Cluster {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    cluster.door.signal(Signal::SIGTERM);
    assert_eq!(cluster.door.wait(END).code(), Some(0));
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_goes_on_when_the_old_one_dies_at_its_turn() {
    let cluster = ended().await;
    let elder = poor_elder(&cluster, None);
    let mut heir = cluster.door.heir();
    heir.says("going on without it");
    elder.join().unwrap();
    heir.says("took over");
    serves(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_that_is_refused_at_its_turn_ends_and_says_why() {
    let cluster = ended().await;
    let why = serde_json::json!({"Refused": "the disk is full"});
    let elder = poor_elder(&cluster, Some(why));
    let (said, code) = fails(&cluster.door);
    elder.join().unwrap();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the disk is full"), "{said}");
}
