//! What stands outside of all blocks.

use std::collections::BTreeSet;

use super::block::{Item, Known};
use super::draft::Draft;
use super::reasons::{ALSO, ARP, LVS, PROCESS, ROUTES};
use super::report::Report;
use super::report::Verdict::{self, Dropped};
use super::tree::Directive;

const TOP: Known = Known {
    read: &[
        "global_defs",
        "vrrp_script",
        "vrrp_sync_group",
        "group",
        "vrrp_instance",
        "virtual_server_group",
        "virtual_server",
    ],
    fixed: &[
        ("static_ipaddress", Dropped, ROUTES),
        ("static_routes", Dropped, ROUTES),
        ("static_rules", Dropped, ROUTES),
        ("track_group", Dropped, ALSO),
        ("vrrp_track_file", Dropped, ALSO),
        ("track_file", Dropped, ALSO),
        ("vrrp_track_process", Dropped, ALSO),
        ("track_process", Dropped, ALSO),
        ("bfd_instance", Dropped, ALSO),
        ("garp_group", Dropped, ARP),
        ("interface_up_down_delays", Dropped, ALSO),
        (
            "linkbeat_interfaces",
            Dropped,
            "not needed: the kernel tells Seawall of links",
        ),
        (
            "linkbeat_use_polling",
            Dropped,
            "not needed: the kernel tells Seawall of links",
        ),
        (
            "net_namespace",
            Dropped,
            "start Seawall in the namespace: `ip netns exec`, or NetworkNamespacePath= of systemd",
        ),
        ("net_namespace_ipvs", Dropped, LVS),
        ("namespace_with_ipsets", Dropped, LVS),
        ("instance", Dropped, PROCESS),
        ("use_pid_dir", Dropped, PROCESS),
        ("child_wait_time", Dropped, PROCESS),
        (
            "SSL",
            Dropped,
            "was for checks with SSL_GET; Seawall's nodes have `ca` and `client_certificate`",
        ),
    ],
};

/// What is known so far, and what comes of it.
pub(super) struct Translation {
    pub(super) report: Report,
    pub(super) draft: Draft,
    /// The version of instances that name none.
    pub(super) version: Option<u8>,
    /// Scripts that an instance or a group watches.
    pub(super) watched: BTreeSet<String>,
}

impl Translation {
    pub(super) fn say(&mut self, item: &Item<'_>, verdict: Verdict, why: impl Into<String>) {
        self.report.say(item, verdict, why);
    }

    /// Reads the whole file: what others refer to first.
    pub(super) fn file(&mut self, file: &[Directive]) {
        let items = TOP.walk(file, &mut self.report);
        let of = |key: &'static str| items.iter().filter(move |item| item.key == key);
        for item in of("global_defs") {
            self.globals(item);
        }
        for item in of("vrrp_instance") {
            self.instance(item);
        }
        self.sync_groups(&items);
        for item in of("vrrp_script") {
            self.script(item);
        }
        self.servers(&items);
        self.report.cover(file);
    }
}
