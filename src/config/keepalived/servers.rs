//! `virtual_server` and `virtual_server_group`: what becomes a listener.

use super::block::{Item, Known};
use super::doors::{Groups, doors, nested, other_service};
use super::reasons::{LVS, MAIL, SCRIPTS};
use super::report::Verdict::{Dropped, Mended, Translated};
use super::report::shown;
use super::top::Translation;

const NO_PROTOCOL: &str = "no protocol is given, which keepalived may take for UDP; it is TCP";

const NODES_FALL: &str =
    "not needed: Seawall answers 503 itself while no node can, and tries all of them before";

pub(super) const SERVER: Known = Known {
    read: &[
        "lb_algo",
        "lvs_sched",
        "lb_kind",
        "lvs_method",
        "protocol",
        "persistence_timeout",
        "delay_loop",
        "retry",
        "connect_timeout",
        "real_server",
    ],
    fixed: &[
        (
            "nat_mask",
            Mended,
            "is not a keyword of keepalived any more, and had no effect with DR before; left out",
        ),
        (
            "persistence_granularity",
            Dropped,
            "goes with persistence_timeout",
        ),
        (
            "persistence_engine",
            Dropped,
            "goes with persistence_timeout",
        ),
        (
            "sorry_server",
            Dropped,
            "not needed: Seawall answers 503 with Retry-After in the client's own format while no node can serve; a page for people would confuse docker",
        ),
        ("sorry_server_inhibit", Dropped, "goes with sorry_server"),
        ("sorry_server_lvs_method", Dropped, "goes with sorry_server"),
        ("quorum", Dropped, NODES_FALL),
        (
            "hysteresis",
            Dropped,
            "goes with quorum; `rise` and `fall` in [health] keep a node from coming and going",
        ),
        ("quorum_up", Dropped, SCRIPTS),
        ("quorum_down", Dropped, SCRIPTS),
        (
            "alpha",
            Dropped,
            "not needed: a node gets requests when its first probe was good",
        ),
        ("omega", Dropped, SCRIPTS),
        (
            "inhibit_on_failure",
            Dropped,
            "not needed: a node that fails gets nothing new, and what runs there may end",
        ),
        (
            "ha_suspend",
            Dropped,
            "not possible: a door that does not hold the address probes, too, so that it knows the nodes when it takes over",
        ),
        (
            "virtualhost",
            Dropped,
            "not needed for probes; if it is how clients call the registry, write it into `public_url`",
        ),
        (
            "delay_before_retry",
            Dropped,
            "not needed: the next probe comes after `interval`",
        ),
        (
            "warmup",
            Dropped,
            "not needed: probes are spread by themselves",
        ),
        ("smtp_alert", Dropped, MAIL),
        ("snmp_name", Dropped, "Seawall has metrics instead of SNMP"),
        ("ip_family", Dropped, LVS),
        ("ops", Dropped, LVS),
        ("flag-1", Dropped, LVS),
        ("flag-2", Dropped, LVS),
        ("flag-3", Dropped, LVS),
        ("sh-port", Dropped, LVS),
        ("sh-fallback", Dropped, LVS),
        ("mh-port", Dropped, LVS),
        ("mh-fallback", Dropped, LVS),
        ("hashed", Dropped, LVS),
    ],
};

