//! `vrrp_instance`: one virtual router.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::block::{Item, Known};
use super::draft::{Given, Instance};
use super::election::seconds;
use super::neighbours::is_interface;
use super::reasons::{ALSO, ARP, LVS, MAIL, ROUTES, SCRIPTS};
use super::report::Verdict::{Dropped, Kept, Mended, Translated};
use super::report::shown;
use super::top::Translation;

/// keepalived's own.
const PRIORITY: u8 = 100;

const ALWAYS: &str = "not needed: it is so always";
const ADVERTS: &str = "not needed: Seawall follows the RFC here";

const INSTANCE: Known = Known {
    read: &[
        "interface",
        "state",
        "virtual_router_id",
        "priority",
        "advert_int",
        "version",
        "nopreempt",
        "preempt",
        "preempt_delay",
        "authentication",
        "unicast_src_ip",
        "unicast_peer",
        "virtual_ipaddress",
        "virtual_ipaddress_excluded",
        "track_interface",
        "track_script",
        "use_vmac",
    ],
    fixed: &[
        ("virtual_routes", Dropped, ROUTES),
        ("virtual_rules", Dropped, ROUTES),
        ("track_file", Dropped, ALSO),
        ("track_process", Dropped, ALSO),
        ("track_bfd", Dropped, ALSO),
        ("track_src_ip", Dropped, ALSO),
        ("notify", Dropped, SCRIPTS),
        ("notify_master", Dropped, SCRIPTS),
        ("notify_backup", Dropped, SCRIPTS),
        ("notify_fault", Dropped, SCRIPTS),
        ("notify_stop", Dropped, SCRIPTS),
        ("notify_deleted", Dropped, SCRIPTS),
        ("notify_master_rx_lower_pri", Dropped, SCRIPTS),
        ("notify_priority_changes", Dropped, SCRIPTS),
        ("smtp_alert", Dropped, MAIL),
        ("garp_master_delay", Dropped, ARP),
        ("garp_master_repeat", Dropped, ARP),
        ("garp_lower_prio_delay", Dropped, ARP),
        ("garp_lower_prio_repeat", Dropped, ARP),
        ("garp_master_refresh", Dropped, ARP),
        ("garp_master_refresh_repeat", Dropped, ARP),
        ("garp_interval", Dropped, ARP),
        ("garp_extra_if", Dropped, ARP),
        ("gna_interval", Dropped, ARP),
        ("lower_prio_no_advert", Dropped, ADVERTS),
        ("higher_prio_send_advert", Dropped, ADVERTS),
        ("old_unicast_checksum", Dropped, ADVERTS),
        (
            "down_timer_adverts",
            Dropped,
            "not possible: a master is given up after three adverts, as the RFC has it",
        ),
        (
            "dont_track_primary",
            Dropped,
            "not possible: a host whose interface is down gives the address up",
        ),
        ("check_unicast_src", Dropped, ALWAYS),
        (
            "accept",
            Dropped,
            "not needed: the holder of the address serves on it",
        ),
        (
            "no_accept",
            Dropped,
            "not possible: the holder of the address serves on it",
        ),
        (
            "strict_mode",
            Dropped,
            "Seawall is strict in what it takes from others, and nothing turns it off; it forbids neither passwords nor unicast, as keepalived's does",
        ),
        (
            "skip_check_adv_addr",
            Dropped,
            "not possible: the addresses in adverts are always checked",
        ),
        ("native_ipv6", Dropped, "not needed: the addresses tell"),
        ("promote_secondaries", Dropped, "not needed"),
        (
            "mcast_src_ip",
            Dropped,
            "not possible: adverts come from the first address of the interface; with `peers`, `source` chooses it",
        ),
        (
            "mcast_dst_ip",
            Dropped,
            "not possible: adverts go to the group of the RFC; with another one, name each other in `peers` on both hosts",
        ),
        (
            "unicast_ttl",
            Dropped,
            "not possible: adverts have a TTL of 255",
        ),
        (
            "unicast_fault_no_peer",
            Dropped,
            "not needed: an empty list of peers means multicast",
        ),
        (
            "use_vmac_addr",
            Dropped,
            "not possible: only the instance as a whole has a virtual MAC",
        ),
        ("vmac_xmit_base", Dropped, "not needed: Seawall chooses"),
        (
            "use_ipvlan",
            Dropped,
            "not possible; `virtual_mac = true` in [vip] is the nearest",
        ),
        (
            "vrf",
            Dropped,
            "not possible: put Seawall into the VRF as a whole, with `ip vrf exec`",
        ),
        ("lvs_sync_daemon_interface", Dropped, LVS),
        ("lvs_sync_daemon", Dropped, LVS),
        (
            "linkbeat_use_polling",
            Dropped,
            "not needed: the kernel tells Seawall of links",
        ),
        ("kernel_rx_buf_size", Dropped, "not needed"),
        ("debug", Dropped, "`level` in [log] does it"),
    ],
};

