//! Which ports a virtual server is for, and whether they are a registry's.

use std::collections::HashMap;
use std::net::IpAddr;

use super::block::Item;
use super::draft::Door;
use super::report::Verdict::{Dropped, Translated};
use super::report::shown;
use super::top::Translation;
use super::tree::Directive;

/// The port of Notary beside Harbor 1.x.
const NOTARY: u16 = 4443;

/// Ports of what is often behind LVS beside a registry, and is none.
const OTHERS: [u16; 14] = [
    21, 22, 25, 53, 110, 143, 389, 636, 1433, 3306, 5432, 6379, 11211, 26379,
];

/// The doors of each `virtual_server_group`, without those that are there already.
pub(super) type Groups = HashMap<String, Vec<Door>>;

impl Translation {
    pub(super) fn server_group(&mut self, block: &Item<'_>, groups: &mut Groups) {
        self.say(
            block,
            Translated,
            "its ports become [[listen]] where a virtual_server names it",
        );
        let doors = groups
            .entry(block.arg().unwrap_or_default().to_owned())
            .or_default();
        for directive in block.inside() {
            let port = directive.args().first().and_then(|port| port.parse().ok());
            match port {
                Some(port @ 1..) if directive.word() != "fwmark" => {
                    let door = Door {
                        ipv6: directive.word().contains(':'),
                        port,
                        tls: false,
                    };
                    if !doors.contains(&door) {
                        doors.push(door);
                    }
                    self.report.directive(
                        directive,
                        Translated,
                        "its port; Seawall listens on every address",
                    );
                }
                _ => self
                    .report
                    .directive(directive, Dropped, "names no port to listen on"),
            }
            self.report.drop_inside(directive);
        }
    }
}

/// The doors that a virtual server asks for, and what had to be guessed.
pub(super) fn doors(
    block: &Item<'_>,
    items: &[Item<'_>],
    groups: &Groups,
) -> (Vec<Door>, Option<String>) {
    let args = block.args();
    let first = args.first().map_or("", String::as_str);
    let second = args.get(1).map_or("", String::as_str);
    let door = |port| Door {
        ipv6: first.contains(':'),
        port,
        tls: false,
    };
    let of_nodes = || {
        let mut nodes = items.iter().filter(|item| item.key == "real_server");
        let port = nodes.find_map(|item| item.args().get(1)?.parse().ok());
        port.filter(|port| *port > 0).map(door)
    };
    match first {
        "group" => match groups.get(second) {
            Some(doors) if !doors.is_empty() => (doors.clone(), None),
            _ => {
                let note = format!(
                    "the port is that of the first real_server, as no group `{}` with ports is there",
                    shown(second)
                );
                (of_nodes().into_iter().collect(), Some(note))
            }
        },
        "fwmark" => {
            let note = "the port is that of the first real_server: the rules that set the mark know the right one; remove them when no host runs LVS any more".to_owned();
            (of_nodes().into_iter().collect(), Some(note))
        }
        _ => {
            let note = first.parse::<IpAddr>().is_err().then(|| {
                format!(
                    "`{}` is not an address, but none is needed here",
                    shown(first)
                )
            });
            match second.parse() {
                Ok(port @ 1..) => (vec![door(port)], note),
                _ => {
                    let note = "no port is given; it is that of the first real_server".to_owned();
                    (of_nodes().into_iter().collect(), Some(note))
                }
            }
        }
    }
}

/// Why a virtual server is nothing for Seawall, if it is not.
pub(super) fn other_service(doors: &[Door], items: &[Item<'_>]) -> Option<String> {
    let protocol = items
        .iter()
        .find(|item| item.key == "protocol")
        .and_then(Item::arg);
    if let Some(protocol @ ("UDP" | "SCTP")) = protocol {
        return Some(format!(
            "not possible: Seawall serves HTTP, and this is {protocol}; leave it to keepalived on other hosts"
        ));
    }
    let port = doors.first()?.port;
    if port == NOTARY {
        return Some("not needed: it is Notary's port, which Harbor 2.6 left out; signatures of cosign and notation are in the registry itself. If clients still sign with Notary, let them reach a node directly".into());
    }
    let checked = ["SMTP_CHECK", "DNS_CHECK", "UDP_CHECK"]
        .into_iter()
        .find(|check| {
            let mut nodes = items.iter().filter(|item| item.key == "real_server");
            nodes.any(|node| nested(node.inside(), check))
        });
    if OTHERS.contains(&port) || checked.is_some() {
        return Some(format!(
            "not possible: Seawall serves HTTP, and port {port} seems to be something else; leave it to keepalived on other hosts, or write a [[listen]] if it is a registry"
        ));
    }
    None
}

/// Whether a keyword is somewhere in a block.
pub(super) fn nested(block: &[Directive], word: &str) -> bool {
    block
        .iter()
        .any(|directive| directive.word() == word || nested(directive.inside(), word))
}
