#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod files;
mod samples;
mod sticky;
mod topology;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::balance::Algorithm;

/// The least that is complete.
const LEAST: &str = r#"
listen = [{ address = "127.0.0.1:0" }]
cluster.node = [{ name = "a", url = "http://10.0.0.1" }]
"#;

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    parse(text, Path::new("seawall.toml"))
}

/// The problems of what is added to the least complete configuration, without the name of the file.
fn problems(added: &str) -> Vec<String> {
    // A table in what was added would swallow what stands behind it.
    let text = if added.contains('[') {
        format!("{LEAST}{added}")
    } else {
        format!("{added}\n{LEAST}")
    };
    let problems = read(&text).err().unwrap_or_default();
    let text = problems.iter().map(ToString::to_string);
    text.map(|t| t.trim_start_matches("seawall.toml:").to_owned())
        .collect()
}

#[test]
fn every_mistake_is_reported_with_its_line() {
    let text = r#"
[[listen]]
address = "443"

[[listen]]
address = "0.0.0.0:80"
redirect_to_https = "yes"

[cluster]
balence = "least"

[[cluster.node]]
name = "harbor-1"
url = "http://10.0.0.1/harbor"
wieght = 5

[[cluster.node]]
name = "harbor 2"
url = "http://10.0.0.2"
core = "http://10.0.0.2:8080"

[health]
interval = 2
fall = 0
timeout = "5 parsecs"

[acme]
directory = "https://acme.example.com"
"#;
    let found: Vec<_> = read(text)
        .unwrap_err()
        .into_iter()
        .map(|p| (p.line, p.key))
        .collect();
    let expected = [
        (3, "listen.address"),
        (7, "listen.redirect_to_https"),
        (10, "cluster.balence"),
        (14, "cluster.node.url"),
        (15, "cluster.node.wieght"),
        (18, "cluster.node.name"),
        (20, "cluster.node.core"),
        (23, "health.interval"),
        (24, "health.fall"),
        (25, "health.timeout"),
        (27, "acme"),
    ];
    assert_eq!(found, expected.map(|(line, key)| (line, key.to_owned())));
}

#[test]
fn a_misspelt_key_is_told_the_nearest_one() {
    assert_eq!(
        problems("[health]\nintervall = \"2s\""),
        ["5: health.intervall: is not a known key; did you mean `interval`?"]
    );
}

#[test]
fn a_key_in_the_wrong_table_is_told_the_right_one() {
    assert_eq!(
        problems("drain = \"5m\""),
        ["1: drain: is not a known key; `drain` belongs into [timeouts]"]
    );
    assert_eq!(
        problems("[log]\nstate_dir = \"/tmp\""),
        [
            "5: log.state_dir: is not a known key; `state_dir` belongs to the top of the file, before the first table"
        ]
    );
}

#[test]
fn a_key_that_resembles_nothing_is_shown_what_there_is() {
    assert_eq!(
        problems("[log]\ncolour = true"),
        ["5: log.colour: is not a known key; remove it; known here: format, level, access"]
    );
}

#[test]
fn what_is_not_served_is_refused_and_not_ignored() {
    for (text, key) in [
        ("[acme]", "acme"),
        ("[trace]", "trace"),
        ("[limits]\nclass = {}", "limits.class"),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains(&format!(": {key}: configures")),
            "{found:?}"
        );
        assert!(found[0].ends_with("which this version does not serve; remove it"));
    }
}

#[test]
fn limits_of_clients_and_lists_are_read_and_their_mistakes_are_told() {
    let found =
        problems("[limits.client]\ntoken = \"often\"\n[[access]]\nclasses = [\"api_wirte\"]");
    assert!(
        found[0].starts_with("5: limits.client.token: `often` is not a rate"),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|line| line.ends_with("did you mean \"api_write\"?")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|line| line.contains("access.allow: and `deny` are both missing")),
        "{found:?}"
    );
}

#[test]
fn an_empty_file_lacks_listeners_and_nodes() {
    let found: Vec<_> = read("").unwrap_err().into_iter().map(|p| p.key).collect();
    assert_eq!(found, ["listen", "cluster.node"]);
}

#[test]
fn broken_toml_is_reported_with_its_line() {
    let found = read("[[listen]]\naddress = 0.0.0.0:443\n").unwrap_err();
    assert_eq!((found[0].line, found[0].key.as_str()), (2, "syntax"));
}

#[test]
fn a_table_written_as_a_list_and_a_list_written_as_a_table_are_explained() {
    let found = problems("[[health]]\nrise = 2");
    assert!(found[0].contains("write [health] once"), "{found:?}");
    let found = read("[listen]\naddress = \"0.0.0.0:80\"").unwrap_err();
    assert!(found[0].fix.contains("[[listen]]"), "{found:?}");
}

