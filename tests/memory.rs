//! Whatever the size of what passes through, the door holds little of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::support::clients::image::file_sha256;
use super::support::clients::raw::{self, Raw, finish};
use super::support::clients::{Told, program, run};
use super::support::cluster::Cluster;
use super::support::door::Door;
use super::support::harbor::{Component, Dialect, Mode, Options};

const MIB: u64 = 1 << 20;
/// The most the process may ever hold.
const MOST: u64 = 50 * MIB;
/// Transfers at once in each direction.
const HANDS: usize = 4;

/// What is spoken: curl's option, and how curl calls it afterwards.
type Protocol = (&'static str, &'static str);
const HTTP_1: Protocol = ("--http1.1", "1.1");
const HTTP_2: Protocol = ("--http2", "2");

struct Blob {
    file: PathBuf,
    size: u64,
    digest: String,
}

/// Mostly holes, and like no other.
fn blob(directory: &Path, number: usize, size: u64) -> Blob {
    let path = directory.join(format!("blob-{number}"));
    let mut file = File::create(&path).unwrap();
    write!(file, "blob {number}").unwrap();
    file.set_len(size).unwrap();
    let digest = format!("sha256:{}", file_sha256(&path));
    Blob {
        file: path,
        size,
        digest,
    }
}

fn curl(door: &Door, protocol: Protocol) -> Command {
    let mut command = program("curl", "curl", Duration::from_secs(1200));
    command
        .args(["--silent", "--show-error", "--fail", protocol.0])
        .args(["--user", "admin:Harbor12345", "--header", "Expect:"])
        .arg("--cacert")
        .arg(door.ca());
    command
}

/// Path and query of the Location in what curl dumped.
fn location(told: &Told) -> String {
    let lines = told.out.lines();
    let mut places = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim())
    });
    let uri: http::Uri = places.next().expect("a Location").parse().unwrap();
    uri.path_and_query().unwrap().to_string()
}

fn upload(door: &Door, protocol: Protocol, repository: &str, blob: &Blob) {
    let step = |method: &str, path: &str, file: Option<&Path>| {
        let mut command = curl(door, protocol);
        command.args([
            "--request",
            method,
            "--dump-header",
            "-",
            "--output",
            "/dev/null",
        ]);
        if let Some(file) = file {
            command.arg("--upload-file").arg(file);
        }
        run(command.arg(format!("{}{path}", door.url()))).done()
    };
    let begun = step("POST", &format!("/v2/{repository}/blobs/uploads/"), None);
    let sent = step("PATCH", &location(&begun), Some(&blob.file));
    step("PUT", &finish(&location(&sent), &blob.digest), None);
}

fn download(door: &Door, protocol: Protocol, repository: &str, blob: &Blob) {
    let told = run(curl(door, protocol)
        .args(["--output", "/dev/null"])
        .args(["--write-out", "%{http_version} %{size_download}"])
        .arg(format!(
            "{}/v2/{repository}/blobs/{}",
            door.url(),
            blob.digest
        )));
    assert_eq!(told.done().word(), format!("{} {}", protocol.1, blob.size));
}

/// The most that it ever held, in bytes: what was resident but for the pages of the program's own file. A debug build has
/// many of those, and more with everything that is added to it.
fn peak(door: &Door) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", door.pid())).unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next());
        kib.and_then(|kib| kib.parse().ok()).unwrap()
    };
    (kib("VmHWM:") - kib("RssFile:")) * 1024
}

/// Two nodes that are as patient with bodies as the real ones.
async fn cluster() -> Cluster {
    let patient = |options: &mut Options| {
        options.timing.body_stall = Duration::from_secs(60);
        options.timing.proxy_v2 = Duration::from_secs(900);
    };
    Cluster::start_with(Dialect::Harbor2, 2, patient, |_| {}).await
}

