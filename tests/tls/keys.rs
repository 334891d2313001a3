//! Private keys that others can read.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::OK;
use crate::support::door::eventually;
use crate::support::origin::{Origin, before};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_everybody_can_read_is_warned_of_by_check_and_by_the_door() {
    let origin = Origin::saying(OK);
    let door = before(&origin);
    let warning = "door-key.pem` is a private key that everybody on this machine can read";
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        let output = command.args(["check", "-c"]).arg(door.file()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(check(), "");
    assert!(!door.said(warning));
    let key = door.directory().join("door-key.pem");
    std::fs::set_permissions(key, Permissions::from_mode(0o644)).unwrap();
    assert!(check().contains(warning), "{}", check());
    door.signal(Signal::SIGHUP);
    eventually("the door warns, too", Duration::from_secs(10), || {
        door.said(warning)
    });
}