impl Translation {
    pub(super) fn servers(&mut self, items: &[Item<'_>]) {
        let mut groups = Groups::new();
        for item in items
            .iter()
            .filter(|item| item.key == "virtual_server_group")
        {
            self.server_group(item, &mut groups);
        }
        let servers = items.iter().filter(|item| item.key == "virtual_server");
        for (number, item) in servers.enumerate() {
            self.server(item, number, &groups);
        }
        // The doors with TLS are known now, whichever came first.
        self.draft
            .doors
            .sort_by_key(|door| (!door.tls, door.ipv6, door.port));
    }

    fn server(&mut self, block: &Item<'_>, number: usize, groups: &Groups) {
        let items = SERVER.walk(block.inside(), &mut self.report);
        let (doors, note) = doors(block, &items, groups);
        if let Some(why) = other_service(&doors, &items) {
            self.say(block, Dropped, why);
            self.report.drop_inside(block.directive);
            return;
        }
        let protocol = items.iter().any(|item| item.key == "protocol");
        let note = match (protocol, note) {
            (false, None) => Some(NO_PROTOCOL.to_owned()),
            (false, Some(note)) => Some(format!("{note}; {NO_PROTOCOL}")),
            (true, note) => note,
        };
        let checks_tls = nested(block.inside(), "SSL_GET");
        let mut tls = false;
        let mut listens = Vec::new();
        for mut door in doors {
            door.tls = checks_tls || matches!(door.port, 443 | 8443);
            tls |= door.tls;
            listens.push(format!(
                "{}{}",
                door.address(),
                if door.tls { " with TLS" } else { "" }
            ));
            match self
                .draft
                .doors
                .iter_mut()
                .find(|other| other.ipv6 == door.ipv6 && other.port == door.port)
            {
                Some(other) => other.tls |= door.tls,
                None => self.draft.doors.push(door),
            }
        }
        self.say_server(block, &listens, tls, note);
        for item in &items {
            match item.key {
                "real_server" => self.real_server(item, number, tls),
                _ => self.server_setting(item),
            }
        }
    }

    fn say_server(
        &mut self,
        block: &Item<'_>,
        listens: &[String],
        tls: bool,
        note: Option<String>,
    ) {
        if listens.is_empty() {
            let why = "names no port, and neither does a real_server: fill in a [[listen]]";
            self.say(block, Mended, why);
            return;
        }
        let mut why = format!(
            "[[listen]] on {}, so that an address that comes later is served, too",
            listens.join(" and ")
        );
        if tls {
            why.push_str("; LVS passed TLS through, here it ends: bring certificate and key from a node (Harbor 1.x: /data/cert/server.crt and server.key; 2.x: /data/secret/cert/server.crt and server.key; or what harbor.cfg or harbor.yml names) to /etc/seawall/registry.pem and /etc/seawall/registry-key.pem");
        } else {
            why.push_str("; as plain HTTP, or as a redirect when port 443 is there, too");
        }
        match note {
            Some(note) => self.say(block, Mended, format!("{why}; {note}")),
            None => self.say(block, Translated, why),
        }
    }

    fn server_setting(&mut self, item: &Item<'_>) {
        let arg = item.arg().unwrap_or_default();
        match item.key {
            "lb_algo" | "lvs_sched" => self.algorithm(item, arg),
            "lb_kind" | "lvs_method" => self.forwarding(item, arg),
            "protocol" => self.say(item, Dropped, "not needed: it is TCP always"),
            "persistence_timeout" => {
                let why = "not needed: what belongs together (an upload, a session) is known by its requests, not by the client's address, behind which may be many; and the nodes share storage and sessions";
                self.say(item, Dropped, why);
            }
            _ => self.check_setting(item),
        }
    }

    fn algorithm(&mut self, item: &Item<'_>, arg: &str) {
        let (balance, known) = match arg {
            "rr" | "wrr" => ("round-robin", true),
            "lc" | "wlc" | "sed" | "nq" => ("least", true),
            "sh" | "dh" | "mh" => ("rendezvous", true),
            _ => ("two-choices", false),
        };
        match self.draft.balance.set(balance, item.line()) {
            Ok(()) if known => {
                let why = format!(
                    "`balance = \"{balance}\"` in [cluster]; by request, where LVS goes by connection"
                );
                self.say(item, Translated, why);
            }
            Ok(()) => {
                let why = format!(
                    "`{}` has nothing like it; `balance = \"{balance}\"`, the default",
                    shown(arg)
                );
                self.say(item, Mended, why);
            }
            Err((true, line)) => {
                self.say(item, Translated, format!("`balance`, as in line {line}"))
            }
            Err((false, line)) => {
                let why =
                    format!("all listeners share the nodes and one `balance`: that of line {line}");
                self.say(item, Dropped, why);
            }
        }
    }

    fn forwarding(&mut self, item: &Item<'_>, arg: &str) {
        let why = match arg {
            "DR" => {
                "not needed: answers come back through Seawall, and nodes see the client in X-Forwarded-For. Undo what DR needed once no host runs LVS any more: on the nodes the `iptables -t nat … -d VIP … -j REDIRECT` rules, the VIP on lo, arp_ignore and arp_announce; on the balancers ip_forward and ip_nonlocal_bind (docs/migrating-from-keepalived.md has the commands)"
            }
            "NAT" => {
                "not needed: Seawall connects to the nodes itself, and they see the client in X-Forwarded-For. Undo what NAT needed once no host runs LVS any more: the nodes' default route through the balancer, and ip_forward there"
            }
            "TUN" => {
                "not needed: Seawall connects to the nodes itself, and they see the client in X-Forwarded-For. Undo what TUN needed once no host runs LVS any more: on the nodes the VIP on tunl0, arp_ignore, arp_announce and rp_filter"
            }
            _ => "is no way of LVS; not needed: Seawall connects to the nodes itself",
        };
        let known = matches!(arg, "DR" | "NAT" | "TUN");
        self.say(item, if known { Dropped } else { Mended }, why);
    }
}
