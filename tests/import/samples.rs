//! Harbor's own samples, faults and all, and others as they run in the world.

use seawall::balance::Algorithm;
use seawall::config::keepalived::Verdict::{self, Dropped, Kept, Mended, Translated};

use super::{folder, remark, sample, taken};

const ACTIVE: &str = "keepalived_active_active.conf";
const STANDBY: &str = "keepalived_active_standby.conf";

/// Checks verdicts, and a word of each reason.
fn told(name: &str, expected: &[(usize, &str, Verdict, &str)]) {
    let import = sample(name);
    for (line, directive, verdict, word) in expected {
        let remark = remark(&import, *line, directive);
        assert_eq!(remark.verdict, *verdict, "{remark}");
        assert!(remark.why.contains(word), "{word}: {remark}");
    }
}

#[test]
fn every_directive_of_the_active_sample_has_one_line() {
    let import = sample(ACTIVE);
    let text = std::fs::read_to_string(folder().join(ACTIVE)).unwrap();
    let written = text.lines().zip(1..).filter(|(line, _)| {
        let line = line.trim();
        !line.is_empty() && line != "}" && !line.starts_with('#')
    });
    // And one for the server that is commented out.
    let mut lines: Vec<usize> = written.map(|(_, number)| number).collect();
    lines.push(63);
    let told: Vec<_> = import.report.iter().map(|remark| remark.line).collect();
    assert_eq!(told, lines);
}

#[test]
fn every_fault_of_the_active_sample_is_named() {
    told(
        ACTIVE,
        &[
            (4, "vrrp_sync_groups", Mended, "is not a keyword"),
            (18, "state", Dropped, "both hosts say MASTER"),
            (20, "priority", Kept, "`priority = 20` there with 10 here"),
            (23, "<change_to_VIP_address>/32", Mended, "fill it in"),
            (
                34,
                "virtual_server",
                Mended,
                "`<change_to_VIP_address>` is not an address",
            ),
            (35, "delay_loop", Mended, "`interval = \"2s\"`"),
            (36, "lb_algo", Translated, "round-robin"),
            (37, "lb_kind", Dropped, "iptables"),
            (39, "nat_mask", Mended, "is not a keyword"),
            (40, "persistence_timeout", Dropped, "upload"),
            (42, "real_server", Mended, "`<harbor_node1_ip>`"),
            (45, "misc_path", Mended, "308"),
            (45, "misc_path", Mended, "/api/systeminfo"),
            (46, "misc_timeout", Translated, "`timeout = \"5s\"`"),
            (50, "real_server", Mended, "`<harbor_node2_ip>`"),
            (53, "misc_path", Mended, "308"),
            (63, "#virtual_server", Dropped, "port 443 is not served"),
        ],
    );
}

#[test]
fn every_fault_of_the_standby_sample_is_named() {
    told(
        STANDBY,
        &[
            (4, "vrrp_script", Mended, "no instance has a track_script"),
            (5, "script", Mended, "always fails"),
            (5, "script", Mended, "`http_code = …`"),
            (7, "fail", Mended, "`fail` is not a keyword"),
            (7, "fail", Mended, "`fall`"),
            (10, "vrrp_sync_groups", Mended, "is not a keyword"),
            (23, "state", Dropped, "both hosts say MASTER"),
            (25, "priority", Kept, "`priority = 20` there with 10 here"),
            (28, "VIP/32", Mended, "fill it in"),
        ],
    );
}

#[test]
fn placeholders_become_missing_keys() {
    let import = sample(ACTIVE);
    assert_eq!(import.open, 3);
    for line in [
        "# FILL IN: addresses = [\"<change_to_VIP_address>/32\"]",
        "# FILL IN: url = \"http://harbor_node1_ip\"",
        "# FILL IN: url = \"http://harbor_node2_ip\"",
    ] {
        assert!(import.text.lines().any(|one| one == line), "{line}");
    }
    let problems = taken(&import).unwrap_err();
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "cluster.node.url",
            "cluster.node.url",
            "vip.instance.addresses"
        ]
    );
}

