//! A service by the unit that is delivered, on a machine of its own whose systemd is real.

use std::fs;

use crate::support::machine::Machine;
use crate::support::rights::{ADDRESSES, LISTEN, Status, assert_lowered};

const ADMIN: &str = "/run/seawall/admin.sock";
const CONFIGURATION: &str = r#"
[[listen]]
address = "0.0.0.0:80"
[cluster]
public_url = "http://localhost"
[[cluster.node]]
name = "harbor-1"
url = "http://127.0.0.1:9"
[admin]
address = "unix:/run/seawall/admin.sock"
[vip]
interface = "lan"
[[vip.instance]]
router_id = 51
addresses = ["192.0.2.1/32"]
advert_interval = "100ms"
"#;

fn boot() -> Machine {
    let machine = Machine::boot(&[("/etc/seawall/seawall.toml", CONFIGURATION)]);
    machine.tells("\"state\":\"master\"");
    machine
}

/// Who the service is: nobody that this machine knew before.
fn owner(process: u32) -> [String; 2] {
    let of_all = Status::of_all(process);
    ["Uid", "Gid"].map(|key| {
        let id = of_all[0].word(key).split_whitespace().next().unwrap();
        let number: u32 = id.parse().unwrap();
        assert!((61_184..=65_519).contains(&number), "{key} {number}");
        id.to_owned()
    })
}

fn assert_as_the_unit_says(process: u32) {
    assert_lowered(process, &owner(process));
    for thread in Status::of_all(process) {
        assert_eq!(thread.word("Seccomp"), "2", "{}", thread.name());
        assert_eq!(thread.bits("CapBnd"), LISTEN | ADDRESSES);
    }
}

#[test]
fn a_service_by_its_unit_is_a_user_of_its_own_with_rights_by_thread_and_a_filter() {
    let machine = boot();
    assert_as_the_unit_says(machine.service());
}

#[test]
fn a_service_by_its_unit_may_write_nothing_but_its_state() {
    let machine = boot();
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", machine.service())).unwrap();
    let options = |path: &str| {
        let line = mounts
            .lines()
            .rfind(|line| line.split(' ').nth(4) == Some(path));
        line.map(|line| line.split(' ').nth(5).unwrap().split(',').next().unwrap())
    };
    assert_eq!(options("/"), Some("ro"));
    assert_eq!(options("/var/lib/private/seawall"), Some("rw"), "{mounts}");
    assert_eq!(options("/etc"), None, "as /: {mounts}");
}

#[test]
fn a_service_by_its_unit_has_its_addresses_and_answers_its_operators() {
    let machine = boot();
    let addresses = machine.run(&["ip", "address", "show", "lan"]);
    assert!(addresses.contains("192.0.2.1/32"), "{addresses}");
    let code = |arguments: &str| {
        let command = format!("curl -sS -o/dev/null -w%{{http_code}} {arguments}");
        machine.run(&command.split(' ').collect::<Vec<_>>())
    };
    let health = format!("--unix-socket {ADMIN} http://localhost/healthz");
    assert_eq!(code(&health), "200");
    let answer = code("http://192.0.2.1/");
    assert_eq!(answer, "503");
}

#[test]
fn a_service_by_its_unit_is_reloaded_and_upgraded_without_a_restart() {
    let machine = boot();
    let more = "[[listen]]\naddress = \"0.0.0.0:81\"\nredirect_to_https = true\n";
    machine.write(
        "/etc/seawall/seawall.toml",
        &format!("{CONFIGURATION}{more}"),
    );
    machine.run(&["systemctl", "reload", "seawall"]);
    machine.tells("configuration reloaded");
    let before = machine.service();
    machine.run(&[
        "systemctl",
        "kill",
        "--kill-whom=main",
        "-s",
        "USR2",
        "seawall",
    ]);
    machine.tells("another process took over");
    let after = machine.service();
    assert_ne!(before, after);
    assert_as_the_unit_says(after);
    let said = machine.run(&[
        "systemctl",
        "show",
        "--property=NRestarts,ActiveState",
        "seawall",
    ]);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["NRestarts=0", "ActiveState=active"]
    );
}
