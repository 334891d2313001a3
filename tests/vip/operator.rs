//! What operators see of the address, and how they give it away.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{door, fast, old, pair, vip};
use crate::support::door::eventually;
use crate::support::netns::{Host, Lab};
use crate::support::vip::{Door, LIMIT, Plan, get};

fn plain(priority: u8) -> Plan {
    Plan::new(&fast(priority))
}

fn out(door: &Door<'_>, arguments: &[&str]) -> String {
    let told = door.tell(arguments);
    assert!(told.status.success(), "{told:?}");
    String::from_utf8(told.stdout).unwrap()
}

#[test]
fn status_shows_every_router_as_a_table_and_as_json() {
    let Some(lab) = Lab::new(2) else { return };
    let mut six = old(100);
    six.router_id = 61;
    six.addresses = vec!["10.77.0.161/24".to_owned(), "10.77.0.162/32".to_owned()];
    let plan = Plan::new(&fast(200)).with("six", &six, "");
    let first = Door::start(lab.host(1), &plan);
    first.becomes("master");
    let second = Door::start(lab.host(2), &Plan::new(&fast(100)));
    eventually("the other one knows the master", LIMIT, || {
        second.standing("door")["master"] == "10.77.0.1"
    });

    let table = out(&first, &["vip", "status"]);
    let words: Vec<Vec<&str>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[0][..4],
        ["INSTANCE", "ID", "VERSION", "STATE"],
        "{table}"
    );
    assert_eq!(words[1][..4], ["door", "51", "3", "master"], "{table}");
    assert_eq!(
        words[1][5..8],
        ["200", "10.77.0.100/32", "10.77.0.1"],
        "{table}"
    );
    assert_eq!(words[2][..3], ["six", "61", "2"], "{table}");
    assert!(
        words[2].contains(&"10.77.0.161/24,10.77.0.162/32"),
        "{table}"
    );

    let answer: Value = serde_json::from_str(&out(&second, &["vip", "status", "--json"])).unwrap();
    let one = answer["instances"][0].as_object().unwrap();
    let keys = [
        "name",
        "router_id",
        "version",
        "state",
        "priority",
        "addresses",
        "master",
        "since",
    ];
    for key in keys {
        assert!(one.contains_key(key), "{key}: {answer}");
    }
    assert_eq!(one["router_id"], 51);
    assert_eq!(one["version"], 3);
    assert_eq!(one["state"], "backup");
    assert_eq!(one["priority"], 100);
    assert_eq!(one["addresses"], serde_json::json!(["10.77.0.100/32"]));
    assert_eq!(one["master"], "10.77.0.1");
    assert_eq!(
        first.metric("seawall_vip_master", &["instance=\"door\""]),
        Some(1.0)
    );
    assert_eq!(
        second.metric("seawall_vip_master", &["instance=\"door\""]),
        Some(0.0)
    );
}

#[test]
fn an_idle_door_releases_at_once_and_takes_the_address_back_when_it_is_told_to() {
    let Some(lab) = Lab::new(3) else { return };
    let [first, second] = pair(&lab, plain);
    let began = Instant::now();
    let table = out(&first, &["vip", "release"]);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert!(table.contains("released"), "{table}");
    eventually("the other one has it", LIMIT, || lab.holders(vip()) == [2]);
    // It stays away although it is the better one.
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        assert_eq!(lab.holders(vip()), [2]);
    }
    assert_eq!(first.state(), "released");
    let (status, answer) = first.ask("POST", "/api/v1/vip/claim");
    assert_eq!(status, 200, "{answer}");
    eventually("it has it again", LIMIT, || lab.holders(vip()) == [1]);
    second.becomes("backup");
}

#[test]
fn a_backup_that_was_released_does_not_take_over_when_the_master_dies() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut first, second] = pair(&lab, plain);
    out(&second, &["vip", "release"]);
    first.crash();
    eventually("nobody has it", LIMIT, || lab.holders(vip()).is_empty());
    out(&second, &["vip", "claim"]);
    eventually("it has it", LIMIT, || lab.holders(vip()) == [2]);
}

