//! Instances beside each other: what they may not share, and what a group must.

use super::VipInstance;
use crate::config::scope::Scope;
use crate::config::{At, Wrong};

/// Where the keys of an instance stand.
pub(super) struct Places {
    name: At,
    router_id: At,
    addresses: At,
    sync_group: At,
}

impl Places {
    pub(super) fn of(table: &Scope<'_>) -> Self {
        Self {
            name: table.at_key("name"),
            router_id: table.at_key("router_id"),
            addresses: table.at_key("addresses"),
            sync_group: table.at_key("sync_group"),
        }
    }
}

/// Reports what is wrong with `one` beside the instances before it.
pub(super) fn report(
    scope: &Scope<'_>,
    places: &Places,
    one: &VipInstance,
    others: &[VipInstance],
) {
    let complain = |at: At, key: &str, what: String, fix: &str| {
        scope.wrong_at(at, &format!("instance.{key}"), Wrong::new(what, fix));
    };
    for (index, address) in one.addresses.iter().enumerate() {
        let ip = address.addr();
        let before = one.addresses.iter().take(index);
        if before.clone().any(|other| other.addr() == ip) {
            let what = format!("has {ip} twice");
            complain(places.addresses, "addresses", what, "remove one of the two");
        }
        let holds = |other: &&VipInstance| other.addresses.iter().any(|net| net.addr() == ip);
        if let Some(other) = others.iter().find(holds) {
            let what = format!("has {ip}, as the instance in line {}", other.at.line);
            let fix = "give each address to one instance";
            complain(places.addresses, "addresses", what, fix);
        }
    }
    for other in others {
        let line = other.at.line;
        if other.name == one.name {
            let what = format!(
                "`{}` is the name of the instance in line {line}, too",
                one.name
            );
            complain(
                places.name,
                "name",
                what,
                "give each instance a name of its own",
            );
        }
        let same_wire = other.interface == one.interface && is_v6(other) == is_v6(one);
        if same_wire && other.router_id == one.router_id {
            let what = format!(
                "{} on {} belongs to the instance in line {line}, too",
                one.router_id, one.interface
            );
            let fix = "give each instance of an interface a router_id of its own";
            complain(places.router_id, "router_id", what, fix);
        }
        // With different ones, each door would be better for some members, and no door would hold them all.
        let alike = other.priority == one.priority && other.preempt == one.preempt;
        if one.sync_group.is_some() && other.sync_group == one.sync_group && !alike {
            let what =
                format!("holds the instance in line {line}, which differs in priority or preempt");
            let fix = "give all instances of a group the same priority and preempt";
            complain(places.sync_group, "sync_group", what, fix);
            break;
        }
    }
}

fn is_v6(instance: &VipInstance) -> bool {
    instance.addresses.iter().any(|net| net.addr().is_ipv6())
}
