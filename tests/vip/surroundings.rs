//! What happens around a door: its interface, its rights, its configuration.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{door, fast, ip, pair, vip};
use crate::support::door::eventually;
use crate::support::keepalived::{Instance, Keepalived};
use crate::support::netns::Lab;
use crate::support::vip::{Door, LIMIT, Plan, get};

#[test]
fn a_door_that_may_not_add_the_address_leaves_it_to_its_peer() {
    let Some(lab) = Lab::new(2) else { return };
    let less = [
        "setpriv",
        "--bounding-set",
        "-net_admin",
        "--inh-caps",
        "-net_admin",
    ];
    let weak = Door::start_as(&less, lab.host(1), &Plan::new(&fast(200)));
    let _second = Door::start(lab.host(2), &Plan::new(&fast(100)));
    eventually("the other one has it", LIMIT, || lab.holders(vip()) == [2]);
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert_eq!(lab.holders(vip()), [2]);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(weak.state(), "fault");
}

#[test]
fn the_owner_of_an_address_takes_it_at_once() {
    let Some(lab) = Lab::new(2) else { return };
    let slow = |priority| Instance {
        advert_interval: "1",
        ..fast(priority)
    };
    let _other = Keepalived::start(lab.host(2), &slow(254));
    eventually("the other one has it", LIMIT, || lab.holders(vip()) == [2]);
    let owner = Door::start(lab.host(1), &Plan::new(&slow(255)));
    let began = Instant::now();
    eventually("the owner has it", LIMIT, || lab.holders(vip()) == [1]);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}: {}",
        began.elapsed(),
        owner.log()
    );
}

#[test]
fn an_interface_that_was_made_anew_is_used_again() {
    let Some(lab) = Lab::new(3) else { return };
    let [first, _second] = pair(&lab, |priority| Plan::new(&fast(priority)));
    lab.host(1).replug();
    eventually("host 1 alone has it again", LIMIT, || {
        lab.holders(vip()) == [1]
    });
    eventually("clients reach it", LIMIT, || {
        get(lab.host(3), door(), "/v2/") == Some(200)
    });
    first.becomes("master");
}

#[test]
fn an_address_that_somebody_removed_comes_back() {
    let Some(lab) = Lab::new(3) else { return };
    let [_first, second] = pair(&lab, |priority| Plan::new(&fast(priority)));
    lab.host(1).ip("address del 10.77.0.100/32 dev eth0");
    eventually("it is back", LIMIT, || lab.holders(vip()) == [1]);
    assert_eq!(second.transitions("master"), 0.0);
}

#[test]
fn a_better_door_waits_for_its_delay() {
    let Some(lab) = Lab::new(2) else { return };
    let _worse = Keepalived::start(lab.host(2), &fast(100));
    eventually("the worse one has it", LIMIT, || lab.holders(vip()) == [2]);
    let plan = Plan::default().with("door", &fast(200), "preempt_delay = \"2s\"");
    let began = Instant::now();
    let _better = Door::start(lab.host(1), &plan);
    eventually("the better one has it", LIMIT, || lab.holders(vip()) == [1]);
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(5),
        "{took:?}"
    );
}

#[test]
fn a_reload_that_changes_priorities_moves_the_address_and_one_that_does_not_leaves_it() {
    let Some(lab) = Lab::new(3) else { return };
    let [first, second] = pair(&lab, |priority| Plan::new(&fast(priority)));
    first.reload(&Plan::new(&fast(200)));
    first.reload(&Plan::new(&fast(50)));
    eventually("the other one is better now", LIMIT, || {
        lab.holders(vip()) == [2]
    });
    eventually("once", LIMIT, || second.transitions("master") == 1.0);
    let more = Instance {
        router_id: 52,
        addresses: vec!["10.77.0.101/32".to_owned()],
        ..fast(100)
    };
    first.reload(&Plan::new(&fast(250)).with("more", &more, ""));
    eventually("it has both", LIMIT, || {
        lab.holders(vip()) == [1] && lab.holders(ip("10.77.0.101")) == [1]
    });
    first.reload(&Plan::default());
    eventually("it has none", LIMIT, || {
        lab.holders(vip()) == [2] && lab.holders(ip("10.77.0.101")).is_empty()
    });
}

