//! `real_server`: what becomes a node, and the checks whose place Seawall's own probes take.

use std::net::IpAddr;
use std::path::Path;

use super::block::{Item, Known};
use super::draft::Node;
use super::reasons::{LVS, MAIL, SCRIPTS};
use super::report::Verdict::{Dropped, Kept, Mended, Translated};
use super::top::Translation;

const HEAVIEST: u32 = 1000;

const PROBES: &str = "not needed: Seawall's probes know Harbor and ask for more: ping, health document, database and registry";
const WITH_PROBES: &str = "goes with the check";

const NODE: Known = Known {
    read: &[
        "weight",
        "retry",
        "connect_timeout",
        "delay_loop",
        "TCP_CHECK",
        "HTTP_GET",
        "SSL_GET",
        "MISC_CHECK",
        "SMTP_CHECK",
        "DNS_CHECK",
        "UDP_CHECK",
        "PING_CHECK",
        "BFD_CHECK",
        "FILE_CHECK",
    ],
    fixed: &[
        (
            "inhibit_on_failure",
            Dropped,
            "not needed: a node that fails gets nothing new, and what runs there may end",
        ),
        ("notify_up", Dropped, SCRIPTS),
        ("notify_down", Dropped, SCRIPTS),
        (
            "uthreshold",
            Dropped,
            "not possible yet: connections to a node are not limited",
        ),
        ("lthreshold", Dropped, "goes with uthreshold"),
        ("lvs_method", Dropped, LVS),
        ("lb_kind", Dropped, LVS),
        (
            "alpha",
            Dropped,
            "not needed: a node gets requests when its first probe was good",
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
        (
            "log_all_failures",
            Dropped,
            "not needed: the log tells when a component of a node changes",
        ),
        (
            "virtualhost",
            Dropped,
            "not needed for probes; if it is how clients call the registry, write it into `public_url`",
        ),
        ("smtp_alert", Dropped, MAIL),
        ("snmp_name", Dropped, "Seawall has metrics instead of SNMP"),
    ],
};

const CHECK: Known = Known {
    read: &[
        "misc_path",
        "misc_timeout",
        "connect_timeout",
        "retry",
        "nb_get_retry",
        "delay_loop",
        "url",
    ],
    fixed: &[
        (
            "misc_dynamic",
            Dropped,
            "not possible: weights change by `seawall node weight` only",
        ),
        ("user", Dropped, SCRIPTS),
        (
            "connect_ip",
            Dropped,
            "not possible: a node is probed where it serves",
        ),
        (
            "connect_port",
            Dropped,
            "not possible: a node is probed where it serves",
        ),
        ("bindto", Dropped, WITH_PROBES),
        ("bind_port", Dropped, WITH_PROBES),
        ("bind_if", Dropped, WITH_PROBES),
        ("fwmark", Dropped, WITH_PROBES),
        (
            "alpha",
            Dropped,
            "not needed: a node gets requests when its first probe was good",
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
        (
            "log_all_failures",
            Dropped,
            "not needed: the log tells when a component of a node changes",
        ),
        ("http_protocol", Dropped, WITH_PROBES),
        ("fast_recovery", Dropped, WITH_PROBES),
        ("enable_sni", Dropped, "not needed: it is so always"),
        (
            "virtualhost",
            Dropped,
            "not needed for probes; if it is how clients call the registry, write it into `public_url`",
        ),
        ("helo_name", Dropped, WITH_PROBES),
        ("host", Dropped, WITH_PROBES),
        ("type", Dropped, WITH_PROBES),
        ("name", Dropped, WITH_PROBES),
        ("payload", Dropped, WITH_PROBES),
        ("require_reply", Dropped, WITH_PROBES),
        ("min_reply_length", Dropped, WITH_PROBES),
        ("max_reply_length", Dropped, WITH_PROBES),
        ("track_file", Dropped, WITH_PROBES),
        ("dynamic", Dropped, WITH_PROBES),
        ("weight", Dropped, WITH_PROBES),
    ],
};

const URL: Known = Known {
    read: &[],
    fixed: &[
        ("path", Dropped, WITH_PROBES),
        ("digest", Dropped, WITH_PROBES),
        ("status_code", Dropped, WITH_PROBES),
        (
            "virtualhost",
            Dropped,
            "not needed for probes; if it is how clients call the registry, write it into `public_url`",
        ),
        ("regex", Dropped, WITH_PROBES),
        ("regex_no_match", Dropped, WITH_PROBES),
        ("regex_options", Dropped, WITH_PROBES),
        ("regex_stack", Dropped, WITH_PROBES),
        ("regex_min_offset", Dropped, WITH_PROBES),
        ("regex_max_offset", Dropped, WITH_PROBES),
        ("tls_compliant", Dropped, WITH_PROBES),
    ],
};

impl Translation {
    /// `server` is the number of the virtual server; `tls` tells whether clients speak TLS to it.
    pub(super) fn real_server(&mut self, block: &Item<'_>, server: usize, tls: bool) {
        let items = NODE.walk(block.inside(), &mut self.report);
        let at = self.node(block, server, tls);
        for item in &items {
            match item.key {
                "weight" => self.weight(item, at),
                "retry" | "connect_timeout" | "delay_loop" => self.check_setting(item),
                _ => self.check(item),
            }
        }
    }

    /// Finds the node or adds it.
    fn node(&mut self, block: &Item<'_>, server: usize, tls: bool) -> usize {
        let given = block.arg().unwrap_or_default();
        let host = given.trim_matches(['<', '>']);
        let given_port = block.args().get(1).and_then(|port| port.parse().ok());
        let port = given_port
            .filter(|port| *port > 0)
            .unwrap_or(if tls { 443 } else { 80 });
        let https = port == 443 || (tls && port != 80);
        let same_host = |node: &Node| node.host == host;
        let known = self.draft.nodes.iter();
        let same = known
            .clone()
            .position(|node| same_host(node) && node.port == port);
        let other_port = || {
            known
                .clone()
                .position(|node| same_host(node) && node.server != server)
        };
        let certificate = "; its certificate must be for that host: where it is for the registry's name only, write a name that leads to the node";
        if let Some(at) = same.or_else(other_port) {
            let mut why = format!("`harbor-{}`", at + 1);
            if let Some(node) = self.draft.nodes.get_mut(at) {
                node.server = server;
                if https && !node.https {
                    node.https = true;
                    node.port = port;
                    why = format!(
                        "{why}; its URL is {} now, as its plain port redirects there{certificate}",
                        node.url()
                    );
                } else {
                    why = format!("{why}; its URL stays {}", node.url());
                }
            }
            self.say(block, Translated, format!("the same node as before: {why}"));
            return at;
        }
        let node = Node {
            host: host.to_owned(),
            address: host.parse::<IpAddr>().ok().filter(|_| host == given),
            https,
            port,
            weight: None,
            server,
        };
        let at = self.draft.nodes.len();
        let mut why = format!("[[cluster.node]] `harbor-{}`, {}", at + 1, node.url());
        if https {
            why.push_str(certificate);
        }
        if node.address.is_some() {
            self.say(block, Translated, why);
        } else {
            self.fill_in(block, given, "the address of a node");
        }
        self.draft.nodes.push(node);
        at
    }

    fn weight(&mut self, item: &Item<'_>, at: usize) {
        let number = item.arg().and_then(|arg| arg.parse::<u32>().ok());
        let Some(number) = number else {
            self.say(
                item,
                Mended,
                "is not a number from 0 to 65535; 1, as keepalived has it then",
            );
            return;
        };
        let weight = number.min(HEAVIEST);
        let Some(node) = self.draft.nodes.get_mut(at) else {
            return;
        };
        match node.weight {
            Some(first) if first != weight => {
                let why = format!(
                    "the node has one weight for all listeners: {first}, as it was given first"
                );
                self.say(item, Dropped, why);
            }
            _ => {
                node.weight = Some(weight);
                if weight != number {
                    let why = format!(
                        "`weight = {HEAVIEST}`, the most there is; lower those of the others likewise"
                    );
                    self.say(item, Mended, why);
                } else if weight == 0 {
                    let why =
                        "`weight = 0`: the node gets requests only when no other has a weight";
                    self.say(item, Kept, why);
                } else {
                    self.say(item, Kept, "`weight`");
                }
            }
        }
    }

    fn check(&mut self, block: &Item<'_>) {
        self.say(block, Dropped, PROBES);
        for item in CHECK.walk(block.inside(), &mut self.report) {
            match item.key {
                "misc_path" => self.check_script(&item),
                "url" => {
                    self.say(&item, Dropped, WITH_PROBES);
                    URL.walk(item.inside(), &mut self.report);
                }
                _ => self.check_setting(&item),
            }
        }
    }

    fn check_script(&mut self, item: &Item<'_>) {
        let path = item.arg().unwrap_or_default();
        let path = path.split_whitespace().next().unwrap_or_default();
        if Path::new(path)
            .file_name()
            .is_some_and(|name| name == "check.sh")
        {
            let why = "Harbor's check.sh fails on newer versions: it takes 200 and 301 only, where HTTPS nodes since 1.7 answer 308, and it asks for /api/systeminfo with registry_url and for /api/repositories/top, which 2.x does not have. Left out: Seawall's probes know every version from 1.5 on";
            self.say(item, Mended, why);
        } else {
            let why = "Seawall runs no scripts: its probes know Harbor; what else the script looks for, let it say with `seawall node drain`";
            self.say(item, Dropped, why);
        }
    }
}
