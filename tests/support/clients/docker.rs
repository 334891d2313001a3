//! `docker` with a daemon of its own, both of Debian's `docker.io`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::{Far, Told, demand, image, program, run, within};
use crate::support::door::Door;

/// Named by its path, since a client of another origin may stand before it in the PATH and be too young for the daemon.
const CLIENT: &str = "/usr/bin/docker";
const LIMIT: Duration = Duration::from_secs(900);

/// A machine with docker on it.
pub struct Docker {
    daemon: Child,
    directory: tempfile::TempDir,
    registry: String,
}

impl Docker {
    /// Starts a daemon that believes the door's authority and no other.
    ///
    /// Docker verifies no certificate of a registry in 127.0.0.0/8, whatever it is told. So the registry is called
    /// `0.0.0.0` here, which leads to the loopback interface as well, and which docker takes for a stranger.
    pub fn start(door: &Door) -> Self {
        Self::believing(&door.ca(), door)
    }

    /// The same with an authority that may be another than the door's.
    pub fn believing(ca: &Path, door: &Door) -> Self {
        Self::at(None, ca, format!("0.0.0.0:{}", door.address.port()))
    }

    /// One far away.
    pub fn far(far: &Far<'_>) -> Self {
        Self::at(Some(far.namespace), far.ca, far.registry.to_owned())
    }

    fn at(namespace: Option<&str>, ca: &Path, registry: String) -> Self {
        demand("dockerd", "docker.io");
        demand("containerd", "containerd");
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let log = File::create(at("daemon.log")).unwrap();
        std::fs::create_dir(at("certificates")).unwrap();
        // Without a place of its own the daemon leaves a key in /etc/docker.
        let settings = json!({"deprecated-key-path": at("key.json")});
        std::fs::write(at("daemon.json"), settings.to_string()).unwrap();
        // The daemon ends with the thread of its test, even if the test is killed.
        let mut daemon = within(namespace, "setpriv");
        daemon
            .args(["--pdeathsig", "TERM", "dockerd"])
            .arg("--host")
            .arg(format!("unix://{}", at("socket").display()))
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--config-file")
            .arg(at("daemon.json"))
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(["--storage-driver=vfs"])
            .env("SSL_CERT_FILE", ca)
            .env("SSL_CERT_DIR", at("certificates"))
            .env("DOCKER_TMPDIR", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let daemon = daemon.spawn().expect("dockerd starts");
        let mut docker = Docker {
            daemon,
            directory,
            registry,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !run(&mut docker.command("version")).ok {
            let ended = docker.daemon.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "dockerd does not answer: {ended:?}\n{}",
                docker.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        docker
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("daemon.log")).unwrap_or_default()
    }

    fn command(&self, act: &str) -> Command {
        let mut command = program(CLIENT, "docker.io", LIMIT);
        command
            .env("DOCKER_CONFIG", self.directory.path().join("config"))
            .env_remove("DOCKER_HOST")
            .env_remove("DOCKER_API_VERSION")
            .arg("--host")
            .arg(format!(
                "unix://{}",
                self.directory.path().join("socket").display()
            ))
            .arg(act);
        command
    }

    /// `registry/name`.
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.registry)
    }

    /// `docker login`.
    pub fn login(&self, user: &str, password: &str) -> Told {
        let mut command = self.command("login");
        run(command.args(["--username", user, "--password", password, &self.registry]))
    }

    /// Makes an image of one layer with `size` random bytes; its id.
    pub fn make(&self, name: &str, size: u64) -> String {
        let archive = self.directory.path().join("layer.tar");
        image::tar(&mut File::create(&archive).unwrap(), size).unwrap();
        let told = run(self.command("import").arg(&archive).arg(self.name(name))).done();
        std::fs::remove_file(&archive).unwrap();
        told.word().to_owned()
    }

    /// `docker push`.
    pub fn push(&self, name: &str) -> Told {
        run(self.command("push").arg(self.name(name)))
    }

    /// `docker pull`.
    pub fn pull(&self, name: &str) -> Told {
        run(self.command("pull").arg(self.name(name)))
    }

    /// Forgets an image and its layers.
    pub fn forget(&self, name: &str) {
        run(self.command("rmi").args(["--force", &self.name(name)])).done();
    }

    /// Whether an image is there.
    pub fn has(&self, name: &str) -> bool {
        run(self.command("image").args(["inspect", &self.name(name)])).ok
    }

    /// The id of an image: the digest of its configuration, which names the layers by what is in them.
    pub fn id(&self, name: &str) -> String {
        self.inspect(name, "{{.Id}}")
    }

    /// The digest of its manifest as the registry told it.
    pub fn digest(&self, name: &str) -> String {
        let all = self.inspect(name, "{{join .RepoDigests \" \"}}");
        all.rsplit_once('@').expect("a digest").1.to_owned()
    }

    fn inspect(&self, name: &str, format: &str) -> String {
        let mut command = self.command("image");
        let told = run(command.args(["inspect", "--format", format, &self.name(name)]));
        told.done().word().to_owned()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = kill(
            Pid::from_raw(self.daemon.id().cast_signed()),
            Signal::SIGTERM,
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        while matches!(self.daemon.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        if std::thread::panicking() {
            eprintln!("the daemon said:\n{}", self.log());
        }
    }
}
