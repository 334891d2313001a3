#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use super::*;
use crate::config::{Config, Problem, parse};

const LEAST: &str = r#"
listen = [{ address = "127.0.0.1:0" }]
cluster.node = [{ name = "a", url = "http://10.0.0.1" }]
[vip]
interface = "eth0"
[[vip.instance]]
router_id = 51
addresses = ["192.168.198.100"]
"#;

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    parse(text, Path::new("seawall.toml"))
}

fn instance(added: &str) -> VipInstance {
    read(&format!("{LEAST}{added}"))
        .unwrap()
        .vip
        .unwrap()
        .instance[0]
        .clone()
}

/// The problems of what is added to the first instance, as line, key and all the rest.
fn problems(added: &str) -> Vec<(usize, String, String)> {
    let problems = read(&format!("{LEAST}{added}")).err().unwrap_or_default();
    let parts = |p: Problem| (p.line, p.key, format!("{}; {}", p.what, p.fix));
    problems.into_iter().map(parts).collect()
}

/// The only problem of what is added, by its key.
fn problem(added: &str, key: &str) -> String {
    let found = problems(added);
    assert_eq!(found.len(), 1, "{added}: {found:?}");
    assert_eq!(found[0].1, format!("vip.instance.{key}"), "{added}");
    found[0].2.clone()
}

#[test]
fn without_the_table_there_is_no_virtual_address() {
    let text = LEAST.split("[vip]").next().unwrap();
    assert_eq!(read(text).unwrap().vip, None);
}

#[test]
fn an_instance_needs_only_its_number_and_addresses() {
    let vip = read(LEAST).unwrap().vip.unwrap();
    assert_eq!(vip.release_within, Duration::from_secs(30));
    assert!(!vip.virtual_mac);
    let one = &vip.instance[0];
    assert_eq!(
        (one.name.as_str(), one.interface.as_str()),
        ("vip-51", "eth0")
    );
    assert_eq!((one.version, one.priority), (VrrpVersion::V3, 100));
    assert_eq!(one.advert_interval, Duration::from_secs(1));
    assert_eq!(one.addresses[0].to_string(), "192.168.198.100/32");
    assert!(one.preempt && one.preempt_delay.is_zero());
}

#[test]
fn an_old_peer_is_spoken_to_as_it_wants() {
    let one = instance(
        "version = 2\npassword = \"d0cker\"\nadvert_interval = \"3s\"\ninterface = \"eth1\"",
    );
    assert_eq!(one.version, VrrpVersion::V2);
    assert_eq!(one.password.unwrap().expose(), "d0cker");
    assert_eq!(one.interface, "eth1");
}

#[test]
fn an_address_keeps_its_prefix_and_its_host_bits() {
    let text = LEAST.replace("198.100\"", "198.100/24\"");
    let vip = read(&text).unwrap().vip.unwrap();
    assert_eq!(
        vip.instance[0].addresses[0].to_string(),
        "192.168.198.100/24"
    );
}

#[test]
fn doors_that_are_all_seawall_may_have_a_key() {
    let one = instance(
        "peers = [\"192.168.198.132\"]\nseawall_peers = true\nkey = \"0123456789abcdef\"\nsource = \"192.168.198.131\"",
    );
    assert!(one.seawall_peers && one.key.is_some());
    assert_eq!(one.peers[0].to_string(), "192.168.198.132");
    assert_eq!(one.source.unwrap().to_string(), "192.168.198.131");
}

#[test]
fn what_is_missing_is_named() {
    let least = LEAST.replace("interface = \"eth0\"\n", "");
    assert_eq!(read(&least).unwrap_err()[0].key, "vip.interface");
    let empty = LEAST.split("[[vip.instance]]").next().unwrap();
    assert_eq!(read(empty).unwrap_err()[0].key, "vip.instance");
    let bare = format!("{empty}[[vip.instance]]\n");
    let found: Vec<_> = read(&bare)
        .unwrap_err()
        .into_iter()
        .map(|p| p.key)
        .collect();
    assert_eq!(found, ["vip.instance.router_id", "vip.instance.addresses"]);
}

#[test]
fn an_interval_that_adverts_cannot_say_is_refused() {
    let found = problem(
        "version = 2\nadvert_interval = \"1s500ms\"",
        "advert_interval",
    );
    assert!(found.contains("a multiple of 1s"), "{found}");
    let found = problem("advert_interval = \"15ms\"", "advert_interval");
    assert!(found.contains("a multiple of 10ms"), "{found}");
    let found = problem("advert_interval = \"41s\"", "advert_interval");
    assert!(found.contains("from 10ms to 40s"), "{found}");
    let found = problem(
        "version = 2\nadvert_interval = \"100ms\"",
        "advert_interval",
    );
    assert!(found.contains("from 1s to 4m15s"), "{found}");
}

