//! `global_defs`: what is true of all of keepalived.

use super::block::{Item, Known};
use super::reasons::{ARP, LVS, MAIL, PROCESS, SCRIPTS};
use super::report::Verdict::{Dropped, Mended, Translated};
use super::top::Translation;

const GLOBAL: Known = Known {
    read: &["vrrp_version"],
    fixed: &[
        (
            "router_id",
            Dropped,
            "not needed: it was a name for mails; logs and metrics have the name of the host",
        ),
        ("notification_email", Dropped, MAIL),
        ("notification_email_from", Dropped, MAIL),
        ("smtp_server", Dropped, MAIL),
        ("smtp_helo_name", Dropped, MAIL),
        ("smtp_connect_timeout", Dropped, MAIL),
        ("smtp_alert", Dropped, MAIL),
        ("smtp_alert_vrrp", Dropped, MAIL),
        ("smtp_alert_checker", Dropped, MAIL),
        ("no_email_faults", Dropped, MAIL),
        ("no_checker_emails", Dropped, MAIL),
        ("enable_script_security", Dropped, SCRIPTS),
        ("script_user", Dropped, SCRIPTS),
        ("startup_script", Dropped, SCRIPTS),
        ("startup_script_timeout", Dropped, SCRIPTS),
        ("shutdown_script", Dropped, SCRIPTS),
        ("shutdown_script_timeout", Dropped, SCRIPTS),
        ("notify_fifo", Dropped, SCRIPTS),
        ("notify_fifo_script", Dropped, SCRIPTS),
        ("vrrp_notify_fifo", Dropped, SCRIPTS),
        ("vrrp_notify_fifo_script", Dropped, SCRIPTS),
        ("lvs_notify_fifo", Dropped, SCRIPTS),
        ("lvs_notify_fifo_script", Dropped, SCRIPTS),
        ("vrrp_garp_master_delay", Dropped, ARP),
        ("vrrp_garp_master_repeat", Dropped, ARP),
        ("vrrp_garp_lower_prio_delay", Dropped, ARP),
        ("vrrp_garp_lower_prio_repeat", Dropped, ARP),
        ("vrrp_garp_master_refresh", Dropped, ARP),
        ("vrrp_garp_master_refresh_repeat", Dropped, ARP),
        ("vrrp_garp_interval", Dropped, ARP),
        ("vrrp_garp_extra_if", Dropped, ARP),
        ("vrrp_gna_interval", Dropped, ARP),
        ("vrrp_min_garp", Dropped, ARP),
        ("lvs_flush", Dropped, LVS),
        ("lvs_flush_on_stop", Dropped, LVS),
        ("lvs_sync_daemon", Dropped, LVS),
        ("lvs_timeouts", Dropped, LVS),
        (
            "vrrp_strict",
            Dropped,
            "Seawall is strict in what it takes from others, and nothing turns it off; it forbids neither passwords nor unicast, as keepalived's does",
        ),
        (
            "vrrp_skip_check_adv_addr",
            Dropped,
            "not possible: the addresses in adverts are always checked",
        ),
        (
            "vrrp_check_unicast_src",
            Dropped,
            "not needed: adverts from others than the peers are never taken",
        ),
        (
            "vrrp_mcast_group4",
            Dropped,
            "not possible: adverts go to 224.0.0.18; with another group, name each other in `peers` on both hosts",
        ),
        (
            "vrrp_mcast_group6",
            Dropped,
            "not possible: adverts go to ff02::12; with another group, name each other in `peers` on both hosts",
        ),
        ("vrrp_lower_prio_no_advert", Dropped, "not needed"),
        ("vrrp_higher_prio_send_advert", Dropped, "not needed"),
        (
            "vrrp_down_timer_adverts",
            Dropped,
            "not possible: a master is given up after three adverts, as the RFC has it",
        ),
        (
            "vrrp_startup_delay",
            Dropped,
            "not needed: a door takes the address when it can serve, not before",
        ),
        ("vrrp_notify_priority_changes", Dropped, SCRIPTS),
        (
            "vrrp_iptables",
            Dropped,
            "not needed: no firewall rules are made",
        ),
        (
            "vrrp_ipsets",
            Dropped,
            "not needed: no firewall rules are made",
        ),
        (
            "nftables",
            Dropped,
            "not needed: no firewall rules are made",
        ),
        ("default_interface", Dropped, "was for static addresses"),
        (
            "dynamic_interfaces",
            Dropped,
            "not needed: an interface may come later",
        ),
        (
            "allow_if_changes",
            Dropped,
            "not needed: an interface may come later",
        ),
        ("disable_local_igmp", Dropped, "not needed"),
        (
            "vmac_prefix",
            Dropped,
            "not needed: names of interfaces are chosen by Seawall",
        ),
        (
            "vmac_addr_prefix",
            Dropped,
            "not needed: names of interfaces are chosen by Seawall",
        ),
        (
            "checker_log_all_failures",
            Dropped,
            "not needed: the log tells when a component of a node changes",
        ),
        ("log_unknown_vrids", Dropped, "not needed"),
        ("max_auto_priority", Dropped, PROCESS),
        ("min_auto_priority_delay", Dropped, PROCESS),
        ("vrrp_priority", Dropped, PROCESS),
        ("vrrp_no_swap", Dropped, PROCESS),
        ("vrrp_rt_priority", Dropped, PROCESS),
        ("vrrp_rlimit_rttime", Dropped, PROCESS),
        ("vrrp_cpu_affinity", Dropped, PROCESS),
        ("vrrp_process_name", Dropped, PROCESS),
        ("vrrp_rx_bufs_policy", Dropped, PROCESS),
        ("vrrp_rx_bufs_multiplier", Dropped, PROCESS),
        ("vrrp_netlink_cmd_rcv_bufs", Dropped, PROCESS),
        ("vrrp_netlink_monitor_rcv_bufs", Dropped, PROCESS),
        ("checker_priority", Dropped, PROCESS),
        ("checker_no_swap", Dropped, PROCESS),
        ("checker_rt_priority", Dropped, PROCESS),
        ("checker_rlimit_rttime", Dropped, PROCESS),
        ("checker_cpu_affinity", Dropped, PROCESS),
        ("checker_process_name", Dropped, PROCESS),
        ("bfd_priority", Dropped, PROCESS),
        ("bfd_no_swap", Dropped, PROCESS),
        ("bfd_process_name", Dropped, PROCESS),
        ("process_name", Dropped, PROCESS),
        ("process_names", Dropped, PROCESS),
        ("process_monitor_rcv_bufs", Dropped, PROCESS),
        ("rs_init_notifies", Dropped, SCRIPTS),
        (
            "snmp_socket",
            Dropped,
            "Seawall has metrics instead of SNMP",
        ),
        (
            "enable_snmp_vrrp",
            Dropped,
            "Seawall has metrics instead of SNMP",
        ),
        (
            "enable_snmp_checker",
            Dropped,
            "Seawall has metrics instead of SNMP",
        ),
        (
            "enable_snmp_rfc",
            Dropped,
            "Seawall has metrics instead of SNMP",
        ),
        (
            "enable_snmp_rfcv2",
            Dropped,
            "Seawall has metrics instead of SNMP",
        ),
        (
            "enable_snmp_rfcv3",
            Dropped,
            "Seawall has metrics instead of SNMP",
        ),
        (
            "enable_traps",
            Dropped,
            "Seawall has metrics instead of SNMP",
        ),
        (
            "enable_dbus",
            Dropped,
            "Seawall has an admin address instead of D-Bus",
        ),
        (
            "dbus_service_name",
            Dropped,
            "Seawall has an admin address instead of D-Bus",
        ),
        ("umask", Dropped, PROCESS),
        ("random_seed", Dropped, PROCESS),
        ("include_check", Dropped, PROCESS),
        (
            "reload_check_config",
            Dropped,
            "not needed: a reload always checks first",
        ),
        ("reload_time_file", Dropped, PROCESS),
        ("reload_repeat", Dropped, PROCESS),
        ("reload_file", Dropped, PROCESS),
        ("data_use_instance", Dropped, PROCESS),
        ("config_save_dir", Dropped, PROCESS),
        ("tmp_config_directory", Dropped, PROCESS),
        ("fifo_write_vrrp_states_on_reload", Dropped, SCRIPTS),
    ],
};

impl Translation {
    pub(super) fn globals(&mut self, block: &Item<'_>) {
        self.say(
            block,
            Dropped,
            "Seawall has no such block; its settings are told one by one",
        );
        for item in GLOBAL.walk(block.inside(), &mut self.report) {
            match item.arg() {
                Some("2" | "3") => {
                    self.version = item.arg().and_then(|text| text.parse().ok());
                    let why = "`version` of each instance that names none";
                    self.say(&item, Translated, why);
                }
                _ => self.say(&item, Mended, "is neither 2 nor 3; left out"),
            }
        }
    }
}
