//! What is sent to nodes is read alike by everybody: HAProxy, nginx, a server of Go and one of our own count the same
//! requests in the same bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;

use super::support::client::Raw;
use super::support::door::{Door, Plan, eventually};
use super::support::origin::{End, Heard, Origin};
use super::support::ports;

const SOON: Duration = Duration::from_secs(20);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Said behind everything: whoever swallows or invents a request does not see it in its place.
const END: &str = "GET /v2/the-end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
/// Cases that are made up besides those that are known; the environment's `CASES` and `SEED` make others.
const MADE_UP: u64 = 200;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Listens in on what a door says to its node.
struct Tap {
    address: SocketAddr,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tap {
    fn on(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let said: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let keep = said.clone();
        std::thread::spawn(move || {
            for (door, number) in listener.incoming().map_while(Result::ok).zip(0..) {
                let node = TcpStream::connect(node).unwrap();
                keep.lock().unwrap().push(Vec::new());
                let (from, to) = (door.try_clone().unwrap(), node.try_clone().unwrap());
                let keep = keep.clone();
                std::thread::spawn(move || {
                    pass(from, to, |bytes| {
                        keep.lock().unwrap()[number].extend_from_slice(bytes);
                    });
                });
                std::thread::spawn(move || pass(node, door, |_| {}));
            }
        });
        Tap { address, said }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut heard: impl FnMut(&[u8])) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        heard(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

/// Starts a program that listens at `address`.
fn start(command: &mut Command, address: SocketAddr) -> Program {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let program = Program(child.expect("it is installed"));
    eventually("it listens", SOON, || TcpStream::connect(address).is_ok());
    program
}

fn haproxy(origin: &Origin, work: &Path) -> (Program, SocketAddr) {
    let address = ports::free();
    let file = work.join("haproxy.cfg");
    let config = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n\
         frontend all\n  bind {address}\n  default_backend one\nbackend one\n  server one {}\n",
        origin.address
    );
    std::fs::write(&file, config).unwrap();
    let program = start(
        Command::new("haproxy").arg("-db").arg("-f").arg(file),
        address,
    );
    (program, address)
}

fn nginx(origin: &Origin, work: &Path) -> (Program, SocketAddr) {
    let address = ports::free();
    let file = work.join("nginx.conf");
    let config = format!(
        "daemon off; master_process off; pid {0}/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\n access_log off;\n \
         client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n \
         server {{ listen {address}; merge_slashes off; client_max_body_size 0;\n location / {{ proxy_pass http://{1}; proxy_http_version 1.1; }} }}\n}}\n",
        work.display(),
        origin.address
    );
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("nginx");
    let program = start(command.arg("-p").arg(work).arg("-c").arg(file), address);
    (program, address)
}

/// A server whose reader of HTTP is Go's.
fn go(work: &Path) -> (Program, SocketAddr) {
    let address = ports::free();
    let file = work.join("registry.yml");
    let config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{inmemory: {{}}}}\nhttp: {{addr: '{address}'}}\n"
    );
    std::fs::write(&file, config).unwrap();
    let program = start(
        Command::new("docker-registry").arg("serve").arg(file),
        address,
    );
    (program, address)
}

/// How often a server answers when it is sent `bytes` and then [`END`].
fn answers(to: SocketAddr, bytes: &[u8]) -> usize {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.write_all(END.as_bytes()).unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    let heads = said.windows(9).filter(|part| *part == b"HTTP/1.1 ");
    heads.count()
}

/// Method, target and body, as somebody reads them.
type Reading = (String, String, Vec<u8>);

fn read(heard: &Heard) -> Reading {
    (
        heard.method().to_owned(),
        heard.target().to_owned(),
        heard.body.clone(),
    )
}

