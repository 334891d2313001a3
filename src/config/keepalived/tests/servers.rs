use super::*;
use crate::config::keepalived::Verdict::{Dropped, Mended, Translated};

/// A virtual server with one node.
fn server(head: &str, settings: &str) -> Import {
    import_of(&format!(
        "virtual_server {head} {{\nprotocol TCP\n{settings}\nreal_server 10.0.0.11 80 {{\n}}\n}}"
    ))
}

#[test]
fn a_plain_server_listens_everywhere() {
    let import = server("10.0.0.1 80", "");
    assert!(import.has("address = \"0.0.0.0:80\""));
    assert!(import.has("url = \"http://10.0.0.11\""));
    let import = server("fd00::1 80", "");
    assert!(import.has("address = \"[::]:80\""));
}

#[test]
fn tls_that_passed_through_ends_here() {
    let import = server("10.0.0.1 443", "");
    assert!(import.has("chain = \"/etc/seawall/registry.pem\""));
    let why = &import.on("virtual_server").why;
    for place in [
        "/data/cert/server.crt",
        "/data/secret/cert/server.crt",
        "/etc/seawall/registry-key.pem",
    ] {
        assert!(why.contains(place), "{why}");
    }
}

#[test]
fn port_80_redirects_when_there_is_443() {
    let both = "virtual_server 10.0.0.1 80 {\nreal_server 10.0.0.11 80 {\n}\n}\nvirtual_server 10.0.0.1 443 {\nreal_server 10.0.0.11 443 {\n}\n}";
    let import = import_of(both);
    assert!(import.has("redirect_to_https = true"));
    assert!(import.has("url = \"https://10.0.0.11\""));
    assert_eq!(import.text.matches("[[cluster.node]]").count(), 1);
}

#[test]
fn two_ports_of_one_server_are_two_nodes() {
    let import = import_of(
        "virtual_server 10.0.0.1 80 {\nreal_server 10.0.0.11 8081 {\n}\nreal_server 10.0.0.11 8082 {\n}\n}",
    );
    assert!(import.has("url = \"http://10.0.0.11:8081\""));
    assert!(import.has("url = \"http://10.0.0.11:8082\""));
}

#[test]
fn balance_is_the_nearest() {
    for (algorithm, balance) in [
        ("rr", "round-robin"),
        ("wrr", "round-robin"),
        ("wlc", "least"),
        ("sed", "least"),
        ("mh", "rendezvous"),
        ("lblcr", "two-choices"),
    ] {
        let import = server("10.0.0.1 80", &format!("lb_algo {algorithm}"));
        assert!(
            import.has(&format!("balance = \"{balance}\"")),
            "{algorithm}"
        );
    }
}

#[test]
fn probes_are_as_fast_as_they_were_or_faster() {
    let kept = server("10.0.0.1 80", "delay_loop 3.5");
    assert!(kept.has("interval = \"3s500ms\""));
    assert_eq!(kept.on("delay_loop").verdict, Translated);
    let mended = server("10.0.0.1 80", "delay_loop 15");
    assert!(mended.has("interval = \"2s\""));
    assert!(mended.on("delay_loop").why.contains("15s"));
    let wrong = server("10.0.0.1 80", "delay_loop x");
    assert!(!wrong.text.contains("[health]"));
}

#[test]
fn the_way_of_forwarding_says_what_to_undo() {
    for (kind, what) in [
        ("DR", "REDIRECT"),
        ("NAT", "default route"),
        ("TUN", "tunl0"),
    ] {
        let import = server("10.0.0.1 80", &format!("lb_kind {kind}"));
        assert!(import.on("lb_kind").why.contains(what), "{kind}");
    }
}

#[test]
fn weights_that_not_all_have_are_one_for_the_others() {
    let import = import_of(
        "virtual_server 10.0.0.1 80 {\nreal_server 10.0.0.11 80 {\nweight 3\n}\nreal_server 10.0.0.12 80 {\n}\n}",
    );
    assert!(import.has("weight = 3") && import.has("weight = 1"));
    let heavy =
        import_of("virtual_server 10.0.0.1 80 {\nreal_server 10.0.0.11 80 {\nweight 5000\n}\n}");
    assert!(heavy.has("weight = 1000"));
    assert_eq!(heavy.on("weight").verdict, Mended);
}

#[test]
fn what_is_no_registry_is_left_out() {
    for head in ["10.0.0.1 4443", "10.0.0.1 5432"] {
        let import = server(head, "lb_algo rr");
        assert_eq!(import.on("virtual_server").verdict, Dropped, "{head}");
        assert!(import.text.contains("FILL IN: [[listen]]"), "{head}");
    }
    let udp = import_of("virtual_server 10.0.0.1 80 {\nprotocol UDP\n}");
    assert!(udp.on("virtual_server").why.contains("UDP"));
}

#[test]
fn groups_and_marks_find_their_ports() {
    let group = "virtual_server_group G {\n10.0.0.1-3 8080\nfwmark 1\n}\n";
    let server = "virtual_server group G {\nreal_server 10.0.0.11 80 {\n}\n}";
    assert!(import_of(&(group.to_owned() + server)).has("address = \"0.0.0.0:8080\""));
    assert!(import_of(server).has("address = \"0.0.0.0:80\""));
    let mark = server.replace("group G", "fwmark 3");
    assert!(import_of(&mark).has("address = \"0.0.0.0:80\""));
}

#[test]
fn a_missing_protocol_is_told() {
    let import = import_of("virtual_server 10.0.0.1 80 {\nreal_server 10.0.0.11 80 {\n}\n}");
    assert!(import.on("virtual_server").why.contains("UDP"));
}
