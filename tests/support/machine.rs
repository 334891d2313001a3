//! A machine of its own in namespaces: the files of this one under a layer that is thrown away, and a real systemd.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// What is reached after the boot instead of all that this machine starts.
const TARGET: &str = "tried.target";
/// An interface with a cable that ends nowhere.
const LAN: &str = "[Unit]\nDefaultDependencies=no\nBefore=seawall.service\n[Service]\nType=oneshot\n\
                   ExecStart=ip link add lan type veth peer wire\nExecStart=ip link set wire up\n\
                   ExecStart=ip link set lan up\nExecStart=ip address add 192.0.2.9/24 dev lan\n";

/// Two would share one control group, and each would end what the other one starts.
static ALONE: Mutex<()> = Mutex::new(());

pub struct Machine {
    _alone: MutexGuard<'static, ()>,
    layers: tempfile::TempDir,
    console: Child,
}

/// Runs a program that has nothing to say but why it failed.
fn must(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
}

impl Machine {
    /// Boots with the unit of Seawall, an interface `lan`, and `files` by their absolute paths.
    pub fn boot(files: &[(&str, &str)]) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let layers = tempfile::tempdir().unwrap();
        let path = |name: &str| layers.path().join(name).to_str().unwrap().to_owned();
        must("mount", &["-t", "tmpfs", "none", &path("")]);
        for name in ["upper", "work", "root"] {
            fs::create_dir(path(name)).unwrap();
        }
        let (upper, work, root) = (path("upper"), path("work"), path("root"));
        let options = format!("lowerdir=/,upperdir={upper},workdir={work}");
        must(
            "mount",
            &["-t", "overlay", "overlay", "-o", &options, &root],
        );
        let units = "/etc/systemd/system";
        let target = "[Unit]\nRequires=lan.service seawall.service\n";
        for (name, text) in [("lan.service", LAN), (TARGET, target)] {
            put(&root, &format!("{units}/{name}"), text);
        }
        let unit = fs::read_to_string("deploy/seawall.service").unwrap();
        put(&root, &format!("{units}/seawall.service"), &unit);
        fs::copy(env!("CARGO_BIN_EXE_seawall"), path("root/usr/bin/seawall")).unwrap();
        for (path, text) in files {
            put(&root, path, text);
        }
        let console = Command::new("setpriv")
            .args(["--pdeathsig=KILL", "systemd-nspawn", "--quiet"])
            .args(["--register=no", "--keep-unit", "--private-network"])
            .arg(format!("--machine=seawall-{}", std::process::id()))
            .arg(format!("--directory={root}"))
            .args(["--boot", &format!("systemd.unit={TARGET}")])
            .arg("systemd.journald.forward_to_console=1")
            .stdin(Stdio::null())
            .stdout(File::create(path("console")).unwrap())
            .stderr(File::create(path("complaints")).unwrap())
            .spawn()
            .unwrap();
        let machine = Machine {
            _alone: alone,
            layers,
            console,
        };
        machine.tells(&format!("Reached target {TARGET}"));
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.layers.path().join(name)
    }

    /// What came on its console, the log of the service included.
    pub fn told(&self) -> String {
        let read = |name| fs::read(self.path(name)).unwrap_or_default();
        let bytes = [read("console"), read("complaints")].concat();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for a line with `text`.
    pub fn tells(&self, text: &str) {
        let end = Instant::now() + SOON;
        while !self.told().contains(text) {
            assert!(Instant::now() < end, "not told, {text:?}: {}", self.told());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn write(&self, path: &str, text: &str) {
        put(self.path("root").to_str().unwrap(), path, text);
    }

    /// What a command on the machine prints.
    pub fn run(&self, command: &[&str]) -> String {
        let boot = children(self.console.id())[0];
        let output = Command::new("nsenter")
            .args(["--target", &boot.to_string(), "--all", "--"])
            .args(command)
            .output()
            .unwrap();
        let bytes = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(bytes).unwrap();
        assert!(output.status.success(), "{command:?}: {text}");
        text
    }

    /// The main process of the service, as this machine numbers it.
    pub fn service(&self) -> u32 {
        let number = self.run(&[
            "systemctl",
            "show",
            "--property=MainPID",
            "--value",
            "seawall",
        ]);
        let within = |process: &u32| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find(|line| line.starts_with("NSpid:"));
            line.is_some_and(|line| line.split_whitespace().last() == Some(number.trim()))
        };
        let mut seen = children(self.console.id());
        let mut next = 0;
        while let Some(&process) = seen.get(next) {
            seen.extend(children(process));
            next += 1;
        }
        seen.into_iter().find(within).expect("the service runs")
    }
}

fn put(root: &str, path: &str, text: &str) {
    let path = Path::new(root).join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.console.kill();
        let _ = self.console.wait();
        for name in ["root", ""] {
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(self.path(name))
                .status();
        }
    }
}
