use super::*;
use crate::config::keepalived::Verdict::{Dropped, Kept, Mended, Translated};

#[test]
fn an_instance_keeps_its_settings() {
    let import = instance(
        "version 3\npriority 150\nadvert_int 0.25\npreempt_delay 5\nunicast_src_ip 10.0.0.5\nunicast_peer {\n10.0.0.6\n}\ntrack_interface {\neth1\n}",
    );
    for line in [
        "name = \"VI\"",
        "interface = \"eth0\"",
        "router_id = 51",
        "version = 3",
        "priority = 150",
        "advert_interval = \"250ms\"",
        "addresses = [\"10.0.0.1/32\"]",
        "peers = [\"10.0.0.6\"]",
        "source = \"10.0.0.5\"",
        "preempt_delay = \"5s\"",
        "track_interfaces = [\"eth1\"]",
    ] {
        assert!(import.has(line), "{line}: {}", import.text);
    }
    // Listeners and nodes are not in this file.
    assert_eq!(import.open, 2);
}

#[test]
fn addresses_are_taken_in_all_their_forms() {
    let import = import_of(
        "vrrp_instance VI {\ninterface eth0\nvirtual_ipaddress {\n10.0.0.1/24 brd 10.0.0.255 dev eth0 scope global label eth0:1\n10.0.0.2 dev eth9\n10.0.0.3 10.0.0.4\n10.0.0.3\nfd00::1\nhere\n}\n}",
    );
    assert_eq!(import.on("10.0.0.1/24").verdict, Kept);
    assert!(import.on("10.0.0.2").why.contains("eth9"));
    assert_eq!(import.on("fd00::1").verdict, Mended);
    assert_eq!(import.on("here").verdict, Mended);
    let line = "# FILL IN: addresses = [\"10.0.0.1/24\", \"10.0.0.2/32\", \"10.0.0.3/32\", \"10.0.0.4/32\", \"here\"]";
    assert!(import.has(line), "{}", import.text);
}

#[test]
fn ipv6_takes_version_3_and_no_password() {
    let import = import_of(
        "vrrp_instance VI {\ninterface eth0\nversion 2\nvirtual_ipaddress {\nfd00::1/64\n}\nauthentication {\nauth_type PASS\nauth_pass x\n}\n}",
    );
    assert!(import.has("version = 3"));
    assert!(!import.text.contains("password"));
    assert_eq!(import.on("authentication").verdict, Mended);
}

#[test]
fn a_long_password_is_cut() {
    let import = instance("authentication {\nauth_type PASS\nauth_pass 0123456789\n}");
    assert!(import.has("password = \"01234567\""));
    assert_eq!(import.on("auth_pass").verdict, Mended);
}

#[test]
fn a_password_is_written_so_that_it_reads_the_same() {
    let import = instance("authentication {\nauth_type PASS\nauth_pass \"a\\\"\\\\ #b\"\n}");
    let table = toml::from_str::<toml::Table>(&import.text).unwrap();
    let password = &table["vip"]["instance"][0]["password"];
    assert_eq!(password.as_str(), Some("a\"\\ #b"));
}

#[test]
fn passwords_of_another_type_are_dropped() {
    let import = instance("authentication {\nauth_type AH\nauth_pass x\n}");
    assert!(!import.text.contains("password ="));
    assert_eq!(import.on("auth_type").verdict, Dropped);
}

#[test]
fn intervals_fit_their_version() {
    let advert = |settings: &str| {
        let text = instance(settings).text;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("advert_interval = "));
        line.map(ToOwned::to_owned).unwrap()
    };
    assert_eq!(advert("advert_int 0.3"), "\"1s\"");
    assert_eq!(advert("advert_int 2.6"), "\"3s\"");
    assert_eq!(advert("advert_int 0.333\nversion 3"), "\"330ms\"");
    assert_eq!(advert("advert_int 50\nversion 3"), "\"40s950ms\"");
    assert_eq!(advert("advert_int soon"), "\"1s\"");
}

#[test]
fn a_priority_that_cannot_be_is_that_of_keepalived() {
    for priority in ["0", "256", "high", "-1"] {
        let import = instance(&format!("priority {priority}"));
        assert!(import.has("priority = 100"), "{priority}");
        assert_eq!(import.on("priority").verdict, Mended);
    }
}

#[test]
fn two_masters_with_one_priority_are_told_apart() {
    let import = instance("state MASTER\npriority 10");
    let why = &import.on("priority").why;
    assert!(why.contains("is MASTER with priority 10, too"), "{why}");
    assert!(why.contains("`priority = 20` there with 10 here"), "{why}");
    assert!(import.on("state").why.contains("both hosts say MASTER"));
}

#[test]
fn nopreempt_counts_with_any_state() {
    let import = instance("state MASTER\nnopreempt\npreempt_delay 5");
    assert!(import.has("preempt = false"));
    assert_eq!(import.on("nopreempt").verdict, Mended);
    assert!(!import.text.contains("preempt_delay"));
    assert_eq!(instance("nopreempt").on("nopreempt").verdict, Translated);
}

#[test]
fn instances_of_one_group_move_together() {
    let text = "vrrp_sync_group G {\ngroup {\na\nb\nc\n}\ntrack_interface {\neth7\n}\n}\nvrrp_instance a {\nvirtual_ipaddress {\n10.0.0.1\n}\n}\nvrrp_instance b {\n}\n";
    let import = import_of(text);
    assert_eq!(import.text.matches("sync_group = \"G\"").count(), 2);
    assert_eq!(
        import.text.matches("track_interfaces = [\"eth7\"]").count(),
        2
    );
    assert_eq!(import.on("c").verdict, Mended);
}

#[test]
fn a_group_of_one_is_left_out() {
    let import = import_of("vrrp_sync_groups G\ngroup {\na\n}\nvrrp_instance a {\n}\n");
    assert!(!import.text.contains("sync_group ="));
    assert_eq!(import.on("a").verdict, Dropped);
    assert!(
        import
            .on("vrrp_sync_groups")
            .why
            .contains("is not a keyword")
    );
}

#[test]
fn interfaces_that_differ_stand_in_their_instances() {
    let import = import_of(
        "vrrp_instance a {\ninterface eth0\n}\nvrrp_instance b {\ninterface eth1\n}\nvrrp_instance c {\ninterface <if>\n}",
    );
    assert_eq!(import.text.matches("\ninterface = \"eth0\"").count(), 1);
    assert_eq!(import.text.matches("\ninterface = \"eth1\"").count(), 1);
    assert!(import.has("# FILL IN: interface = \"eth0\""));
}

#[test]
fn router_ids_that_collide_are_told() {
    let text = "vrrp_instance NAME {\ninterface eth0\nvirtual_router_id 5\n}\n";
    let twice = text.replace("NAME", "a") + &text.replace("NAME", "b");
    let import = import_of(&twice);
    let remark = import
        .report
        .iter()
        .rfind(|r| r.directive == "virtual_router_id");
    assert!(remark.unwrap().why.contains("`a` has it"));
}

#[test]
fn scripts_that_nobody_watches_are_told() {
    let unused = import_of("vrrp_script s {\nscript /bin/true\n}\nvrrp_instance a {\n}");
    assert_eq!(unused.on("vrrp_script").verdict, Mended);
    let used = import_of(
        "vrrp_script s {\nscript /bin/true\n}\nvrrp_instance a {\ntrack_script {\ns weight 5\n}\n}",
    );
    assert_eq!(used.on("vrrp_script").verdict, Dropped);
}
