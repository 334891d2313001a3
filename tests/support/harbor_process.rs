//! A stand-in Harbor node as processes of its own, its registry among them: for what befalls whole machines.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::harbor::{Dialect, HarborNode, Options};

/// What the process finds its options in.
const TOLD: &str = "SEAWALL_TEST_NODE";

/// A running one; killed when dropped.
pub struct HarborProcess {
    child: Child,
    /// Where its nginx listens.
    pub address: SocketAddr,
}

impl HarborProcess {
    /// Starts one, as patient with clients as the real ones, with what `options` say of its place in a cluster; does not
    /// wait for it. Call it on a thread that lives as long: it ends with that.
    pub fn start(options: &Options) -> Self {
        let told = json!({
            "name": options.name,
            "address": options.address,
            "storage": options.storage,
            "redis": options.redis,
            "external_url": options.external_url,
            "key": options.key,
        });
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "support::harbor_process::is_the_process"])
            .env(TOLD, told.to_string())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        HarborProcess {
            child: child.expect("a process for the node"),
            address: options.address,
        }
    }

    /// Sends a signal to all of it.
    pub fn signal(&self, signal: Signal) {
        killpg(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it lives");
    }
}

impl Drop for HarborProcess {
    fn drop(&mut self) {
        let _ = killpg(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        );
        let _ = self.child.wait();
    }
}

/// No test, but what the process runs.
#[tokio::test]
async fn is_the_process() {
    let Ok(told) = std::env::var(TOLD) else {
        return;
    };
    let told: Value = serde_json::from_str(&told).unwrap();
    let text = |key: &str| told[key].as_str().map(str::to_owned);
    let storage = text("storage").unwrap();
    let mut options = Options::new(&text("name").unwrap(), Dialect::Harbor2, storage);
    options.address = text("address").unwrap().parse().unwrap();
    options.redis = text("redis");
    options.external_url = text("external_url").unwrap();
    options.key = text("key").map(Into::into);
    options.timing.proxy_v2 = Duration::from_secs(900);
    options.timing.body_stall = Duration::from_secs(60);
    let _node = HarborNode::start(options).await;
    std::future::pending::<()>().await;
}
