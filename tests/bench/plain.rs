//! Registries that are no Harbor: other logins, and nothing that may be removed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::run::start_as;
use crate::support::door::eventually;
use crate::support::ports;

/// Debian's `docker-registry` as it comes: plain HTTP, removal not allowed.
struct Plain {
    child: Child,
    address: SocketAddr,
    _work: tempfile::TempDir,
}

impl Plain {
    fn start(account: Option<(&str, &str)>) -> Self {
        let work = tempfile::tempdir().unwrap();
        let address = ports::free();
        let mut text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            work.path().display()
        );
        if let Some((user, password)) = account {
            let made = Command::new("htpasswd")
                .args(["-B", "-C", "4", "-b", "-n", user, password])
                .output()
                .expect("htpasswd is installed");
            let file = work.path().join("htpasswd");
            std::fs::write(&file, made.stdout).unwrap();
            text.push_str(&format!(
                "auth:\n  htpasswd:\n    realm: plain\n    path: {}\n",
                file.display()
            ));
        }
        let config = work.path().join("registry.yml");
        std::fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed");
        let plain = Plain {
            child,
            address,
            _work: work,
        };
        eventually("the registry listens", Duration::from_secs(10), || {
            TcpStream::connect(address).is_ok()
        });
        plain
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_registry_that_wants_no_login_is_loaded_and_what_stays_is_said_once() {
    let registry = Plain::start(None);
    let url = registry.url();
    let arguments = [
        "--project",
        "team/load",
        "--duration",
        "1s",
        "--images",
        "3",
        &url,
    ];
    let told = start_as("", "", "pull", &arguments).end().done();
    assert!(told.out.contains(" done in "), "{told:#?}");
    assert_eq!(told.err.matches("left behind").count(), 1, "{told:#?}");
    assert!(
        told.err
            .contains("3 of 3 manifests: the registry does not allow it (405)"),
        "{told:#?}"
    );
}

#[test]
fn a_registry_that_wants_basic_gets_it() {
    let registry = Plain::start(Some(("carl", "s3cret!")));
    let url = registry.url();
    let arguments = ["--project", "x", "--duration", "500ms", "--json", &url];
    let told = start_as("carl", "s3cret!", "mixed", &arguments)
        .end()
        .done();
    let report = told.json();
    assert_eq!(report["errors"], serde_json::json!({}), "{report:#}");
    let told = start_as("carl", "other", "mixed", &arguments).end();
    assert_eq!(told.code, Some(1), "{told:#?}");
    assert_eq!(told.json()["errors"]["status 401"], 1, "{told:#?}");
}
