//! The virtual address stays where it is while one process takes over from another.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::door::eventually;
use crate::support::keepalived::Instance;
use crate::support::netns::Lab;
use crate::support::vip::{Door, LIMIT, PORT, Plan, get};

fn vip() -> IpAddr {
    "10.77.0.100".parse().unwrap()
}

fn instance(priority: u8) -> Instance {
    Instance {
        priority,
        ..Instance::default()
    }
}

fn plain(priority: u8) -> Plan {
    Plan::new(&instance(priority))
}

fn signed(priority: u8) -> Plan {
    let key = "key = \"0123456789abcdef0123456789abcdef\"\nseawall_peers = true";
    let mut instance = instance(priority);
    let peer = if priority == 200 {
        "10.77.0.2"
    } else {
        "10.77.0.1"
    };
    instance.peers = vec![peer.to_owned()];
    Plan::default().with("door", &instance, key)
}

fn pair(lab: &Lab, plan: impl Fn(u8) -> Plan) -> [Door<'_>; 2] {
    let first = Door::start(lab.host(1), &plan(200));
    let second = Door::start(lab.host(2), &plan(100));
    eventually("host 1 alone has it", LIMIT, || lab.holders(vip()) == [1]);
    first.becomes("master");
    second.becomes("backup");
    [first, second]
}

/// Adverts that the peer refused.
fn refused(door: &Door<'_>) -> f64 {
    door.metric("seawall_vip_adverts_refused_total", &[])
        .unwrap_or_default()
}

/// The master is taken over thrice, while a client asks by the address all the time.
fn the_peer_sees_nothing(plan: impl Fn(u8) -> Plan) {
    let Some(lab) = Lab::new(3) else { return };
    let [mut first, second] = pair(&lab, plan);
    let before = (second.transitions("master"), refused(&second));
    let capture = lab.host(2).capture();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut answers = 0;
            while !over.load(Ordering::SeqCst) {
                assert_eq!(get(lab.host(3), (vip(), PORT).into(), "/v2/"), Some(200));
                answers += 1;
            }
            answers
        });
        for _ in 0..3 {
            let mut elder = first.take_over();
            assert!(elder.wait().success(), "{}", elder.text());
            assert_eq!(lab.holders(vip()), [1]);
            first.becomes("master");
        }
        over.store(true, Ordering::SeqCst);
        assert!(client.join().unwrap() > 0);
    });
    assert_eq!(second.transitions("master"), before.0);
    assert_eq!(refused(&second), before.1);
    assert_eq!(second.standing("door")["master"], "10.77.0.1");
    // Priority 0 would be the word that the master goes.
    assert!(!capture.text().contains("prio 0"), "{}", capture.text());
    // Longer than what the old one left would live.
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert_eq!(lab.holders(vip()), [1]);
    }
}

#[test]
fn the_peer_of_a_master_sees_no_change_and_clients_keep_the_address() {
    the_peer_sees_nothing(plain);
}

#[test]
fn signed_adverts_are_believed_from_one_process_to_the_next() {
    the_peer_sees_nothing(signed);
}

#[test]
fn a_virtual_mac_stays_where_it_is() {
    the_peer_sees_nothing(|priority| Plan {
        vip: "virtual_mac = true".to_owned(),
        ..plain(priority)
    });
}

#[test]
fn a_backup_stays_one_and_takes_the_address_when_its_master_dies() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut first, mut second] = pair(&lab, plain);
    let mut elder = second.take_over();
    assert!(elder.wait().success());
    second.becomes("backup");
    assert_eq!(lab.holders(vip()), [1]);
    first.crash();
    eventually("the backup has it", LIMIT, || lab.holders(vip()) == [2]);
}

#[test]
fn what_an_operator_gave_away_stays_away() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut first, _second] = pair(&lab, plain);
    assert_eq!(first.ask("POST", "/api/v1/vip/release").0, 200);
    eventually("the other one has it", LIMIT, || lab.holders(vip()) == [2]);
    let mut elder = first.take_over();
    assert!(elder.wait().success());
    assert_eq!(first.state(), "released");
    assert_eq!(lab.holders(vip()), [2]);
    assert_eq!(first.ask("POST", "/api/v1/vip/claim").0, 200);
    eventually("it has it again", LIMIT, || lab.holders(vip()) == [1]);
}

#[test]
fn an_address_that_the_new_configuration_has_no_more_is_given_away() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut first, _second] = pair(&lab, plain);
    let mut other = instance(200);
    other.router_id = 52;
    other.addresses = vec!["10.77.0.101/32".to_owned()];
    first.rewrite(&Plan::new(&other));
    let mut elder = first.take_over();
    assert!(elder.wait().success());
    eventually("the other door has the old one", LIMIT, || {
        lab.holders(vip()) == [2]
    });
    let new: IpAddr = "10.77.0.101".parse().unwrap();
    eventually("and this one the new one", LIMIT, || {
        lab.holders(new) == [1]
    });
}

#[test]
fn an_heir_that_dies_leaves_the_address_with_its_elder() {
    let Some(lab) = Lab::new(2) else { return };
    let [first, second] = pair(&lab, plain);
    let before = second.transitions("master");
    // An heir as the elder sees it, up to the moment when it would go on.
    let path = first.directory().join("state/take-over");
    lab.host(1).inside(async || mock::dies_at_its_turn(&path));
    first.says("the take-over failed");
    first.becomes("master");
    assert_eq!(lab.holders(vip()), [1]);
    assert_eq!(second.transitions("master"), before);
}

/// The words of an heir, without an heir.
mod mock {
    use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};
    use std::os::fd::AsRawFd;
    use std::path::Path;

    pub fn dies_at_its_turn(path: &Path) {
        let flags = SockFlag::SOCK_CLOEXEC;
        let heir = socket::socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        socket::connect(heir.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        let say = |word: &str| nix::unistd::write(&heir, word.as_bytes()).unwrap();
        let hear = || {
            let mut bytes = [0; 65536];
            let count = nix::unistd::read(&heir, &mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..count]).into_owned()
        };
        say(r#"{"take_over": 1, "version": "0"}"#);
        while hear() != "\"All\"" {}
        let identity = r#"{"interface": "eth0", "router_id": 51, "version": 3,
            "interval": {"secs": 0, "nanos": 100000000}, "addresses": ["10.77.0.100/32"], "virtual_mac": false}"#;
        say(&format!(r#"{{"Ready": [{identity}]}}"#));
        let left = hear();
        assert!(left.contains("\"Master\""), "{left}");
    }
}