#[test]
fn two_listeners_cannot_have_one_port() {
    let text = r#"
[[listen]]
address = "0.0.0.0:443"
[[listen]]
address = "10.0.0.1:443"
[admin]
address = "127.0.0.1:443"
[[cluster.node]]
name = "a"
url = "http://10.0.0.1"
"#;
    let found = read(text).unwrap_err();
    let found: Vec<_> = found.iter().map(|p| (p.line, p.key.as_str())).collect();
    assert_eq!(found, [(5, "listen.address"), (7, "admin.address")]);
}

#[test]
fn two_nodes_cannot_have_one_name() {
    let text = r#"
listen = [{ address = "127.0.0.1:0" }]
[[cluster.node]]
name = "a"
url = "http://10.0.0.1"
[[cluster.node]]
name = "a"
url = "http://10.0.0.2"
"#;
    let found = read(text).unwrap_err();
    assert_eq!((found.len(), found[0].line), (1, 7));
    assert!(found[0].what.contains("line 4"), "{found:?}");
}

#[test]
fn more_nodes_than_a_cluster_has_are_refused() {
    let mut text = "listen = [{ address = \"127.0.0.1:0\" }]\n".to_owned();
    for number in 0..129 {
        text.push_str(&format!(
            "[[cluster.node]]\nname = \"n{number}\"\nurl = \"http://n\"\n"
        ));
    }
    let found = read(&text).unwrap_err();
    assert_eq!(found.len(), 1);
    assert!(found[0].what.contains("129 nodes"));
}

#[test]
fn a_listener_redirects_or_serves() {
    let text = LEAST.replace(
        "\"127.0.0.1:0\"",
        "\"127.0.0.1:0\", redirect_to_https = true, certificate = [{ chain = \"c\", key = \"k\" }]",
    );
    let found = read(&text).unwrap_err();
    assert_eq!(found[0].key, "listen.redirect_to_https");
    let text = LEAST.replace("\"127.0.0.1:0\"", "\"127.0.0.1:0\", redirect_port = 8443");
    assert_eq!(read(&text).unwrap_err()[0].key, "listen.redirect_port");
}

#[test]
fn a_node_is_reached_as_a_whole_or_at_its_parts() {
    for (given, key) in [
        ("", "cluster.node.url"),
        (", portal = \"http://b\"", "cluster.node.core"),
        (
            ", url = \"http://b\", portal = \"http://b\"",
            "cluster.node.portal",
        ),
    ] {
        let text = LEAST.replace(", url = \"http://10.0.0.1\"", given);
        let found = read(&text).unwrap_err();
        assert_eq!((found.len(), found[0].key.as_str()), (1, key));
    }
}

#[test]
fn a_certificate_needs_chain_and_key() {
    let text = LEAST.replace("\"127.0.0.1:0\"", "\"127.0.0.1:0\", certificate = [{}]");
    let found: Vec<_> = read(&text)
        .unwrap_err()
        .into_iter()
        .map(|p| p.key)
        .collect();
    assert_eq!(
        found,
        ["listen.certificate.chain", "listen.certificate.key"]
    );
}

#[test]
fn certificates_for_a_plain_node_are_refused() {
    let text = LEAST.replace("10.0.0.1\"", "10.0.0.1\", ca = \"ca.pem\"");
    let found = read(&text).unwrap_err();
    assert_eq!(found[0].key, "cluster.node.ca");
    assert!(read(&text.replace("http:", "https:")).is_ok());
}

#[test]
fn an_admin_address_for_all_needs_a_token() {
    let found = problems("[admin]\naddress = \"0.0.0.0:9180\"");
    assert!(found[0].contains("token_file"), "{found:?}");
    for fine in [
        "[admin]\naddress = \"0.0.0.0:9180\"\ntoken = \"x\"",
        "[admin]\naddress = \"[::1]:9180\"",
        "[admin]\naddress = \"unix:/run/seawall/admin.sock\"",
    ] {
        assert_eq!(problems(fine), [""; 0], "{fine}");
    }
}

#[test]
fn a_secret_is_given_once() {
    let account = "[cluster.account]\nuser = \"u\"\n";
    let found = problems(&format!("{account}password = \"p\"\npassword_file = \"f\""));
    assert!(found[0].contains("is given beside `password`"), "{found:?}");
    let found = problems(account);
    assert!(found[0].contains("password_file: is missing"), "{found:?}");
}

#[test]
fn connections_to_nodes_must_end_before_nginx_ends_them() {
    let found = problems("[timeouts]\nnode_idle = \"75s\"");
    assert!(found[0].starts_with("5: timeouts.node_idle"), "{found:?}");
}