const LATE: [&str; 5] = [
    "virtual_router_id",
    "advert_int",
    "authentication",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
];

/// What all settings of an instance together say.
struct Facts {
    ipv6: bool,
    master: bool,
}

impl Translation {
    pub(super) fn instance(&mut self, block: &Item<'_>) {
        let (name, changed) = self.instance_name(block.arg());
        let mut one = Instance {
            name,
            interface: Given::default(),
            router_id: Given::default(),
            version: 2,
            priority: PRIORITY,
            advert_interval: Duration::from_secs(1),
            addresses: Vec::new(),
            excluded: Vec::new(),
            password: None,
            peers: Vec::new(),
            source: None,
            preempt: true,
            preempt_delay: None,
            sync_group: None,
            track_interfaces: BTreeSet::new(),
        };
        let items = INSTANCE.walk(block.inside(), &mut self.report);
        let mut why = format!("[[vip.instance]] `{}`", one.name);
        for (key, missing) in [
            ("interface", "no interface is given: fill it in"),
            (
                "virtual_router_id",
                "no virtual_router_id is given: fill it in, the same as on the other host",
            ),
            (
                "virtual_ipaddress",
                "no virtual_ipaddress is given: fill `addresses` in",
            ),
            (
                "priority",
                "no priority is given: 100, as keepalived has it; the other host needs another one",
            ),
        ] {
            if !items.iter().any(|item| item.key == key) {
                why = format!("{why}; {missing}");
            }
        }
        let verdict = if changed { Mended } else { Translated };
        self.say(block, verdict, why);

        let ipv6 = first_address(&items).is_some_and(|address| address.is_ipv6());
        let said = |key, arg: Option<&str>| {
            let mut of_key = items.iter().filter(|item| item.key == key);
            of_key.any(|item| arg.is_none() || item.arg() == arg)
        };
        one.preempt = !said("nopreempt", None);
        let facts = Facts {
            ipv6,
            master: said("state", Some("MASTER")),
        };
        one.version = match self.version {
            _ if ipv6 => 3,
            Some(version) => version,
            None => 2,
        };
        // What needs to know the interface and the version comes after them.
        let (late, early): (Vec<_>, Vec<_>) =
            items.iter().partition(|item| LATE.contains(&item.key));
        for item in early.into_iter().chain(late) {
            self.setting(item, &mut one, &facts);
        }
        let at = self.draft.instances.len();
        self.draft.instances.push(one);
        for item in items.iter().filter(|item| item.key == "track_interface") {
            self.interfaces(item, &[at]);
        }
    }

    /// A name that logs and metrics can carry, and whether it differs from that in the file.
    fn instance_name(&self, given: Option<&str>) -> (String, bool) {
        let given = given.unwrap_or_default();
        let mut name = sound_name(given);
        if name.is_empty() {
            name.push_str("vip");
        }
        let taken = |name: &str| self.draft.instances.iter().any(|one| one.name == name);
        if taken(&name) {
            let free = (2..)
                .map(|n| format!("{name}-{n}"))
                .find(|name| !taken(name));
            name = free.unwrap_or(name);
        }
        let changed = name != given;
        (name, changed)
    }