#[test]
fn filled_in_the_active_sample_is_a_configuration() {
    let text = std::fs::read_to_string(folder().join(ACTIVE)).unwrap();
    let filled = text
        .replace("<change_to_VIP_address>", "192.168.198.100")
        .replace("<harbor_node1_ip>", "192.168.198.133")
        .replace("<harbor_node2_ip>", "192.168.198.135");
    let file = folder().join(ACTIVE);
    let import = seawall::config::keepalived::import_text(&filled, &file, None).unwrap();
    assert_eq!(import.open, 0);
    let config = taken(&import).unwrap();
    assert_eq!(config.listen[0].address, "0.0.0.0:80".parse().unwrap());
    assert_eq!(config.cluster.balance, Algorithm::RoundRobin);
    let nodes = config.cluster.node.iter().map(|node| {
        let url = node.endpoints.main().to_string();
        (node.name.clone(), url, node.weight)
    });
    let expected = [
        ("harbor-1".into(), "http://192.168.198.133".into(), 10),
        ("harbor-2".into(), "http://192.168.198.135".into(), 10),
    ];
    assert_eq!(nodes.collect::<Vec<_>>(), expected);
    let vip = import.text.split("\n[vip]\n").nth(1).unwrap();
    assert_eq!(
        vip,
        "interface = \"ens160\"\n\n[[vip.instance]]\nname = \"VI_1\"\nrouter_id = 51\nversion = 2\npriority = 10\nadvert_interval = \"1s\"\naddresses = [\"192.168.198.100/32\"]\npassword = \"d0cker\"\n"
    );
}

#[test]
fn with_its_https_uncommented_the_active_sample_ends_tls() {
    let text = std::fs::read_to_string(folder().join(ACTIVE)).unwrap();
    let lines = text.lines().zip(1..).map(|(line, number)| {
        if (63..=87).contains(&number) {
            line.trim_start_matches('#')
        } else {
            line
        }
    });
    let text: Vec<_> = lines.collect();
    let filled = text
        .join("\n")
        .replace("<change_to_VIP_address>", "192.168.198.100")
        .replace("<harbor_node1_ip>", "192.168.198.133")
        .replace("<harbor_node2_ip>", "192.168.198.135")
        .replace("harbor_node2_ip", "192.168.198.135");
    let file = folder().join(ACTIVE);
    let import = seawall::config::keepalived::import_text(&filled, &file, None).unwrap();
    let config = taken(&import).unwrap();
    assert_eq!(config.listen[0].address, "0.0.0.0:443".parse().unwrap());
    assert_eq!(config.listen[0].certificate.len(), 1);
    assert!(config.listen[1].redirect_to_https);
    assert!(
        config
            .cluster
            .node
            .iter()
            .all(|node| node.endpoints.main().https)
    );
    assert_eq!(config.cluster.node.len(), 2);
}

#[test]
fn samples_without_placeholders_are_configurations() {
    for name in ["pair.conf", "unicast.conf", "ipv6.conf"] {
        let import = sample(name);
        assert_eq!(import.open, 0, "{name}: {}", import.text);
        taken(&import).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
    }
}

#[test]
fn the_faults_of_the_other_samples_are_named() {
    told(
        "pair.conf",
        &[
            (36, "auth_pass", Mended, "8 characters"),
            (43, "eth1", Mended, "a weight is not possible"),
            (58, "sorry_server", Dropped, "503"),
            (
                77,
                "virtual_server",
                Translated,
                "/data/secret/cert/server.crt",
            ),
            (108, "virtual_server", Dropped, "Notary"),
            (116, "virtual_server", Dropped, "5432"),
        ],
    );
    told(
        "ipv6.conf",
        &[
            (18, "prioritty", Mended, "read as `priority`"),
            (21, "authentication", Mended, "version 3 has no passwords"),
            (34, "advert_int", Mended, "1s"),
            (37, "10.4.4.4/24", Mended, "dev bond0.300"),
            (43, "lb_algo", Mended, "two-choices"),
        ],
    );
}
