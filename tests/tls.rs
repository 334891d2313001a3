//! TLS as a stranger's implementation sees it: OpenSSL knocks at the door, and nginx is the node behind it.

mod clients;
mod keys;
mod nodes;
mod profiles;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::door::Door;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What `openssl s_client` says about one request at `address`.
fn s_client(address: SocketAddr, ca: &Path, more: &[&str]) -> String {
    let mut child = Command::new("timeout")
        .args(["60", "openssl", "s_client", "-ign_eof"])
        .args(["-connect", &address.to_string(), "-servername", "localhost"])
        .args(["-verify_return_error", "-CAfile"])
        .arg(ca)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl starts");
    let request = format!("GET /v2/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    // It does not listen any more when the handshake failed.
    let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
    let output = child.wait_with_output().expect("openssl ends");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn openssl(door: &Door, more: &[&str]) -> String {
    s_client(door.address, &door.ca(), more)
}

/// Whether the request was answered.
fn answered(said: &str) -> bool {
    said.contains("HTTP/1.1 200 OK")
}
