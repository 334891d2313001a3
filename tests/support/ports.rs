//! Addresses nobody listens on.

#![allow(clippy::expect_used)]

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what the kernel gives to connections, so that none takes a port between its choice and its use.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// An address on the loopback interface whose port was free a moment ago.
pub fn free() -> SocketAddr {
    on("127.0.0.1")
}

/// The same on another loopback address, e.g. `127.0.0.11`. No port is given out twice soon, and processes begin at
/// different ones.
pub fn on(host: &str) -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() * 131 % u32::from(COUNT)).unwrap_or_default();
    (0..COUNT)
        .find_map(|_| {
            let turn = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            let port = FIRST + (begin + turn) % COUNT;
            let listener = TcpListener::bind((host, port)).ok()?;
            listener.local_addr().ok()
        })
        .expect("a loopback address has free ports")
}
