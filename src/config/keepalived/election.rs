//! What decides who holds the address: identity, priority and pace of an instance.

use std::time::Duration;

use super::block::Item;
use super::draft::{Given, Instance};
use super::report::Verdict::{Dropped, Kept, Mended, Translated};
use super::top::Translation;
use crate::config::duration;

impl Translation {
    pub(super) fn state(&mut self, item: &Item<'_>, arg: &str) {
        match arg {
            "MASTER" => {
                let why = "not needed: every Seawall starts as backup and the priorities decide. Where both hosts say MASTER, as with Harbor's sample on both, only their priorities tell them apart: see there";
                self.say(item, Dropped, why);
            }
            "BACKUP" => {
                let why = "not needed: every Seawall starts as backup and the priorities decide";
                self.say(item, Dropped, why);
            }
            _ => self.say(
                item,
                Mended,
                "is neither MASTER nor BACKUP; not needed, as the priorities decide",
            ),
        }
    }

    pub(super) fn router_id(&mut self, item: &Item<'_>, one: &mut Instance, id: u8) {
        let mut others = self.draft.instances.iter();
        let twin = others.find(|other| {
            matches!(other.router_id, Given::Value(other) if other == id)
                && matches!((&other.interface, &one.interface), (Given::Value(a), Given::Value(b)) if a == b)
        });
        match twin {
            Some(twin) => {
                let why = format!(
                    "`router_id`, but `{}` has it on the same interface, too: give each its own, on both hosts",
                    twin.name
                );
                self.say(item, Mended, why);
            }
            None => self.say(item, Translated, "`router_id`; the same on both hosts"),
        }
        one.router_id = Given::Value(id);
    }

    pub(super) fn priority(
        &mut self,
        item: &Item<'_>,
        one: &mut Instance,
        arg: &str,
        master: bool,
    ) {
        match arg.parse() {
            Ok(priority @ 1..=254_u8) => {
                one.priority = priority;
                let other = if priority < 245 {
                    priority + 10
                } else {
                    priority - 10
                };
                let both = if master {
                    format!(
                        "a host that has this file, too, is MASTER with priority {priority}, too; "
                    )
                } else {
                    String::new()
                };
                let why = format!(
                    "the higher one gets the address. {both}write another one on the other host: `priority = {other}` there with {priority} here"
                );
                self.say(item, Kept, why);
            }
            Ok(255) => {
                one.priority = 255;
                self.say(item, Kept, "means that this host owns the address: it takes it at once, always; write less on the other host");
            }
            _ => {
                let why = "is not a number from 1 to 255; 100, as keepalived has it then; the other host needs another one";
                self.say(item, Mended, why);
            }
        }
    }

    pub(super) fn advert(&mut self, item: &Item<'_>, one: &mut Instance) {
        let Some(given) = seconds(item.arg().unwrap_or_default(), 255.0) else {
            let why = "is not a number of seconds; 1 s, as keepalived has it; it must be the same on both hosts";
            self.say(item, Mended, why);
            return;
        };
        let fitting = match one.version {
            // RFC 5798 section 5.2.7: twelve bits of centiseconds.
            3 => {
                let hundredths = u64::try_from(given.as_millis() / 10).unwrap_or(u64::MAX);
                Duration::from_millis(hundredths.clamp(1, 4095) * 10)
            }
            // RFC 3768 section 5.3.7: whole seconds.
            _ => {
                let rounded = (given + Duration::from_millis(500)).as_secs();
                Duration::from_secs(rounded.clamp(1, 255))
            }
        };
        one.advert_interval = fitting;
        if fitting == given {
            self.say(
                item,
                Translated,
                "`advert_interval`; it must be the same on both hosts",
            );
        } else {
            let shown = duration::show(fitting);
            let why = format!(
                "`advert_interval = \"{shown}\"`: version {} cannot say it finer or longer",
                one.version
            );
            self.say(item, Mended, why);
        }
    }
}

/// A number of seconds with decimals, up to `most`.
pub(super) fn seconds(text: &str, most: f64) -> Option<Duration> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = text.parse().ok().filter(|_| plain)?;
    let millis = (number * 1000.0).round();
    (number <= most).then_some(())?;
    Duration::try_from_secs_f64(millis / 1000.0).ok()
}