/// Requests that somebody reads in two ways, and some that nobody does.
fn known() -> Vec<String> {
    let get = |fields: &str| format!("GET /v2/ HTTP/1.1\r\nHost: HOST\r\n{fields}\r\n");
    let post = |fields: &str, body: &str| {
        format!("POST /api/x HTTP/1.1\r\nHost: HOST\r\n{fields}\r\n{body}")
    };
    let hidden = "GET /v2/hidden HTTP/1.1\r\nHost: HOST\r\n\r\n";
    let length = hidden.len() + 2; // HOST grows: the body may be cut, and then nothing may come of it.
    vec![
        get(""),
        get(&format!("Content-Length: 3\r\n\r\nabc{}", "")),
        get("Connection: content-length, host, transfer-encoding\r\n"),
        get("Expect: 100-continue\r\n"),
        get("Upgrade: foo\r\nConnection: upgrade\r\n") + hidden,
        post("Content-Length: 3\r\n", "abc"),
        post("Content-Length: 03\r\n", "abc"),
        post("Transfer-Encoding: chunked\r\n", "3 \r\nabc\r\n0\r\n\r\n"),
        post(
            "Transfer-Encoding: chunked\r\n",
            "3;a=\"\r\nabc\r\n0;x\r\n\r\n",
        ),
        post("Transfer-Encoding: chunked\r\n", "3;\nabc\r\n0\r\n\r\n"),
        post(
            "Transfer-Encoding: chunked\r\n",
            "0003\r\nabc\r\n00\r\nX: y\r\n\r\n",
        ),
        post(
            "Transfer-Encoding: chunked\r\n",
            &format!("0\r\n\r\n{hidden}"),
        ),
        post(
            "Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
        ),
        post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        post(
            "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        post(
            "Transfer-Encoding:\tchunked\r\n",
            &format!("0\r\n\r\n{hidden}"),
        ),
        post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
        post(
            "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n",
            "0\r\n\r\n",
        ),
        post("Content_Length: 0\r\nContent-Length: 3\r\n", "abc"),
        post(
            &format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
            hidden,
        ),
        post(
            &format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            &format!("0\r\n\r\n{hidden}"),
        ),
        format!("GET /v2/%0d%0aX:y HTTP/1.1\r\nHost: HOST\r\n\r\n{hidden}"),
        format!("GET /v2/?a=%20HTTP/1.1%0d%0a HTTP/1.1\r\nHost: HOST\r\n\r\n{hidden}"),
        "GET /v2/#/api HTTP/1.1\r\nHost: HOST\r\n\r\n".to_owned(),
        "GET https://HOST/v2/ HTTP/1.1\r\nHost: HOST\r\n\r\n".to_owned(),
        format!("\r\n\r\n{}", get("")),
    ]
}

/// A request put together from what attackers like.
fn made_up(rng: &mut fastrand::Rng) -> String {
    let mut text = rng
        .choice(["GET", "POST", "PUT", "HEAD", "PATCH"])
        .unwrap()
        .to_owned();
    text += rng
        .choice([
            " /v2/ HTTP/1.1",
            " /api/x?y#z HTTP/1.1",
            " /c/x HTTP/1.0",
            " /api/%2e%2e HTTP/1.1",
            "  /v2/ HTTP/1.1",
        ])
        .unwrap();
    let fields = [
        "Content-Length: 5",
        "Content-Length:5",
        "Content-Length: 0",
        "Content-Length: +5",
        "content-length: 5 ",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: Chunked ",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\x0b",
        "X: y\r\n z",
        "X: Transfer-Encoding: chunked",
        "Connection: close, content-length",
        "Connection: keep-alive",
        "Expect: 100-continue",
        "TE: trailers",
        "Trailer: X",
        "Upgrade: h2c",
        "X-A:\x01b",
        "Accept: a\r\nAccept: b",
        "Content-Type: a\r\nContent-Type: b",
        "Keep-Alive: timeout=1",
        "Proxy-Connection: close",
    ];
    let end =
        |rng: &mut fastrand::Rng| *rng.choice(&["\r\n", "\r\n", "\r\n", "\r\n", "\n"]).unwrap();
    text += end(rng);
    text += "Host: HOST";
    text += end(rng);
    for _ in 0..rng.usize(0..4) {
        text += rng.choice(fields).unwrap();
        text += end(rng);
    }
    text += end(rng);
    let bodies = [
        "",
        "hello",
        "5\r\nhello\r\n0\r\n\r\n",
        "0\r\n\r\n",
        "5;x\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "0\r\nContent-Length: 3\r\n\r\n",
    ];
    text += rng.choice(bodies).unwrap();
    if rng.bool() {
        text += "GET /v2/hidden HTTP/1.1\r\nHost: HOST\r\n\r\n";
    }
    text
}

