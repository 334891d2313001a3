//! Virtual addresses and passwords of an instance.

use std::net::IpAddr;

use super::block::{Item, Known};
use super::draft::{Given, Instance};
use super::report::Verdict::{Dropped, Kept, Mended, Translated};
use super::report::shown;
use super::top::Translation;
use super::tree::Directive;
use crate::config::vip::may_be_shared;

/// RFC 3768 has room for this much.
const LONGEST_PASSWORD: usize = 8;

const AUTHENTICATION: Known = Known {
    read: &["auth_type", "auth_pass"],
    fixed: &[],
};

/// Words behind an address with a value of their own.
const WITH_VALUE: [&str; 6] = [
    "brd",
    "broadcast",
    "scope",
    "label",
    "peer",
    "preferred_lft",
];

impl Translation {
    pub(super) fn addresses(&mut self, block: &Item<'_>, one: &mut Instance, ipv6: bool) {
        if block.key == "virtual_ipaddress_excluded" {
            let why = "not possible: Seawall's addresses are those in its adverts. With Seawall on both hosts, put them into `addresses`; IPv6 ones into an instance of their own with the same sync_group";
            self.say(block, Dropped, why);
            for directive in block.inside() {
                one.excluded.push(directive.word().to_owned());
                self.report.directive(
                    directive,
                    Dropped,
                    "goes with the block; it stands in the configuration as a comment",
                );
                self.report.drop_inside(directive);
            }
            return;
        }
        self.say(block, Translated, "`addresses`; the same on both hosts");
        for directive in block.inside() {
            self.address(directive, one, ipv6);
            self.report.drop_inside(directive);
        }
    }

    fn address(&mut self, directive: &Directive, one: &mut Instance, ipv6: bool) {
        let word = directive.word();
        let Some((address, length)) = network(word) else {
            one.addresses.push(Given::Open(word.to_owned()));
            let why = format!(
                "`{}` is not an address: fill it in where the configuration says FILL IN",
                shown(word)
            );
            self.report.directive(directive, Mended, why);
            return;
        };
        if address.is_ipv6() != ipv6 {
            one.excluded.push(word.to_owned());
            let why = "is of another family than the first one, so keepalived ignored it; it stands in the configuration as a comment: give it an instance of its own";
            self.report.directive(directive, Mended, why);
            return;
        }
        let mut wrong = Vec::new();
        let mut dropped = Vec::new();
        let text = format!("{address}/{length}");
        self.push_address(one, text, &mut wrong);
        let mut words = directive.args().iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "dev" => {
                    let interface = words.next().map_or("", String::as_str);
                    if !matches!(&one.interface, Given::Value(own) if own == interface) {
                        let interface = shown(interface);
                        wrong.push(format!("`dev {interface}` is not possible, the address goes to the interface of the adverts; if it must be {interface}, make that the `interface`, on both hosts"));
                    }
                }
                with_value if WITH_VALUE.contains(&with_value) => {
                    words.next();
                    dropped.push(shown(with_value));
                }
                // Some write several in one line; keepalived takes the first only.
                other => match network(other) {
                    Some((address, length)) if address.is_ipv6() == ipv6 => {
                        wrong.push(format!("{address} was ignored by keepalived: one address a line; taken all the same"));
                        self.push_address(one, format!("{address}/{length}"), &mut wrong);
                    }
                    _ => dropped.push(shown(other)),
                },
            }
        }
        let mut why = vec!["`addresses`".to_owned()];
        if !dropped.is_empty() {
            why.push(format!("not needed: {}", dropped.join(", ")));
        }
        let verdict = if wrong.is_empty() { Kept } else { Mended };
        why.extend(wrong);
        self.report.directive(directive, verdict, why.join("; "));
    }

    fn push_address(&mut self, one: &mut Instance, text: String, wrong: &mut Vec<String>) {
        let taken = one
            .addresses
            .iter()
            .any(|other| matches!(other, Given::Value(other) if *other == text));
        if taken {
            wrong.push(format!("{text} is there already; left out"));
        } else {
            one.addresses.push(Given::Value(text));
        }
    }

    pub(super) fn authentication(&mut self, block: &Item<'_>, one: &mut Instance) {
        let items = AUTHENTICATION.walk(block.inside(), &mut self.report);
        let kind = items
            .iter()
            .find(|item| item.key == "auth_type")
            .and_then(Item::arg);
        let pass = kind == Some("PASS");
        if one.version == 3 {
            let why = "version 3 has no passwords, and keepalived ignored it";
            self.say(block, Mended, why);
        } else {
            self.say(
                block,
                Translated,
                "`password`, for peers that need it; it goes over the wire as plain text",
            );
        }
        for item in &items {
            let arg = item.arg().unwrap_or_default();
            match (item.key, one.version) {
                (_, 3) => self.say(item, Dropped, "version 3 has no passwords"),
                ("auth_type", _) if pass => {
                    self.say(item, Translated, "a `password` is always of this type")
                }
                ("auth_type", _) => {
                    let why = "not possible: Seawall knows PASS only; write `auth_type PASS` on the other host, or remove its authentication";
                    self.say(item, Dropped, why);
                }
                _ if !pass => self.say(item, Dropped, "was not used, as the type is not PASS"),
                _ if arg.is_empty() => self.say(item, Mended, "is empty; left out"),
                _ => self.password(item, one, arg),
            }
        }
    }

    fn password(&mut self, item: &Item<'_>, one: &mut Instance, given: &str) {
        let mut end = given.len().min(LONGEST_PASSWORD);
        while !given.is_char_boundary(end) {
            end -= 1;
        }
        let cut = given.get(..end).unwrap_or_default();
        one.password = Some(cut.to_owned());
        if cut == given {
            let why = "`password`; `password_file` keeps it out of the configuration";
            self.say(item, Translated, why);
        } else {
            let why = format!(
                "is longer than {LONGEST_PASSWORD} characters; cut to that, as keepalived does: `password`"
            );
            self.say(item, Mended, why);
        }
    }
}

/// An address with the length of its network; that of a single address when none is given.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().ok().filter(|ip| may_be_shared(*ip))?;
    let most = if address.is_ipv6() { 128 } else { 32 };
    let length = match length {
        None => most,
        Some(length) => length.parse().ok().filter(|length| *length <= most)?,
    };
    Some((address, length))
}