async fn little_is_held(protocol: Protocol, size: u64) {
    let cluster = cluster().await;
    let door = &cluster.door;
    let work = tempfile::tempdir().unwrap();
    let blobs: Vec<Blob> = (0..HANDS)
        .map(|number| blob(work.path(), number, size))
        .collect();
    let (idle, began) = (door.memory(), Instant::now());
    std::thread::scope(|scope| {
        for blob in &blobs {
            scope.spawn(|| upload(door, protocol, "library/first", blob));
        }
    });
    let uploaded = peak(door);
    std::thread::scope(|scope| {
        for blob in &blobs {
            scope.spawn(|| upload(door, protocol, "library/second", blob));
            scope.spawn(|| download(door, protocol, "library/first", blob));
        }
    });
    let peak = peak(door);
    println!(
        "HTTP/{}: {HANDS} blobs of {} MiB in {:?}; MiB held: {} idle, {} after the uploads, {} at most",
        protocol.1,
        size / MIB,
        began.elapsed(),
        idle / MIB,
        uploaded / MIB,
        peak / MIB
    );
    assert!(peak < MOST, "{} MiB were held", peak / MIB);
}

/// What curl says when it gives up at its `--max-time`.
const TIMED_OUT: Option<i32> = Some(28);

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_slowly_do_not_fill_the_memory() {
    let cluster = cluster().await;
    let door = &cluster.door;
    let work = tempfile::tempdir().unwrap();
    let blob = blob(work.path(), 0, 128 * MIB);
    upload(door, HTTP_1, "library/slow", &blob);
    let url = format!("{}/v2/library/slow/blobs/{}", door.url(), blob.digest);
    std::thread::scope(|scope| {
        for protocol in [HTTP_1, HTTP_2].into_iter().cycle().take(HANDS) {
            let url = &url;
            scope.spawn(move || {
                let told = run(curl(door, protocol)
                    .args(["--output", "/dev/null", "--limit-rate", "1M"])
                    .args(["--max-time", "3", url]));
                assert_eq!(told.code, TIMED_OUT, "{told:?}");
            });
        }
    });
    let peak = peak(door);
    println!("{} MiB were held at most", peak / MIB);
    assert!(peak < MOST, "{} MiB were held", peak / MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_to_a_hanging_node_do_not_fill_the_memory() {
    let cluster = cluster().await;
    let door = &cluster.door;
    let work = tempfile::tempdir().unwrap();
    let blob = blob(work.path(), 0, 128 * MIB);
    let mut client = Raw::connect(door, raw::Protocol::Http1).await;
    let mut paths = Vec::new();
    for _ in 0..HANDS {
        paths.push(client.begin("library/slow").await);
    }
    for node in &cluster.nodes {
        node.set(Component::Registry, Mode::Hung).await;
    }
    std::thread::scope(|scope| {
        let protocols = [HTTP_1, HTTP_2].into_iter().cycle();
        for (path, protocol) in paths.iter().zip(protocols) {
            let file = &blob.file;
            scope.spawn(move || {
                let told = run(curl(door, protocol)
                    .args(["--request", "PATCH", "--max-time", "3", "--upload-file"])
                    .arg(file)
                    .arg(format!("{}{path}", door.url())));
                assert_eq!(told.code, TIMED_OUT, "{told:?}");
            });
        }
    });
    let peak = peak(door);
    println!("{} MiB were held at most", peak / MIB);
    assert!(peak < MOST, "{} MiB were held", peak / MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_blobs_over_http_1_pass_through_little_memory() {
    little_is_held(HTTP_1, 128 * MIB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_blobs_over_http_2_pass_through_little_memory() {
    little_is_held(HTTP_2, 128 * MIB).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves gigabytes; run with --ignored"]
async fn blobs_of_a_gibibyte_over_http_1_pass_through_little_memory() {
    little_is_held(HTTP_1, 1024 * MIB).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves gigabytes; run with --ignored"]
async fn blobs_of_a_gibibyte_over_http_2_pass_through_little_memory() {
    little_is_held(HTTP_2, 1024 * MIB).await;
}
