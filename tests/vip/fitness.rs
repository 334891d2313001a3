//! The address follows what a door can do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::unistd::Pid;

use super::outage::alone;
use super::{door, fast, pair, vip};
use crate::support::door::eventually;
use crate::support::keepalived::Keepalived;
use crate::support::netns::Lab;
use crate::support::vip::{Door, LIMIT, Plan, get};

#[test]
fn without_nodes_the_address_goes_to_a_door_that_has_some_and_without_any_somebody_says_so() {
    let Some(lab) = Lab::new(3) else { return };
    let client = lab.host(3);
    let [first, second] = pair(&lab, |priority| Plan::new(&fast(priority)));
    eventually("the cluster serves", LIMIT, || {
        get(client, door(), "/v2/") == Some(200)
    });

    first.node.sick.store(true, Ordering::SeqCst);
    eventually("the other door has it", LIMIT, || lab.holders(vip()) == [2]);
    assert_eq!(first.standing("door")["priority"], 25);
    eventually("it serves", LIMIT, || {
        get(client, door(), "/v2/") == Some(200)
    });

    second.node.sick.store(true, Ordering::SeqCst);
    eventually("the better one has it again", LIMIT, || {
        lab.holders(vip()) == [1]
    });
    eventually("it says that there is nobody", LIMIT, || {
        get(client, door(), "/v2/").is_some_and(|status| status >= 500)
    });

    second.node.sick.store(false, Ordering::SeqCst);
    eventually("the one with nodes has it", LIMIT, || {
        lab.holders(vip()) == [2]
    });
    first.node.sick.store(false, Ordering::SeqCst);
    eventually("all is as before", LIMIT, || lab.holders(vip()) == [1]);
    assert_eq!(first.standing("door")["priority"], 200);
    assert!(get(client, door(), "/v2/") == Some(200));
}

/// The threads of a door that serve clients.
fn workers(door: &Door<'_>) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", door.id())).unwrap();
    let serves = |task: &std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.starts_with("seawall-data")
    };
    let of = |task: std::fs::DirEntry| task.file_name().to_string_lossy().parse().unwrap();
    let tasks = tasks.map(Result::unwrap).filter(serves);
    tasks.map(|task| Pid::from_raw(of(task))).collect()
}

#[test]
fn a_door_whose_data_plane_stands_still_gives_the_address_away() {
    let Some(lab) = Lab::new(3) else { return };
    let [first, second] = pair(&lab, |priority| Plan::new(&fast(priority)));
    let stalled = *workers(&first).first().expect("it has workers");
    ptrace::attach(stalled).unwrap();
    let began = Instant::now();
    eventually("the other door has it", LIMIT, || lab.holders(vip()) == [2]);
    eprintln!(
        "a stalled data plane was noticed after {:?}",
        began.elapsed()
    );
    second.becomes("master");
    first.becomes("fault");
    let reason = first.standing("door")["reason"].to_string();
    assert!(reason.contains("data plane"), "{reason}");
    ptrace::detach(stalled, None).unwrap();
    eventually("it is fit again, and has it", LIMIT, || {
        lab.holders(vip()) == [1]
    });
}

#[test]
fn a_door_on_a_machine_with_too_much_work_keeps_the_address() {
    let _alone = alone();
    let Some(lab) = Lab::new(3) else { return };
    let [first, second] = pair(&lab, |priority| Plan::new(&fast(priority)));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().unwrap().get();
        for _ in 0..2 * cores {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
            });
        }
        std::thread::sleep(Duration::from_secs(3));
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(lab.holders(vip()), [1]);
    assert_eq!(first.transitions("master"), 1.0);
    assert_eq!(second.transitions("master"), 0.0);
}

#[test]
fn a_door_whose_cable_is_pulled_gives_the_address_away_and_takes_it_when_the_cable_is_back() {
    let Some(lab) = Lab::new(3) else { return };
    let [first, _second] = pair(&lab, |priority| Plan::new(&fast(priority)));
    lab.host(1).cut();
    eventually("the other door alone has it", LIMIT, || {
        lab.holders(vip()) == [2]
    });
    first.becomes("fault");
    let reason = first.standing("door")["reason"].to_string();
    assert!(reason.contains("eth0 is down"), "{reason}");
    lab.host(1).heal();
    eventually("it is back", LIMIT, || lab.holders(vip()) == [1]);
    eventually("clients reach it", LIMIT, || {
        get(lab.host(3), door(), "/v2/") == Some(200)
    });
}

#[test]
fn a_door_that_needs_another_interface_gives_the_address_away_without_it() {
    let Some(lab) = Lab::new(2) else { return };
    lab.host(1).ip("link add nodes0 type bridge");
    lab.host(1).ip("link add port0 type veth peer name port1");
    lab.host(1).ip("link set port0 master nodes0 up");
    lab.host(1).ip("link set port1 up");
    lab.host(1).ip("link set nodes0 up");
    let plan = Plan::default().with("door", &fast(200), "track_interfaces = [\"nodes0\"]");
    let _first = Door::start(lab.host(1), &plan);
    let _second = Keepalived::start(lab.host(2), &fast(100));
    eventually("host 1 has it", LIMIT, || lab.holders(vip()) == [1]);
    lab.host(1).ip("link set nodes0 down");
    eventually("host 2 has it", LIMIT, || lab.holders(vip()) == [2]);
    lab.host(1).ip("link set nodes0 up");
    eventually("host 1 has it again", LIMIT, || lab.holders(vip()) == [1]);
}

#[test]
fn two_masters_that_meet_again_are_one_at_once_and_say_so() {
    let Some(lab) = Lab::new(3) else { return };
    let [first, second] = pair(&lab, |priority| Plan::new(&fast(priority)));
    lab.host(1).isolate();
    eventually("both have it", LIMIT, || lab.holders(vip()) == [1, 2]);
    lab.host(1).rejoin();
    let healed = Instant::now();
    eventually("one has it", LIMIT, || lab.holders(vip()) == [1]);
    let took = healed.elapsed();
    eprintln!("two masters were one after {took:?}");
    assert!(took <= Duration::from_millis(500), "{took:?}");
    let said = "another master is there";
    eventually("one of them says so", LIMIT, || {
        first.log().contains(said) || second.log().contains(said)
    });
    eventually("clients reach it", LIMIT, || {
        get(lab.host(3), door(), "/v2/") == Some(200)
    });
}
