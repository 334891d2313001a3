//! Several virtual routers of one door.

use std::net::IpAddr;

use super::ip;
use crate::support::door::eventually;
use crate::support::keepalived::{Instance, Keepalived};
use crate::support::netns::Lab;
use crate::support::vip::{Door, LIMIT, Plan};

fn instance(router_id: u8, address: &str, priority: u8) -> Instance {
    Instance {
        router_id,
        priority,
        addresses: vec![address.to_owned()],
        ..Instance::default()
    }
}

fn addresses() -> [IpAddr; 2] {
    [ip("10.77.0.100"), ip("10.77.0.101")]
}

#[test]
fn of_two_addresses_each_door_has_one_and_the_one_that_is_left_has_both() {
    let Some(lab) = Lab::new(2) else { return };
    let plan = |one, other| {
        let plan = Plan::default().with("one", &instance(51, "10.77.0.100/32", one), "");
        plan.with("other", &instance(52, "10.77.0.101/32", other), "")
    };
    let _first = Door::start(lab.host(1), &plan(200, 100));
    let mut second = Door::start(lab.host(2), &plan(100, 200));
    let [one, other] = addresses();
    let each = || lab.holders(one) == [1] && lab.holders(other) == [2];
    eventually("each has its own", LIMIT, each);
    second.crash();
    let both = || lab.holders(one) == [1] && lab.holders(other) == [1];
    eventually("the first has both", LIMIT, both);
    let _second = Door::start(lab.host(2), &plan(100, 200));
    eventually("each has its own again", LIMIT, each);
}

/// The routers `four` and `six` of a group; the first needs the interface `needed`.
fn group(priority: u8, needed: Option<&str>) -> Plan {
    let group = "sync_group = \"registry\"";
    let needs = needed.map_or(String::new(), |name| {
        format!("{group}\ntrack_interfaces = [\"{name}\"]")
    });
    let more = if needs.is_empty() { group } else { &needs };
    let plan = Plan::default().with("four", &instance(51, "10.77.0.100/32", priority), more);
    plan.with("six", &instance(51, "fd77::100/128", priority), group)
}

#[test]
fn a_group_changes_hands_together_when_one_of_it_cannot_go_on() {
    let Some(lab) = Lab::new(2) else { return };
    lab.host(1)
        .ip("link add needed0 type veth peer name needed1");
    lab.host(1).ip("link set needed0 up");
    lab.host(1).ip("link set needed1 up");
    let first = Door::start(lab.host(1), &group(200, Some("needed0")));
    let second = Door::start(lab.host(2), &group(100, None));
    let [four, six] = [ip("10.77.0.100"), ip("fd77::100")];
    let at = |number| lab.holders(four) == [number] && lab.holders(six) == [number];
    eventually("the first has both", LIMIT, || at(1));
    lab.host(1).ip("link set needed1 down");
    eventually("the second has both", LIMIT, || at(2));
    for name in ["four", "six"] {
        assert_eq!(first.standing(name)["state"], "fault", "{name}");
        eventually("it is said", LIMIT, || {
            second.standing(name)["state"] == "master"
        });
    }
    lab.host(1).ip("link set needed1 up");
    eventually("the first has both again", LIMIT, || at(1));
}

#[test]
fn a_group_follows_a_better_keepalived_of_one_of_its_addresses() {
    let Some(lab) = Lab::new(2) else { return };
    let door = Door::start(lab.host(1), &group(100, None));
    let [four, six] = [ip("10.77.0.100"), ip("fd77::100")];
    eventually("it has both", LIMIT, || {
        lab.host(1).has(four) && lab.host(1).has(six)
    });
    let better = |name: &str, address: &str| {
        instance(51, address, 200)
            .text()
            .replace("vrrp_instance door", &format!("vrrp_instance {name}"))
    };
    let text = format!(
        "vrrp_sync_group both {{\n  group {{\n    four\n    six\n  }}\n}}\n{}{}",
        better("four", "10.77.0.100/32"),
        better("six", "fd77::100/128")
    );
    let mut keepalived = Keepalived::with(lab.host(2), &text);
    let at = |number| lab.holders(four) == [number] && lab.holders(six) == [number];
    eventually("keepalived has both", LIMIT, || at(2));
    for name in ["four", "six"] {
        eventually("it is said", LIMIT, || {
            door.standing(name)["state"] == "backup"
        });
    }
    keepalived.stop();
    eventually("the door has both again", LIMIT, || at(1));
}

#[test]
fn a_group_is_released_and_crashes_together() {
    let Some(lab) = Lab::new(2) else { return };
    let first = Door::start(lab.host(1), &group(200, None));
    let mut second = Door::start(lab.host(2), &group(100, None));
    let [four, six] = [ip("10.77.0.100"), ip("fd77::100")];
    let at = |number| lab.holders(four) == [number] && lab.holders(six) == [number];
    eventually("the first has both", LIMIT, || at(1));
    assert_eq!(first.ask("POST", "/api/v1/vip/release").0, 200);
    eventually("the second has both", LIMIT, || at(2));
    assert_eq!(first.ask("POST", "/api/v1/vip/claim").0, 200);
    eventually("the first has both again", LIMIT, || at(1));
    assert_eq!(first.ask("POST", "/api/v1/vip/release").0, 200);
    eventually("the second has both again", LIMIT, || at(2));
    assert_eq!(first.ask("POST", "/api/v1/vip/claim").0, 200);
    eventually("the first has both at last", LIMIT, || at(1));
    second.stop();
    assert!(at(1));
}
