//! What systemd hears of a door that it started with `Type=notify` and a watchdog.

mod booted;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::door::eventually;
use super::support::ports;

/// Nothing takes longer.
const SOON: Duration = Duration::from_secs(20);

struct Service {
    child: Child,
    ear: UnixDatagram,
    /// Of clients and operators.
    addresses: [String; 2],
    directory: tempfile::TempDir,
}

fn spawn(directory: &Path, [listen, admin]: &[String; 2], more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["run", "--node", "http://127.0.0.1:1", "--listen", listen])
        .args(["--admin", admin, "--state-dir"])
        .arg(directory)
        .args(more)
        .env("NOTIFY_SOCKET", directory.join("notify"))
        .env("WATCHDOG_USEC", "300000")
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Service {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let ear = UnixDatagram::bind(&path).unwrap();
        ear.set_read_timeout(Some(SOON)).unwrap();
        let addresses = [ports::free(), ports::free()].map(|address| address.to_string());
        let child = spawn(directory.path(), &addresses, &[]);
        Service {
            child,
            ear,
            addresses,
            directory,
        }
    }

    fn heir(&self) -> Child {
        spawn(self.directory.path(), &self.addresses, &["--take-over"])
    }

    fn hears(&self) -> String {
        let mut bytes = [0; 256];
        let length = self.ear.recv(&mut bytes).expect("a word");
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    }

    /// Listens until `word` comes.
    fn hears_in_the_end(&self, word: &str) {
        while self.hears() != word {}
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn systemd_is_told_of_the_beginning_of_life_and_of_the_end() {
    let mut service = Service::start();
    assert_eq!(service.hears(), "READY=1");
    for _ in 0..3 {
        assert_eq!(service.hears(), "WATCHDOG=1");
    }
    service.signal(Signal::SIGTERM);
    service.hears_in_the_end("STOPPING=1");
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
}

#[test]
fn systemd_is_told_of_the_process_that_takes_over_and_of_no_end() {
    let mut service = Service::start();
    service.hears_in_the_end("READY=1");
    let mut heir = service.heir();
    let word = format!("MAINPID={}", heir.id());
    loop {
        let heard = service.hears();
        assert_ne!(heard, "STOPPING=1");
        if heard == word {
            break;
        }
    }
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    service.hears_in_the_end("WATCHDOG=1");
    kill(Pid::from_raw(heir.id().cast_signed()), Signal::SIGTERM).unwrap();
    service.hears_in_the_end("STOPPING=1");
    assert_eq!(heir.wait().unwrap().code(), Some(0));
}

#[test]
fn a_frozen_door_gives_its_watchdog_no_sign_of_life() {
    let service = Service::start();
    service.hears_in_the_end("WATCHDOG=1");
    service.signal(Signal::SIGSTOP);
    let stat = format!("/proc/{}/stat", service.child.id());
    eventually("it is frozen", SOON, || {
        std::fs::read_to_string(&stat).unwrap().contains(") T ")
    });
    service.ear.set_nonblocking(true).unwrap();
    let mut bytes = [0; 256];
    // What was said before it froze may still be on its way.
    while service.ear.recv(&mut bytes).is_ok() {}
    service.ear.set_nonblocking(false).unwrap();
    service
        .ear
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    assert!(service.ear.recv(&mut bytes).is_err(), "it spoke");
}
