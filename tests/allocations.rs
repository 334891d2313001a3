//! What a small pull costs in allocations. Unlike time, they can be counted: the same on every machine, on every run.
//!
//! The data plane runs in this process with a single worker, and only what that worker's thread allocates counts.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::support::certs::Authority;
use super::support::client::{Knock, Two};
use super::support::door::HOSTS;
use super::support::house::House;
use super::support::origin::{Origin, Then};

/// Allocations of one pull, to the nearest whole one, plus one. Two more fail the test.
const HTTP_1: u64 = 19;
const HTTP_2: u64 = 28;
/// So far below its pin a count may fall before the pin must follow.
const SLACK: u64 = 4;

const WARM_UP: u64 = 200;
const MEASURED: u64 = 200;

const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// Its signature is long enough to tell it from others, as every genuine one is: such a token is opened once.
const TOKEN: &str =
    "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZy1lbm91Z2g";

thread_local! {
    // Without a first value to compute and without a destructor: reading it never allocates.
    static COUNTER: Cell<Option<&'static AtomicU64>> = const { Cell::new(None) };
}

/// The system's allocator, counting for the threads that have a counter.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    if let Some(counter) = COUNTER.get() {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

// An allocator cannot be written without; this one adds a count and leaves the memory to the system's.
#[allow(unsafe_code)]
// SAFETY: every call goes on to `System` unchanged, and counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `memory` came from `System` with this layout, because all of ours does.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for `realloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// A node that answers every pull with 1 KiB and the headers that Harbor's registry and its nginx give to a blob.
fn origin() -> Origin {
    let headers = format!(
        "Server: nginx\r\nDate: Tue, 01 Jul 2025 10:00:00 GMT\r\nContent-Type: application/octet-stream\r\n\
         Connection: keep-alive\r\nAccept-Ranges: bytes\r\nCache-Control: max-age=31536000\r\n\
         Docker-Content-Digest: {DIGEST}\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\
         Etag: \"{DIGEST}\"\r\nSet-Cookie: sid=0123456789abcdef; Path=/; HttpOnly\r\n\
         X-Request-Id: 5f0e3c1a-4a52-4a0e-9a7e-2f1d6f0f7b11\r\n"
    );
    let body = "x".repeat(1024);
    Origin::start(move |talk| {
        talk.answer("200 OK", &headers, &body);
        Then::Next
    })
}

/// Serves `origin` as the program does, with one worker that counts into `counter`.
async fn house(origin: &Origin, keys: &str, at: &Path, counter: &'static AtomicU64) -> House {
    let house = House::start(&[origin], keys, at);
    let counting = async { COUNTER.set(Some(counter)) };
    house.worker().spawn(counting).await.unwrap();
    house
}

/// Pulls until everything that is made once was made, then counts.
async fn measure(counter: &AtomicU64, mut pull: impl AsyncFnMut()) -> u64 {
    for _ in 0..WARM_UP {
        pull().await;
    }
    let before = counter.load(Ordering::Relaxed);
    for _ in 0..MEASURED {
        pull().await;
    }
    let total = counter.load(Ordering::Relaxed) - before;
    println!("{total} allocations for {MEASURED} pulls");
    // To the nearest: the last pull may still be ending, and a buffer may grow once.
    (total + MEASURED / 2) / MEASURED
}

fn hold(name: &str, pinned: u64, measured: u64) {
    assert!(
        measured <= pinned,
        "a pull takes {measured} allocations, and {name} in tests/allocations.rs allows {pinned}: find what allocates \
         anew for every request and spare it, or raise {name} to {} and say in the commit what it buys",
        measured + 1
    );
    assert!(
        measured + SLACK >= pinned,
        "a pull takes only {measured} allocations now: lower {name} in tests/allocations.rs from {pinned} to {}, so \
         that it stays that way",
        measured + 1
    );
}

#[tokio::test]
async fn a_small_pull_costs_no_more_allocations_than_it_did() {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    let house = house(&origin, "", directory.path(), &COUNT).await;
    let address = house.address();
    let mut raw = Knock::with(address, directory.path())
        .plain()
        .await
        .unwrap();
    let request = format!(
        "GET /v2/library/app/blobs/{DIGEST} HTTP/1.1\r\nHost: {address}\r\n\
         User-Agent: docker/27.3.1 go/go1.22.7 os/linux arch/amd64\r\nAuthorization: {TOKEN}\r\n\
         Accept-Encoding: identity\r\nConnection: keep-alive\r\n\r\n"
    );
    let measured = measure(&COUNT, async || {
        let answer = raw.ask(&request).await;
        assert_eq!((answer.status, answer.body.len()), (200, 1024));
    });
    hold("HTTP_1", HTTP_1, measured.await);
}

#[tokio::test]
async fn a_small_pull_over_http_2_costs_no_more_allocations_than_it_did() {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let origin = origin();
    let directory = tempfile::tempdir().unwrap();
    Authority::new(directory.path()).issue(directory.path(), "door", &HOSTS);
    let keys = "[[listen.certificate]]\nchain = \"door.pem\"\nkey = \"door-key.pem\"";
    let house = house(&origin, keys, directory.path(), &COUNT).await;
    let ca = directory.path().join("ca.pem");
    let mut two = Two::with(Knock::with(house.address(), &ca)).await;
    let measured = measure(&COUNT, async || {
        let request = two
            .request("GET", &format!("/v2/library/app/blobs/{DIGEST}"))
            .header(
                "user-agent",
                "docker/27.3.1 go/go1.22.7 os/linux arch/amd64",
            )
            .header("authorization", TOKEN)
            .header("accept-encoding", "identity");
        let answer = two.ask(request).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.body.unwrap().len()),
            (200, 1024)
        );
    });
    hold("HTTP_2", HTTP_2, measured.await);
}