/// A download through the address of which the first half has come.
fn halfway(client: &Host) -> std::net::TcpStream {
    use std::io::{Read, Write};
    let connect = async || std::net::TcpStream::connect(door()).unwrap();
    let mut stream = client.inside(connect);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let ask = "GET /v2/library/slow/blobs/sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef HTTP/1.1\r\nhost: registry.test\r\n\r\n";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"first") {
        let mut some = [0; 1024];
        let count = stream.read(&mut some).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&some[..count]);
    }
    stream
}

fn rest(mut stream: std::net::TcpStream) -> std::io::Result<String> {
    use std::io::Read;
    let mut rest = [0; 5];
    stream.read_exact(&mut rest)?;
    Ok(String::from_utf8_lossy(&rest).into_owned())
}

#[test]
fn a_door_with_a_transfer_keeps_the_address_until_it_has_ended() {
    let Some(lab) = Lab::new(3) else { return };
    let [first, _second] = pair(&lab, plain);
    let transfer = halfway(lab.host(3));
    std::thread::scope(|scope| {
        let releasing = scope.spawn(|| first.ask("POST", "/api/v1/vip/release"));
        first.says("the addresses go when this has ended");
        assert_eq!(get(lab.host(3), door(), "/v2/"), Some(200));
        assert_eq!(lab.holders(vip()), [1]);
        assert!(!releasing.is_finished());
        first.node.go_on.store(true, Ordering::SeqCst);
        assert_eq!(rest(transfer).unwrap(), "-last");
        assert_eq!(releasing.join().unwrap().0, 200);
    });
    eventually("the other one has it", LIMIT, || lab.holders(vip()) == [2]);
}

#[test]
fn a_transfer_that_takes_too_long_does_not_hold_the_address_up() {
    let Some(lab) = Lab::new(3) else { return };
    let [first, _second] = pair(&lab, |priority| Plan {
        vip: "release_within = \"1s\"".to_owned(),
        ..plain(priority)
    });
    let _transfer = halfway(lab.host(3));
    let began = Instant::now();
    assert_eq!(first.ask("POST", "/api/v1/vip/release").0, 200);
    let took = began.elapsed();
    let second = Duration::from_secs(1);
    assert!(took >= second && took < 2 * second, "{took:?}");
    eventually("the other one has it", LIMIT, || lab.holders(vip()) == [2]);
    first.node.go_on.store(true, Ordering::SeqCst);
}

#[test]
fn a_door_that_is_stopped_lets_a_transfer_end_before_it_gives_the_address_away() {
    let Some(lab) = Lab::new(3) else { return };
    let [mut first, _second] = pair(&lab, plain);
    let transfer = halfway(lab.host(3));
    first.signal(Signal::SIGTERM);
    first.says("the addresses go when this has ended");
    assert_eq!(lab.holders(vip()), [1]);
    first.node.go_on.store(true, Ordering::SeqCst);
    assert_eq!(rest(transfer).unwrap(), "-last");
    eventually("the other one has it", LIMIT, || lab.holders(vip()) == [2]);
    first.ends();
}

#[test]
fn a_door_without_a_virtual_address_has_none_to_give_away() {
    let Some(lab) = Lab::new(1) else { return };
    let door = Door::start(lab.host(1), &Plan::default());
    assert_eq!(door.ask("POST", "/api/v1/vip/release").0, 409);
    assert_eq!(
        door.ask("GET", "/api/v1/vip").1.replace(' ', ""),
        "{\"instances\":[]}"
    );
    let told = door.tell(&["vip", "release"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&told.stderr).contains("no [vip]"),
        "{told:?}"
    );
}

#[test]
#[ignore = "takes more than half a minute; run with --ignored"]
fn the_command_waits_for_a_transfer_as_long_as_the_door_does() {
    let Some(lab) = Lab::new(3) else { return };
    let [first, _second] = pair(&lab, |priority| Plan {
        vip: "release_within = \"32s\"".to_owned(),
        ..plain(priority)
    });
    let _transfer = halfway(lab.host(3));
    out(&first, &["vip", "release"]);
    eventually("the other one has it", LIMIT, || lab.holders(vip()) == [2]);
}