#[test]
fn values_out_of_range_are_told_the_range() {
    for (text, range) in [
        ("[health]\nrise = 0", "from 1 to 100"),
        ("[health]\nrise = -1", "from 1 to 100"),
        ("[health]\ninterval = \"0s\"", "from 10ms to 1h"),
        ("[retry]\nbudget = nan", "from 0 to 1"),
        ("[retry]\nbudget = 1.5", "from 0 to 1"),
        ("[outlier]\nmax_percent = 300", "from 0 to 100"),
        ("[limits]\nheader_bytes = \"1KiB\"", "from 8KiB to 1MiB"),
        (
            "[limits]\nconnections = 99999999999999999999999999999999999999999999",
            "from 1 to 1000000",
        ),
    ] {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].ends_with(range), "{found:?}");
    }
}

#[test]
fn a_choice_that_does_not_exist_is_told_the_nearest_one() {
    let found = problems("[health]\nprobe = \"habor-2\"");
    assert!(
        found[0].ends_with("did you mean \"harbor-2\"?"),
        "{found:?}"
    );
    let found = problems("[log]\nlevel = \"loud\"");
    assert!(found[0].ends_with("error, warn, info, debug"), "{found:?}");
}

proptest! {
    #[test]
    fn reading_never_panics(text: String) {
        let _ = read(&text);
    }

    #[test]
    fn reading_odd_values_never_panics(
        table in "(listen|cluster|cluster\\.node|sessions|affinity\\.ui|health|admin|timeouts|limits|retry|resume|vip|vip\\.instance)",
        double: bool,
        key in "(address|certificate|store|prefix|door|ttl|entries|node|url|weight|rise|interval|min_rate|budget|hosts|addresses|peers|router_id|version|key|[a-z]{1,4})",
        value in "(-?[0-9]{1,40}|0x[0-9a-f]{1,40}|\"[^\"\\\\\n]{0,12}\"|\\[\"[a-z:/.0-9]{0,9}\", 1\\]|\\{ a = 1 \\}|inf|nan|-?[0-9]e[0-9]{1,4}|true|1979-05-27)",
    ) {
        let header = if double { format!("[[{table}]]") } else { format!("[{table}]") };
        let _ = read(&format!("{header}\n{key} = {value}\n"));
        let _ = read(&format!("{LEAST}{header}\n{key} = {value}\n"));
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for text in [
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}{}", "[".repeat(200_000), "]".repeat(200_000)),
        format!("{}a = 1", "a.".repeat(200_000)),
        format!("[{}a]", "a.".repeat(200_000)),
        format!("a = {}1", "{ a = ".repeat(200_000)),
    ] {
        assert!(read(&text).is_err());
    }
}

#[test]
fn a_problem_is_one_line_whatever_the_file_says() {
    for text in ["\"a\\nb\" = 1", "state_dir = 1\n[log]\nlevel = \"a\\nb\""] {
        for problem in problems(text) {
            assert_eq!(problem.lines().count(), 1, "{problem}");
        }
    }
}

#[test]
fn a_listener_says_its_profile_and_whose_certificates_it_wants() {
    let listen = |keys: &str| {
        let pair = "certificate = [{ chain = \"c\", key = \"k\" }]";
        let node = "[[cluster.node]]\nname = \"a\"\nurl = \"http://a\"";
        let text = format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{pair}\n{keys}\n{node}\n");
        read(&text).map(|config| config.listen[0].clone())
    };
    let plain = listen("").unwrap();
    assert_eq!(
        (plain.tls_profile, plain.clients),
        (TlsProfile::Intermediate, None)
    );
    let strict = listen("tls_profile = \"modern\"\nclient_ca = \"ca.pem\"").unwrap();
    assert_eq!(strict.tls_profile, TlsProfile::Modern);
    assert_eq!(strict.clients.unwrap().auth, ClientAuth::Required);
    let offered = listen("client_ca = \"ca.pem\"\nclient_auth = \"offered\"").unwrap();
    assert_eq!(offered.clients.unwrap().auth, ClientAuth::Offered);
    let lonely = listen("client_auth = \"offered\"").unwrap_err();
    assert!(lonely[0].what.contains("without client_ca"), "{lonely:?}");
    let old = listen("tls_profile = \"old\"").unwrap_err();
    assert!(old[0].fix.contains("intermediate, modern"), "{old:?}");
}

#[test]
fn terms_of_tls_mean_nothing_without_a_certificate() {
    let text = "listen = [{ address = \"127.0.0.1:0\", client_ca = \"ca.pem\" }]\n\
                cluster.node = [{ name = \"a\", url = \"http://a\" }]";
    let found = read(text).unwrap_err();
    assert_eq!(found[0].key, "listen.client_ca");
}