#[test]
fn passwords_are_short_and_old() {
    let found = problem("version = 2\npassword = \"123456789\"", "password");
    assert!(found.contains("has 9 bytes; write its first 8"), "{found}");
    let found = problem("password = \"d0cker\"", "password");
    assert!(found.contains("version 3"), "{found}");
}

#[test]
fn a_key_is_for_seawalls_alone_and_long_enough() {
    let long = "key = \"0123456789abcdef\"";
    let found = problem(long, "key");
    assert!(found.contains("seawall_peers = true"), "{found}");
    problem(&format!("{long}\npeers = [\"10.0.0.2\"]"), "key");
    let peers = "peers = [\"10.0.0.2\"]\nseawall_peers = true";
    let found = problem(&format!("{peers}\nkey = \"short\""), "key");
    assert!(found.contains("5 bytes"), "{found}");
    problem("seawall_peers = true", "seawall_peers");
}

#[test]
fn peers_are_hosts_of_the_same_family_and_named_once() {
    for (peers, says) in [
        ("\"10.0.0.0/8\"", "without a prefix"),
        ("\"harbor-2\"", "not an address"),
        ("\"224.0.0.18\"", "not an address"),
        ("\"fd00::1\"", "another family"),
        ("\"192.168.198.100\"", "one of the virtual addresses"),
        ("\"10.0.0.1\", \"10.0.0.1\"", "twice"),
    ] {
        let found = problem(&format!("peers = [{peers}]"), "peers");
        assert!(found.contains(says), "{found}");
    }
    problem("source = \"fd00::1\"", "source");
}

#[test]
fn addresses_are_of_one_family_that_the_version_can_carry() {
    let with = |addresses: &str, added: &str| {
        let text = LEAST.replace("\"192.168.198.100\"", addresses) + added;
        let found = read(&text).unwrap_err();
        assert_eq!(
            (found.len(), found[0].key.as_str()),
            (1, "vip.instance.addresses")
        );
        found[0].to_string()
    };
    assert!(with("\"10.0.0.9\", \"fd00::9\"", "").contains("sync_group"));
    assert!(with("\"fd00::9\"", "version = 2").contains("version = 3"));
    assert!(with("\"10.0.0.9\", \"10.0.0.9/24\"", "").contains("twice"));
    assert!(with("\"127.0.0.1\", \"10.0.0.9\"", "").contains("127.0.0.1"));
}

#[test]
fn the_owner_of_an_address_always_takes_it() {
    problem("priority = 255\npreempt = false", "preempt");
    problem("preempt = false\npreempt_delay = \"5s\"", "preempt_delay");
    let found = problem("priority = 0", "priority");
    assert!(found.contains("from 1 to 255"), "{found}");
}

#[test]
fn instances_do_not_share_numbers_names_or_addresses() {
    let second = "[[vip.instance]]\nrouter_id = 51\naddresses = [\"192.168.198.100/24\"]\n";
    let found: Vec<_> = problems(second).into_iter().map(|p| (p.0, p.1)).collect();
    let expected = [
        (9, "vip.instance.name"),
        (10, "vip.instance.router_id"),
        (11, "vip.instance.addresses"),
    ];
    assert_eq!(found, expected.map(|(line, key)| (line, key.to_owned())));
    for apart in [
        "name = \"six\"\nrouter_id = 51\naddresses = [\"fd00::1\"]",
        "name = \"other\"\nrouter_id = 51\naddresses = [\"10.0.0.9\"]\ninterface = \"eth1\"",
        "router_id = 52\naddresses = [\"10.0.0.9\"]",
    ] {
        assert_eq!(problems(&format!("[[vip.instance]]\n{apart}")), []);
    }
}

#[test]
fn a_group_has_one_priority() {
    let second = "sync_group = \"g\"\n[[vip.instance]]\nrouter_id = 52\naddresses = [\"10.0.0.9\"]\nsync_group = \"g\"\n";
    assert_eq!(problems(second), []);
    problem(&format!("{second}priority = 90"), "sync_group");
}

#[test]
fn interfaces_have_names_that_linux_takes() {
    for name in ["", "eth 0", "a/b", "an-interface-too-long", ".."] {
        problem(&format!("interface = \"{name}\""), "interface");
    }
    assert_eq!(
        instance("track_interfaces = [\"eth1\", \"bond0.5\"]")
            .track_interfaces
            .len(),
        2
    );
}

#[test]
fn secrets_of_an_instance_do_not_print() {
    let one = instance("version = 2\npassword = \"hunter2\"");
    assert!(!format!("{one:?}").contains("hunter2"));
}
