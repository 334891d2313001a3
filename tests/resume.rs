//! A node fails in the middle of a download: another one goes on with it, or the client is cut off, too. Never anything in
//! between.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod clients;
mod full;
mod goes_on;
mod moments;
mod nodes;
mod pushes;
mod refused;
mod storm;
mod verified;
mod whole;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::support::client::{Answer, Raw, Two, basic};
use super::support::clients::image::sha256;
use super::support::door::{Door, Plan, eventually};
use super::support::origin::{Heard, Origin, Talk, Then};

const SOON: Duration = Duration::from_secs(10);

/// Bytes that tell their place, and their digest.
struct Blob {
    bytes: Vec<u8>,
    digest: String,
}

impl Blob {
    fn new(size: usize) -> Arc<Self> {
        let bytes: Vec<u8> = (0..size).map(|at| (at ^ ((at >> 8) * 7)) as u8).collect();
        let digest = format!("sha256:{}", sha256(&bytes));
        Arc::new(Blob { bytes, digest })
    }

    fn path(&self) -> String {
        format!("/v2/library/app/blobs/{}", self.digest)
    }

    fn manifest(&self) -> String {
        format!("/v2/library/app/manifests/{}", self.digest)
    }

    /// First byte and length of what a request asks for.
    fn asked(&self, heard: &Heard) -> (usize, usize) {
        let size = self.bytes.len();
        let Some(range) = heard.header("range").and_then(|r| r.strip_prefix("bytes=")) else {
            return (0, size);
        };
        let (first, last) = range.split_once('-').unwrap();
        if first.is_empty() {
            let count: usize = last.parse().unwrap();
            return (size - count, count);
        }
        let first: usize = first.parse().unwrap();
        let last = last.parse().unwrap_or(size - 1);
        (first, last + 1 - first)
    }

    /// What the registry says before it.
    fn head(&self, heard: &Heard) -> String {
        let (digest, size) = (&self.digest, self.bytes.len());
        let (first, length) = self.asked(heard);
        let (status, range) = match heard.header("range") {
            None => ("200 OK", String::new()),
            Some(_) => (
                "206 Partial Content",
                format!(
                    "Content-Range: bytes {first}-{}/{size}\r\n",
                    first + length - 1
                ),
            ),
        };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n{range}\
             Accept-Ranges: bytes\r\nDocker-Content-Digest: {digest}\r\nEtag: \"{digest}\"\r\n\r\n"
        )
    }

    /// Serves a request, but no more than `most` bytes of it.
    fn serve(&self, talk: &mut Talk<'_>, most: usize) {
        let heard = talk.request();
        let (first, length) = self.asked(&heard);
        talk.say(self.head(&heard));
        talk.say(&self.bytes[first..first + length.min(most)]);
    }
}

/// Nodes with one script: it gets the number of the request, counted over all of them.
fn nodes<const N: usize>(
    script: impl Fn(&mut Talk<'_>, usize) -> Then + Send + Sync + 'static,
) -> [Origin; N] {
    let script = Arc::new(script);
    let count = Arc::new(AtomicUsize::new(0));
    std::array::from_fn(|_| {
        let (script, count) = (script.clone(), count.clone());
        Origin::start(move |talk| script(talk, count.fetch_add(1, Ordering::SeqCst)))
    })
}

/// A door before them, with further tables.
fn door(origins: &[Origin], more: &str) -> Door {
    let mut plan = Plan::fronting(origins.iter().map(Origin::url));
    plan.more += "[timeouts]\nstall = \"1s\"\n";
    plan.more += more;
    let door = Door::start(&plan);
    door.settled();
    door
}

/// All requests, the first one first.
fn heard(origins: &[Origin]) -> Vec<(usize, Heard)> {
    let mut all = Vec::new();
    for (at, origin) in origins.iter().enumerate() {
        all.extend(origin.heard().into_iter().map(|heard| (at, heard)));
    }
    // Those for a rest come later than those for the whole.
    all.sort_by_key(|(_, heard)| start(heard));
    all
}

fn start(heard: &Heard) -> u64 {
    let range = heard.header("range").unwrap_or("bytes=0-");
    let first = range.trim_start_matches("bytes=").split('-').next();
    first.unwrap().parse().unwrap_or_default()
}

/// A pull as docker does it.
async fn pull(door: &Door, path: &str, more: &str) -> Answer {
    let mut raw = Raw::to(door).await;
    raw.ask(request(door, path, more)).await
}

fn request(door: &Door, path: &str, more: &str) -> String {
    let (host, admin) = (door.address, basic("admin", "Harbor12345"));
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: docker/27.3.1\r\n{admin}{more}\r\n")
}

/// The same over HTTP/2; `None` when the stream was reset.
async fn pull_2(door: &Door, path: &str) -> Option<Vec<u8>> {
    let mut two = Two::to(door).await;
    two.get(path).await.body.ok()
}

/// The line of the access log about a path.
fn line(door: &Door, path: &str) -> Value {
    let find = || {
        let lines = door.access();
        lines.into_iter().find(|line| line["path"] == path)
    };
    eventually("the line", SOON, || find().is_some());
    find().unwrap()
}

fn resumes(door: &Door, outcome: &str) -> u64 {
    let text = door.ask("GET", "/metrics").1;
    let name = format!("seawall_resumes_total{{outcome=\"{outcome}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.map_or(0, |value| value.parse().unwrap())
}
