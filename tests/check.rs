//! Configurations that cannot be served are refused before anything is, and starts without one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::certs::Authority;
use crate::support::client::{Knock, until};
use crate::support::origin::Origin;
use crate::support::ports;

const BAD_CONFIGURATION: Option<i32> = Some(78);
const SOON: Duration = Duration::from_secs(10);

/// A directory with a certificate and a configuration.
struct Desk {
    directory: tempfile::TempDir,
    file: PathBuf,
    text: String,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Authority::new(directory.path()).issue(directory.path(), "door", &["localhost"]);
        let file = directory.path().join("seawall.toml");
        let text = format!(
            "state_dir = \"state\"\n[[listen]]\naddress = \"{}\"\n[[listen.certificate]]\nchain = \"door.pem\"\nkey = \"door-key.pem\"\n[admin]\naddress = \"{}\"\n[cluster]\n[[cluster.node]]\nname = \"harbor-1\"\nurl = \"http://127.0.0.1:9\"\n",
            ports::free(),
            ports::free()
        );
        Desk {
            directory,
            file,
            text,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Exit code and standard error of a command on a configuration.
    fn run(&self, command: &str, text: &str) -> (Option<i32>, String) {
        std::fs::write(&self.file, text).unwrap();
        ended(
            Command::new(env!("CARGO_BIN_EXE_seawall"))
                .args([command, "-c"])
                .arg(&self.file),
        )
    }

    /// Both `check` and `run` refuse `text`; what `run` says.
    fn refused(&self, text: &str) -> String {
        let (code, said) = self.run("check", text);
        assert_eq!(code, BAD_CONFIGURATION, "check: {said}");
        let (code, again) = self.run("run", text);
        assert_eq!(code, BAD_CONFIGURATION, "run: {again}");
        assert!(!again.contains("listening"), "{again}");
        assert_eq!(said, again);
        for line in said.lines() {
            let rest = line.strip_prefix(&format!("{}:", self.file.display()));
            let number = rest.and_then(|rest| rest.split(':').next());
            assert!(number.is_some_and(|n| n.parse::<u32>().is_ok()), "{line}");
        }
        said
    }

    fn line(&self, text: &str, what: &str) -> String {
        let at = text.lines().position(|line| line.contains(what)).unwrap() + 1;
        format!("{}:{at}: ", self.file.display())
    }
}

fn ended(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + SOON;
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut said = String::new();
    // `check` tells its problems on stdout, `run` on stderr.
    child.stdout.unwrap().read_to_string(&mut said).unwrap();
    child.stderr.unwrap().read_to_string(&mut said).unwrap();
    (code, said)
}

#[test]
fn a_good_configuration_is_good() {
    let desk = Desk::new();
    let good = format!("{}: good\n", desk.file.display());
    assert_eq!(desk.run("check", &desk.text), (Some(0), good));
}

#[test]
fn what_is_unwise_is_warned_of_and_still_good() {
    let desk = Desk::new();
    let text = desk.text.clone() + "[sessions]\nstore = \"redis://:hunter2@127.0.0.1:9\"\n";
    let (code, said) = desk.run("check", &text);
    assert_eq!(code, Some(0), "{said}");
    let place = desk.line(&text, "store =");
    let warning = format!("warning: {place}sessions.store: database 0 is one of those");
    assert!(
        said.lines().any(|line| line.starts_with(&warning)),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn every_problem_is_told_with_its_line() {
    let desk = Desk::new();
    let text = desk
        .text
        .replace("state_dir", "stat_dir")
        .replace("http://127.0.0.1:9", "ftp://127.0.0.1")
        + "[health]\ninterval = \"soon\"\n";
    let said = desk.refused(&text);
    assert_eq!(said.lines().count(), 3, "{said}");
    for (what, word) in [
        ("stat_dir", "state_dir"),
        ("ftp:", "cluster.node.url"),
        ("soon", "health.interval"),
    ] {
        let place = desk.line(&text, what);
        let told = said.lines().find(|line| line.starts_with(&place));
        assert!(
            told.is_some_and(|line| line.contains(word)),
            "{place}: {said}"
        );
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let desk = Desk::new();
    Authority::new(desk.path()).issue(desk.path(), "other", &["localhost"]);
    let text = desk.text.replace("door-key.pem", "other-key.pem");
    let said = desk.refused(&text);
    assert!(said.contains("certificate"), "{said}");
}

#[test]
fn a_key_that_is_not_there_is_refused() {
    let desk = Desk::new();
    let text = desk.text.replace("door-key.pem", "gone.pem");
    let said = desk.refused(&text);
    assert!(said.starts_with(&desk.line(&text, "gone.pem")), "{said}");
}

#[test]
fn a_key_that_is_no_key_is_refused() {
    let desk = Desk::new();
    std::fs::write(desk.path().join("door-key.pem"), "nothing").unwrap();
    assert!(desk.refused(&desk.text).contains("key"));
}

#[test]
fn an_expired_certificate_is_refused() {
    let desk = Desk::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(desk.path().join("door.pem"), certificate.pem()).unwrap();
    std::fs::write(desk.path().join("door-key.pem"), key.serialize_pem()).unwrap();
    let said = desk.refused(&desk.text);
    assert!(said.contains("expired"), "{said}");
}

#[test]
fn two_nodes_of_one_name_are_refused() {
    let desk = Desk::new();
    let text = desk.text.clone()
        + "[[cluster.node]]\nname = \"harbor-1\"\nurl = \"http://127.0.0.1:10\"\n";
    assert!(desk.refused(&text).contains("`harbor-1`"));
}

#[test]
fn a_cluster_without_nodes_is_refused() {
    let desk = Desk::new();
    let text = desk.text.split("[[cluster.node]]").next().unwrap();
    assert!(desk.refused(text).contains("cluster.node"));
}

#[test]
fn an_address_in_use_ends_a_run_before_it_serves() {
    let desk = Desk::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = desk.text.replace("[[listen]]\naddress", "[[listen]]\n#");
    let text = text.replace(
        "[[listen]]",
        &format!("[[listen]]\naddress = \"{address}\""),
    );
    let (code, said) = desk.run("run", &text);
    assert_eq!(code, BAD_CONFIGURATION, "{said}");
    assert!(said.contains(&address.to_string()), "{said}");
    assert!(!said.contains("listening"), "{said}");
}

#[test]
fn an_admin_address_in_use_ends_a_run_before_it_serves() {
    let desk = Desk::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = desk.text.replace("[admin]\naddress", "[admin]\n#");
    let text = text.replace("[admin]", &format!("[admin]\naddress = \"{address}\""));
    let (code, said) = desk.run("run", &text);
    assert_eq!(code, BAD_CONFIGURATION, "{said}");
    assert!(said.contains(&address.to_string()), "{said}");
}

/// Kills what it holds.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves without a file until it answers; its admin address is everybody's, so another test may have to end first.
async fn without_a_file(nodes: &[String], state: &Path) -> (Running, Vec<u8>) {
    let address = ports::free();
    let mut running = None;
    let mut certificate = Vec::new();
    until("it serves", Duration::from_secs(60), async || {
        let over = running
            .as_mut()
            .is_none_or(|Running(child): &mut Running| child.try_wait().unwrap().is_some());
        if over {
            let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
            command.arg("run");
            for node in nodes {
                command.args(["--node", node]);
            }
            command
                .args(["--listen", &address.to_string(), "--state-dir"])
                .arg(state)
                .stderr(Stdio::null());
            running = Some(Running(command.spawn().unwrap()));
        }
        let Some(pem) = kept(state) else {
            return false;
        };
        let Ok(mut raw) = Knock::with(address, &pem).raw().await else {
            return false;
        };
        let chain = raw.stream.tls().unwrap().peer_certificates().unwrap();
        certificate = chain[0].to_vec();
        let answer = raw.ask("GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        answer.status == 200
    })
    .await;
    (running.unwrap(), certificate)
}

/// The certificate in a state directory, once it is whole.
fn kept(state: &Path) -> Option<PathBuf> {
    Some(state.join("self-signed.pem")).filter(|file| file.exists())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_a_file_keeps_its_certificate() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let other = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let state = tempfile::tempdir().unwrap();
    let nodes = [origin.url(), other.url()];
    let (first, shown) = without_a_file(&nodes, state.path()).await;
    drop(first);
    let (_second, again) = without_a_file(&nodes, state.path()).await;
    assert_eq!(shown, again);
}

#[test]
fn a_start_without_a_file_or_a_node_is_wrong_usage() {
    let (code, said) = ended(Command::new(env!("CARGO_BIN_EXE_seawall")).arg("run"));
    assert_eq!(code, Some(2), "{said}");
}
