//! Writing the configuration.

use std::fmt::Write;
use std::net::IpAddr;

use super::draft::{Door, Draft, Given, Instance, Node};
use super::report::shown;
use crate::config::duration;

/// What marks a value that only the operator knows. `seawall check` names the missing key.
pub(super) const FILL_IN: &str = "# FILL IN: ";

/// A line at a time; a key is a line.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn key(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn open(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{FILL_IN}{key} = {value}");
    }
}

/// The configuration as TOML.
pub(super) fn write(draft: &Draft) -> String {
    let mut page = Page::default();
    page.line("# Made from a keepalived.conf by `seawall import keepalived`. Search it for \"FILL IN\", then run");
    page.line("# `seawall check -c` on it.");
    doors(&mut page, draft);
    page.line("\n[cluster]");
    page.line(
        "# How clients reach the cluster, so that redirects and tokens have the right address:",
    );
    page.line("# public_url = \"https://registry.example.com\"");
    if let Some(balance) = draft.balance.get() {
        page.key("balance", quoted(balance));
    }
    for (node, number) in draft.nodes.iter().zip(1..) {
        self::node(&mut page, draft, node, number);
    }
    if draft.nodes.is_empty() {
        page.line("");
        page.line(&format!("{FILL_IN}[[cluster.node]]"));
        page.line("# name = \"harbor-1\"\n# url = \"http://10.0.0.11\"");
    }
    health(&mut page, draft);
    vip(&mut page, draft);
    page.0
}

fn doors(page: &mut Page, draft: &Draft) {
    let serves_https = |ipv6: bool| {
        let mut doors = draft.doors.iter();
        doors.any(|door| door.tls && door.port == 443 && door.ipv6 == ipv6)
    };
    for door in &draft.doors {
        page.line("\n[[listen]]");
        page.key("address", quoted(&door.address()));
        if door.tls {
            certificate(page, "");
        } else if door.port == 80 && serves_https(door.ipv6) {
            page.line("redirect_to_https = true");
        }
    }
    if draft.doors.is_empty() {
        page.line("");
        page.line(&format!("{FILL_IN}[[listen]]"));
        page.line("# address = \"0.0.0.0:80\"");
    }
    if !draft.doors.iter().any(|door| door.tls) {
        page.line("");
        if draft.hides_https {
            page.line(
                "# Port 443 was commented out in the keepalived.conf. If Harbor speaks HTTPS, have:",
            );
        } else {
            page.line("# For HTTPS:");
        }
        page.line("# [[listen]]\n# address = \"0.0.0.0:443\"");
        certificate(page, "# ");
    }
}

fn certificate(page: &mut Page, mark: &str) {
    for line in [
        "[[listen.certificate]]",
        "# From a node: /data/cert/server.crt and server.key of Harbor 1.x, /data/secret/cert/server.crt and",
        "# server.key of 2.x, unless its harbor.cfg or harbor.yml names other files.",
        "chain = \"/etc/seawall/registry.pem\"",
        "key = \"/etc/seawall/registry-key.pem\"",
    ] {
        let mark = if line.starts_with('#') { "" } else { mark };
        page.line(&format!("{mark}{line}"));
    }
}

impl Door {
    /// Any address, so that a virtual one that comes later is served, too.
    pub(super) fn address(self) -> String {
        let any = if self.ipv6 { "[::]" } else { "0.0.0.0" };
        format!("{any}:{}", self.port)
    }
}

