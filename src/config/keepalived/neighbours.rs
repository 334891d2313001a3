//! Peers, and interfaces that are watched.

use std::net::IpAddr;

use super::block::Item;
use super::draft::{Given, Instance};
use super::report::Verdict::{Dropped, Kept, Mended, Translated};
use super::top::Translation;

impl Translation {
    pub(super) fn peers(&mut self, block: &Item<'_>, one: &mut Instance, ipv6: bool) {
        if block.inside().is_empty() {
            self.say(
                block,
                Mended,
                "names no peer; left out: adverts are multicast",
            );
            return;
        }
        self.say(
            block,
            Translated,
            "`peers`; they are those of this host: the other host has this one in its list",
        );
        for directive in block.inside() {
            let addresses: Vec<_> = directive
                .words()
                .iter()
                .filter_map(|word| word.parse::<IpAddr>().ok())
                .collect();
            let sound =
                !addresses.is_empty() && addresses.iter().all(|address| address.is_ipv6() == ipv6);
            let plain = addresses.len() == directive.words().len();
            if sound {
                one.peers.extend(addresses.into_iter().map(Given::Value));
                if plain {
                    self.report.directive(directive, Kept, "`peers`");
                } else {
                    let why = "`peers`; what stands behind the address is left out: a TTL is not checked for peers";
                    self.report.directive(directive, Dropped, why);
                }
            } else {
                one.peers.push(Given::Open(directive.word().to_owned()));
                let why = "is not an address of the family of the virtual addresses: fill it in where the configuration says FILL IN";
                self.report.directive(directive, Mended, why);
            }
            self.report.drop_inside(directive);
        }
    }

    /// Adds the interfaces of a block to the instances at `indices`.
    pub(super) fn interfaces(&mut self, block: &Item<'_>, indices: &[usize]) {
        for directive in block.inside() {
            let name = directive.word();
            let mut own = !indices.is_empty();
            for at in indices {
                let Some(one) = self.draft.instances.get_mut(*at) else {
                    continue;
                };
                if !matches!(&one.interface, Given::Value(interface) if interface == name)
                    && is_interface(name)
                {
                    own = false;
                    one.track_interfaces.insert(name.to_owned());
                }
            }
            if !is_interface(name) {
                self.report.directive(
                    directive,
                    Mended,
                    "is not the name of an interface; left out",
                );
            } else if own {
                let why = "not needed: the interface of the instance is watched always";
                self.report.directive(directive, Dropped, why);
            } else if directive.args().is_empty() {
                self.report
                    .directive(directive, Translated, "`track_interfaces`");
            } else {
                let why = "`track_interfaces`; a weight is not possible: when the interface is down, this host gives the address up";
                self.report.directive(directive, Mended, why);
            }
            self.report.drop_inside(directive);
        }
    }
}

/// Whether Linux could have an interface of this name: at most 15 bytes.
pub(super) fn is_interface(name: &str) -> bool {
    let sound = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '<' | '>' | '"' | '\'' | '\\');
    (1..=15).contains(&name.len()) && name.chars().all(sound) && name != "." && name != ".."
}
