//! `[vip]`: the addresses that move between the doors, by VRRP.

mod instance;
mod overlap;
#[cfg(test)]
mod tests;

pub(super) use instance::may_be_shared;
pub use instance::{VipInstance, VrrpVersion};

use std::time::Duration;

use super::scope::Scope;
use super::{At, Wrong};

/// The longest name of an interface that Linux takes, without the zero behind it.
const LONGEST_INTERFACE: usize = 15;

/// The virtual addresses of this door.
#[derive(Clone, Debug, PartialEq)]
pub struct Vip {
    /// Where its table begins.
    pub at: At,
    /// How long transfers that run may hold up a planned hand-over.
    pub release_within: Duration,
    /// Whether addresses get the MAC address of their router ID (RFC 9568 section 7.3).
    pub virtual_mac: bool,
    /// One virtual router each; never empty.
    pub instance: Vec<VipInstance>,
}

impl Vip {
    /// `None` when the table is absent or lacks what it needs.
    pub(super) fn read(mut scope: Scope<'_>) -> Option<Self> {
        let at = scope.at();
        let interface = scope.word("interface", read_interface);
        scope.need(
            "interface",
            "name the one that the nodes are reached by, like \"eth0\"",
        );
        let release_within = scope
            .duration("release_within", Duration::ZERO..=Duration::from_secs(3600))
            .unwrap_or(Duration::from_secs(30));
        let virtual_mac = scope.flag("virtual_mac").unwrap_or(false);
        let tables = scope.tables("instance");
        if scope.is_present() && tables.is_empty() && !scope.has("instance") {
            let fix = "add a [[vip.instance]] with router_id and addresses";
            scope.wrong("instance", Wrong::new("is missing", fix));
        }
        let mut instance: Vec<VipInstance> = Vec::with_capacity(tables.len());
        for table in tables {
            let places = overlap::Places::of(&table);
            let Some(one) = VipInstance::read(table, interface.as_deref()) else {
                continue;
            };
            overlap::report(&scope, &places, &one, &instance);
            instance.push(one);
        }
        let present = scope.is_present();
        scope.finish();
        (present && !instance.is_empty()).then_some(Self {
            at,
            release_within,
            virtual_mac,
            instance,
        })
    }
}

/// Reads the name of an interface.
fn read_interface(text: &str) -> Result<String, Wrong> {
    let sound = text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    if sound && (1..=LONGEST_INTERFACE).contains(&text.len()) && text != "." && text != ".." {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(
            format!("`{}` cannot be an interface", text.escape_debug()),
            "write a name as `ip link` shows it, like \"eth0\"",
        ))
    }
}