#[test]
fn a_door_without_files_for_connections_gives_the_address_away() {
    let Some(lab) = Lab::new(3) else { return };
    let [first, _second] = pair(&lab, |priority| Plan::new(&fast(priority)));
    eventually("clients reach it", LIMIT, || {
        get(lab.host(3), door(), "/v2/") == Some(200)
    });
    let id = first.id().to_string();
    lab.host(1)
        .run(&["prlimit", "--pid", &id, "--nofile=8:4096"]);
    eventually("the other one has it", LIMIT * 2, || {
        get(lab.host(3), door(), "/v2/");
        lab.holders(vip()) == [2]
    });
    lab.host(1)
        .run(&["prlimit", "--pid", &id, "--nofile=4096:4096"]);
    eventually("it has it again", LIMIT, || lab.holders(vip()) == [1]);
}

#[test]
fn a_virtual_hardware_address_moves_with_the_address() {
    let Some(lab) = Lab::new(3) else { return };
    let client = lab.host(3);
    let plan = |priority| {
        let mut plan = Plan::new(&fast(priority));
        plan.vip = "virtual_mac = true".to_owned();
        plan
    };
    let mut first = Door::start(lab.host(1), &plan(200));
    let second = Door::start(lab.host(2), &plan(100));
    eventually("host 1 alone has it", LIMIT, || lab.holders(vip()) == [1]);
    eventually("clients reach it", LIMIT, || {
        get(client, door(), "/v2/") == Some(200)
    });
    assert_eq!(
        client.neighbour(vip()).as_deref(),
        Some("00:00:5e:00:01:33")
    );
    first.crash();
    eventually("host 2 alone has it", LIMIT, || lab.holders(vip()) == [2]);
    eventually("clients reach it there", LIMIT, || {
        get(client, door(), "/v2/") == Some(200)
    });
    assert_eq!(
        client.neighbour(vip()).as_deref(),
        Some("00:00:5e:00:01:33")
    );
    let mut first = Door::start(lab.host(1), &plan(200));
    eventually("host 1 alone has it again", LIMIT, || {
        lab.holders(vip()) == [1]
    });
    eventually("clients reach it again", LIMIT, || {
        get(client, door(), "/v2/") == Some(200)
    });
    first.stop();
    eventually("host 2 has it", LIMIT, || lab.holders(vip()) == [2]);
    second.signal(Signal::SIGTERM);
    eventually("nothing is left", LIMIT, || lab.holders(vip()).is_empty());
    eventually("no interface either", LIMIT, || {
        !lab.host(2).ip("link show").contains("00:00:5e")
    });
}

#[test]
fn doors_that_name_each_other_by_ipv6_need_no_source() {
    let Some(lab) = Lab::new(2) else { return };
    let instance = |number: usize, priority| Instance {
        addresses: vec!["fd77::100/128".to_owned()],
        peers: vec![lab.host(3 - number).ipv6.to_string()],
        ..fast(priority)
    };
    let _first = Door::start(lab.host(1), &Plan::new(&instance(1, 200)));
    let second = Door::start(lab.host(2), &Plan::new(&instance(2, 100)));
    eventually("host 1 alone has it", LIMIT, || {
        lab.holders(ip("fd77::100")) == [1]
    });
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        assert_eq!(lab.holders(ip("fd77::100")), [1]);
    }
    assert_eq!(second.state(), "backup");
}

#[test]
fn a_door_may_listen_on_the_address_alone_before_it_has_it() {
    let Some(lab) = Lab::new(3) else { return };
    let [mut first, _second] = pair(&lab, |priority| Plan {
        only: Some(vip()),
        ..Plan::new(&fast(priority))
    });
    let served = || get(lab.host(3), door(), "/v2/") == Some(200);
    eventually("clients reach it", LIMIT, served);
    first.crash();
    eventually("host 2 has it", LIMIT, || lab.host(2).has(vip()));
    eventually("clients reach it there", LIMIT, served);
}