    fn setting(&mut self, item: &Item<'_>, one: &mut Instance, facts: &Facts) {
        let ipv6 = facts.ipv6;
        let arg = item.arg().unwrap_or_default();
        match item.key {
            "interface" => match arg {
                _ if is_interface(arg) => {
                    one.interface = Given::Value(arg.to_owned());
                    let why = "`interface` of [vip], or of the instance where they differ; it is watched, too";
                    self.say(item, Translated, why);
                }
                _ => self.fill_in(item, arg, "the name of an interface"),
            },
            "state" => self.state(item, arg),
            "virtual_router_id" => match arg.parse() {
                Ok(id @ 1..) => self.router_id(item, one, id),
                _ => self.fill_in(item, arg, "a number from 1 to 255"),
            },
            "priority" => self.priority(item, one, arg, facts.master),
            "version" => match arg.parse() {
                Ok(version @ 2..=3) if version == 3 || !ipv6 => {
                    one.version = version;
                    self.say(item, Kept, "`version`");
                }
                _ => self.say(item, Mended, "cannot be; 2 is for IPv4, 3 for both; left out"),
            },
            "nopreempt" => {
                if facts.master {
                    let why = "keepalived ignores it with `state MASTER`; Seawall does not: `preempt = false`";
                    self.say(item, Mended, why);
                } else {
                    self.say(item, Translated, "`preempt = false`");
                }
            }
            "preempt" => self.say(item, Dropped, "not needed: it is the default"),
            "preempt_delay" => match seconds(arg, 1000.0) {
                Some(delay) if one.preempt => {
                    one.preempt_delay = Some(delay).filter(|delay| !delay.is_zero());
                    self.say(item, Kept, "`preempt_delay`");
                }
                Some(_) => self.say(item, Dropped, "means nothing with nopreempt; keepalived left it out, too"),
                None => self.say(item, Mended, "is not a number of seconds from 0 to 1000; left out"),
            },
            "unicast_src_ip" => match arg.parse::<IpAddr>() {
                Ok(address) if address.is_ipv6() == ipv6 => {
                    one.source = Some(address);
                    self.say(item, Translated, "`source`; it is this host's own: the other host needs another one");
                }
                _ => self.say(item, Mended, "is not an address of the family of the virtual addresses; left out: the first one of the interface is taken"),
            },
            "unicast_peer" => self.peers(item, one, ipv6),
            "use_vmac" => {
                self.draft.virtual_mac = true;
                self.say(item, Translated, "`virtual_mac = true` in [vip], for all instances; names of interfaces are chosen by Seawall");
            }
            "track_script" => self.watch(item),
            "advert_int" => self.advert(item, one),
            "authentication" => self.authentication(item, one),
            "track_interface" => self.say(item, Translated, "`track_interfaces`"),
            _ => self.addresses(item, one, ipv6),
        }
    }

    /// A value that only the operator knows.
    pub(super) fn fill_in(&mut self, item: &Item<'_>, given: &str, what: &str) {
        let why = format!(
            "`{}` is not {what}: fill it in where the configuration says FILL IN",
            shown(given)
        );
        self.say(item, Mended, why);
    }
}

/// The first virtual address decides the family, as for keepalived.
fn first_address(items: &[Item<'_>]) -> Option<IpAddr> {
    let blocks = items.iter().filter(|item| item.key == "virtual_ipaddress");
    blocks.flat_map(Item::inside).find_map(|directive| {
        let word = directive.word();
        word.split_once('/')
            .map_or(word, |(address, _)| address)
            .parse()
            .ok()
    })
}

/// The name of an instance with nothing in it that logs and metrics could not carry.
pub(super) fn sound_name(given: &str) -> String {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let sound = |c| if sound(c) { c } else { '-' };
    given.chars().take(60).map(sound).collect()
}
