//! What a door that root or a service manager started may still do, thread by thread.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{User, chown};
use serde_json::Value;

use super::vip;
use crate::support::certs::Authority;
use crate::support::door::{Process, eventually};
use crate::support::netns::{Host, INTERFACE, Lab};
use crate::support::rights::{ADDRESSES, LISTEN, Status, assert_lowered};

const SOON: Duration = Duration::from_secs(30);
/// A user that every Debian has; no file here is its own unless it is given to it.
const USER: &str = "daemon";
/// What the unit grants, by a program that needs no systemd.
const UNIT: [&str; 8] = [
    "setpriv",
    "--reuid=daemon",
    "--regid=daemon",
    "--clear-groups",
    "--no-new-privs",
    "--bounding-set=-all,+net_bind_service,+net_admin,+net_raw",
    "--inh-caps=-all,+net_bind_service,+net_admin,+net_raw",
    "--ambient-caps=-all,+net_bind_service,+net_admin,+net_raw",
];

/// A configuration that listens below port 1024 and has a virtual address.
struct Site {
    directory: tempfile::TempDir,
    authority: Authority,
    user: User,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let site = Site {
            authority: Authority::new(directory.path()),
            directory,
            user: User::from_name(USER).unwrap().unwrap(),
        };
        // Wherever the one under test is, the user need not get there.
        fs::copy(env!("CARGO_BIN_EXE_seawall"), site.program()).unwrap();
        site.issue();
        site.write("");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn owner(&self) -> [String; 2] {
        [self.user.uid.to_string(), self.user.gid.to_string()]
    }

    fn program(&self) -> PathBuf {
        self.path("seawall")
    }

    fn file(&self) -> PathBuf {
        self.path("seawall.toml")
    }

    /// A new certificate, whose key nobody but the user may read.
    fn issue(&self) {
        let directory = self.directory.path();
        self.authority.issue(directory, "door", &["localhost"]);
        self.give("door-key.pem", self.user.uid.as_raw());
    }

    fn give(&self, name: &str, owner: u32) {
        let path = self.path(name);
        chown(&path, Some(owner.into()), None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    }

    fn write(&self, more: &str) {
        let mut text = format!(
            "user = \"{USER}\"\nstate_dir = \"state\"\n[[listen]]\naddress = \"0.0.0.0:443\"\n\
             [[listen.certificate]]\nchain = \"door.pem\"\nkey = \"door-key.pem\"\n{more}\n"
        );
        write!(
            text,
            "[cluster]\n[[cluster.node]]\nname = \"harbor-1\"\nurl = \"http://127.0.0.1:9\"\n\
             [vip]\ninterface = \"{INTERFACE}\"\n[[vip.instance]]\nrouter_id = 51\n\
             addresses = [\"{}\"]\nadvert_interval = \"100ms\"\n",
            vip()
        )
        .unwrap();
        fs::write(self.file(), text).unwrap();
    }

    fn start(&self, host: &Host, by: &[&str]) -> Process {
        let program = self.program();
        let program = program.to_str().unwrap();
        let mut command = host.command(by.first().unwrap_or(&program));
        if let Some((_, more)) = by.split_first() {
            command.args(more).arg(program);
        }
        let mut process = Process::from(command.args(["run", "-c"]).arg(self.file()));
        process.says("\"listening\"");
        process
    }

    fn check(&self) -> (Option<i32>, String) {
        let mut command = Command::new(self.program());
        let command = command.args(["check", "-c"]).arg(self.file());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }
}

fn has_address(lab: &Lab) {
    eventually("it has the address", SOON, || lab.holders(vip()) == [1]);
}

#[test]
fn a_door_that_root_started_is_its_user_with_rights_by_thread() {
    let Some(lab) = Lab::new(1) else { return };
    let site = Site::new();
    let process = site.start(lab.host(1), &[]);
    has_address(&lab);
    assert_lowered(process.pid(), &site.owner());
}

#[test]
fn a_door_with_the_rights_of_the_unit_parts_them_among_its_threads() {
    let Some(lab) = Lab::new(1) else { return };
    let site = Site::new();
    fs::create_dir(site.path("state")).unwrap();
    chown(&site.path("state"), Some(site.user.uid), None).unwrap();
    let process = site.start(lab.host(1), &UNIT);
    has_address(&lab);
    assert_lowered(process.pid(), &site.owner());
    for thread in Status::of_all(process.pid()) {
        assert_eq!(thread.bits("CapBnd"), LISTEN | ADDRESSES);
    }
}

#[test]
fn a_reload_reads_a_key_of_the_user_and_listens_below_1024() {
    let Some(lab) = Lab::new(1) else { return };
    let site = Site::new();
    let mut process = site.start(lab.host(1), &[]);
    site.issue();
    site.write("[[listen]]\naddress = \"0.0.0.0:80\"\nredirect_to_https = true");
    process.signal(Signal::SIGHUP);
    process.says("configuration reloaded");
    let listens = lab.host(1).run(&["ss", "-Htln", "sport = :80"]);
    assert!(listens.contains(":80"), "{listens}");
    assert_lowered(process.pid(), &site.owner());
}

#[test]
fn the_next_process_that_it_starts_has_the_same_rights() {
    let Some(lab) = Lab::new(1) else { return };
    let site = Site::new();
    let mut process = site.start(lab.host(1), &[]);
    has_address(&lab);
    process.signal(Signal::SIGUSR2);
    process.says("another process took over");
    let line = process
        .log()
        .into_iter()
        .find(|line| line.contains("another process took over"));
    let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
    let heir = u32::try_from(line["process"].as_u64().unwrap()).unwrap();
    assert_lowered(heir, &site.owner());
    has_address(&lab);
    let heir = nix::unistd::Pid::from_raw(heir.cast_signed());
    nix::sys::signal::kill(heir, Signal::SIGKILL).unwrap();
}

#[test]
fn a_check_by_root_tells_what_the_user_may_not_read() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let site = Site::new();
    let (code, text) = site.check();
    assert_eq!(code, Some(0), "{text}");
    site.give("door-key.pem", 0);
    let (code, text) = site.check();
    assert_eq!(code, Some(78), "{text}");
    for word in ["door-key.pem", "ermission denied", USER, "chgrp"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}