/// Says `text` to the door, and nothing more; returns when it was answered or refused.
async fn say(door: &Door, text: &str) {
    let mut raw = Raw::to(door).await;
    raw.say(text.replace("HOST", &door.address.to_string()))
        .await;
    // Whatever it was, this is no part of it, and ends the connection once it is read.
    raw.say("GET /v2/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    let _ = tokio::time::timeout(Duration::from_secs(1), raw.rest()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_what_is_sent_to_a_node_in_another_way() {
    let seed = asked("SEED").unwrap_or(1);
    let made_up_cases = asked("CASES").unwrap_or(MADE_UP);
    println!("SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let work = tempfile::tempdir().unwrap();
    let (behind_haproxy, behind_nginx) = (Origin::saying(OK), Origin::saying(OK));
    let readers = [
        (
            "haproxy",
            haproxy(&behind_haproxy, work.path()),
            Some(&behind_haproxy),
        ),
        (
            "nginx",
            nginx(&behind_nginx, work.path()),
            Some(&behind_nginx),
        ),
        ("go", go(work.path()), None),
    ];
    let mut cases = known();
    cases.extend((0..made_up_cases).map(|_| made_up(&mut rng)));
    for (case, number) in cases.iter_mut().zip(0..) {
        *case = case.replacen("Host: HOST", &format!("X-Case: {number}\r\nHost: HOST"), 1);
    }
    let (mut forwarded, mut refused) = (0, 0);
    for batch in cases.chunks(25) {
        let origin = Origin::saying(OK);
        let tap = Tap::on(origin.address);
        let door = Door::start(&Plan::fronting([format!("http://{}", tap.address)]));
        door.settled();
        let all = batch.iter().map(|text| say(&door, text));
        join_all(all).await;
        drop(door);
        let heard = origin.heard();
        let said = tap.said.lock().unwrap().clone();
        refused += batch.len();
        for (number, bytes) in said.iter().enumerate() {
            let mine: Vec<&Heard> = heard
                .iter()
                .filter(|one| one.connection == number)
                .collect();
            if mine.is_empty() || mine.iter().any(|one| one.end != End::Clean) {
                continue;
            }
            forwarded += mine.len();
            let words = String::from_utf8_lossy(bytes);
            let case = |case: &String| {
                let named = case.lines().find(|line| line.starts_with("X-Case"));
                named.is_some_and(|named| words.contains(&format!("{}\r", named.to_lowercase())))
            };
            let cases: Vec<&String> = batch.iter().filter(|one| case(one)).collect();
            let probes = words.matches("seawall-probe").count();
            let mine: Vec<Reading> = mine.into_iter().map(read).collect();
            for (name, (_, address), origin) in &readers {
                let before = origin.map_or(0, |origin| origin.heard().len());
                let count = answers(*address, bytes);
                let expected = probes + mine.len() + 1;
                assert_eq!(
                    count, expected,
                    "{name}, SEED={seed}: {cases:#?} sent as {words}"
                );
                let Some(origin) = origin else { continue };
                let theirs: Vec<Reading> = origin.heard()[before..].iter().map(read).collect();
                let end = ("GET".to_owned(), "/v2/the-end".to_owned(), Vec::new());
                let expected: Vec<Reading> = mine.iter().cloned().chain([end]).collect();
                assert_eq!(
                    theirs, expected,
                    "{name}, SEED={seed}: {cases:#?} sent as {words}"
                );
            }
        }
    }
    println!("{refused} requests, {forwarded} of them sent to a node and read alike");
    assert!(
        forwarded > 30,
        "hardly anything was sent to the node: {forwarded}"
    );
}