impl Node {
    /// Where it is reached.
    pub(super) fn url(&self) -> String {
        let (scheme, own) = if self.https {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let host = match self.address {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            Some(IpAddr::V4(address)) => address.to_string(),
            None => shown(&self.host),
        };
        if self.port == own {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }
}

fn node(page: &mut Page, draft: &Draft, node: &Node, number: usize) {
    page.line("\n[[cluster.node]]");
    page.key("name", quoted(&format!("harbor-{number}")));
    let url = quoted(&node.url());
    match node.address {
        Some(_) => page.key("url", url),
        None => page.open("url", url),
    }
    // keepalived's default is 1, Seawall's is 10: they matter beside each other only.
    let weighed = draft.nodes.iter().any(|node| node.weight.is_some());
    if let Some(weight) = node.weight.or(weighed.then_some(1)) {
        page.key("weight", weight);
    }
    if node.https {
        page.line(
            "# The node's certificate must be for the host in the URL; who signed it, if not a public authority:",
        );
        page.line("# ca = \"/etc/seawall/harbor-ca.pem\"");
    }
}

fn health(page: &mut Page, draft: &Draft) {
    let (interval, timeout) = (draft.interval.get(), draft.timeout.get());
    let fall = draft.fall.get();
    if interval.is_none() && timeout.is_none() && fall.is_none() {
        return;
    }
    page.line("\n[health]");
    if let Some(interval) = interval {
        page.key("interval", quoted(&duration::show(interval)));
    }
    if let Some(timeout) = timeout {
        page.key("timeout", quoted(&duration::show(timeout)));
    }
    if let Some(fall) = fall {
        page.key("fall", fall);
    }
}

fn vip(page: &mut Page, draft: &Draft) {
    if draft.instances.is_empty() {
        return;
    }
    page.line("\n[vip]");
    let shared = draft.instances.iter().find_map(|one| match &one.interface {
        Given::Value(interface) => Some(interface),
        Given::Open(_) => None,
    });
    match shared {
        Some(interface) => page.key("interface", quoted(interface)),
        None => page.open("interface", quoted("eth0")),
    }
    if draft.virtual_mac {
        page.key("virtual_mac", true);
    }
    for one in &draft.instances {
        instance(page, one, shared);
    }
}

fn instance(page: &mut Page, one: &Instance, shared: Option<&String>) {
    page.line("\n[[vip.instance]]");
    page.key("name", quoted(&one.name));
    match &one.interface {
        Given::Value(own) if Some(own) != shared => page.key("interface", quoted(own)),
        Given::Open(_) if shared.is_some() => page.open("interface", quoted("eth0")),
        _ => {}
    }
    match one.router_id {
        Given::Value(id) => page.key("router_id", id),
        Given::Open(_) => page.open("router_id", 51),
    }
    page.key("version", one.version);
    page.key("priority", one.priority);
    page.key(
        "advert_interval",
        quoted(&duration::show(one.advert_interval)),
    );
    addresses(page, one);
    for excluded in &one.excluded {
        page.line(&format!(
            "# not announced by keepalived: {}",
            shown(excluded)
        ));
    }
    if let Some(password) = &one.password {
        page.key("password", quoted(password));
    }
    list(page, "peers", &one.peers);
    if let Some(source) = one.source {
        page.key("source", quoted(&source.to_string()));
    }
    if !one.preempt {
        page.key("preempt", false);
    }
    if let Some(delay) = one.preempt_delay {
        page.key("preempt_delay", quoted(&duration::show(delay)));
    }
    if let Some(group) = &one.sync_group {
        page.key("sync_group", quoted(group));
    }
    if !one.track_interfaces.is_empty() {
        let names: Vec<_> = one.track_interfaces.iter().map(|i| quoted(i)).collect();
        page.key("track_interfaces", format!("[{}]", names.join(", ")));
    }
}

fn addresses(page: &mut Page, one: &Instance) {
    if one.addresses.is_empty() {
        page.open("addresses", "[\"192.0.2.10/32\"]");
    }
    list(page, "addresses", &one.addresses);
}

/// One entry that is open keeps the whole key open: half a list would pass for a whole one.
fn list<T: std::fmt::Display>(page: &mut Page, key: &str, entries: &[Given<T>]) {
    if entries.is_empty() {
        return;
    }
    let open = entries.iter().any(|entry| matches!(entry, Given::Open(_)));
    let texts: Vec<_> = entries
        .iter()
        .map(|entry| match entry {
            Given::Value(value) => quoted(&value.to_string()),
            Given::Open(text) => quoted(&shown(text)),
        })
        .collect();
    let value = format!("[{}]", texts.join(", "));
    if open {
        page.open(key, value);
    } else {
        page.key(key, value);
    }
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            _ if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
