//! Answers that come before the request has ended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use bytes::Bytes;

use crate::support::client::{Raw, Two, read};
use crate::support::door::{Door, eventually};
use crate::support::origin::{End, Origin, Then, before};

const SIZE: usize = 20 << 20;
const UPLOAD: &str = "/v2/library/app/blobs/uploads/5d3cbbd1-61a6-4a4b-8e1c-5f7a0b6f3a11?_state=x";
const REFUSAL: &str = "{\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}";

/// As nginx does: refuses at the head, keeps the connection, and reads the rest into nowhere.
fn refusing_and_reading() -> Origin {
    Origin::start(|talk| {
        talk.answer("401 Unauthorized", "", REFUSAL);
        talk.hear_all();
        Then::Next
    })
}

/// Refuses at the head and says goodbye.
fn refusing_and_leaving() -> Origin {
    Origin::start(|talk| {
        talk.answer("401 Unauthorized", "Connection: close\r\n", REFUSAL);
        talk.leave();
        Then::Close
    })
}

/// Refuses at the head and hangs up on the rest, so that its own answer may be lost on the way.
fn refusing_and_breaking() -> Origin {
    Origin::start(|talk| {
        talk.answer("401 Unauthorized", "Connection: close\r\n", REFUSAL);
        Then::Reset
    })
}

fn head(door: &Door) -> String {
    format!(
        "PATCH {UPLOAD} HTTP/1.1\r\nHost: {}\r\nContent-Length: {SIZE}\r\n\r\n",
        door.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_401_reaches_a_client_that_is_still_sending() {
    let origin = refusing_and_reading();
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    raw.say(head(&door)).await;
    raw.say(vec![0; SIZE / 2]).await;
    let answer = raw.answer("PATCH").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.text(), REFUSAL);
    assert_ne!(origin.only().end, End::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_writes_first_still_reads_the_whole_early_401() {
    for origin in [refusing_and_reading(), refusing_and_leaving()] {
        let door = before(&origin);
        let mut raw = Raw::to(&door).await;
        raw.say(head(&door)).await;
        assert!(raw.say(vec![0; SIZE]).await, "cut off while writing");
        let answer = raw.answer("PATCH").await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.text(), REFUSAL);
        assert!(answer.whole);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_writes_first_reads_an_answer_even_if_the_node_hangs_up_on_it() {
    let origin = refusing_and_breaking();
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    raw.say(head(&door)).await;
    assert!(raw.say(vec![0; SIZE]).await, "cut off while writing");
    let answer = raw.answer("PATCH").await;
    assert!(matches!(answer.status, 401 | 503), "{}", answer.head);
    assert!(answer.whole && answer.text().contains("\"errors\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_401_passes_on_a_stream_while_its_body_goes_on() {
    for origin in [refusing_and_reading(), refusing_and_leaving()] {
        let door = before(&origin);
        let mut two = Two::to(&door).await;
        let request = two.request("PATCH", UPLOAD);
        let (answer, mut body) = two.open(request, false).await.unwrap();
        body.send_data(Bytes::from(vec![0; 1 << 16]), false)
            .unwrap();
        let answer = read(answer).await.unwrap();
        assert_eq!(answer.status, 401);
        assert_eq!(answer.body.unwrap(), REFUSAL.as_bytes());
        let request = two.request("GET", "/v2/");
        assert_eq!(two.ask(request).await.unwrap().status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_early_answer_the_node_still_gets_the_rest() {
    let origin = refusing_and_reading();
    let door = before(&origin);
    let mut raw = Raw::to(&door).await;
    raw.say(head(&door)).await;
    assert_eq!(raw.answer("PATCH").await.status, 401);
    raw.say(vec![7; SIZE]).await;
    eventually("all of it", std::time::Duration::from_secs(15), || {
        origin.only().end == End::Clean
    });
    assert_eq!(origin.only().body.len(), SIZE);
}
