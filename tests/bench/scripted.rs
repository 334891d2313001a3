//! Registries that misbehave in one point, to see that exactly this is told.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::run::{Told, start_as};
use crate::support::origin::{Origin, Talk, Then};

/// A registry that stores one image and answers reads of blobs as `blob` says.
fn storing(blob: impl Fn(&mut Talk<'_>) -> Then + Send + Sync + 'static) -> Origin {
    let manifest = Mutex::new(String::new());
    Origin::start(move |talk| {
        talk.hear_all();
        let heard = talk.request();
        let target = heard.target().to_owned();
        let manifests = target.contains("/manifests/");
        match heard.method() {
            "HEAD" if manifests => talk.answer("200 OK", "", ""),
            "HEAD" => talk.answer("404 Not Found", "", ""),
            "POST" | "PATCH" => {
                let next = "Location: /v2/x/blobs/uploads/1\r\n";
                talk.answer("202 Accepted", next, "");
            }
            "PUT" => {
                if manifests {
                    *manifest.lock().unwrap() = String::from_utf8(heard.body).unwrap();
                }
                talk.answer("201 Created", "", "");
            }
            "DELETE" => talk.answer("202 Accepted", "", ""),
            _ if target == "/v2/" => talk.answer("200 OK", "", ""),
            _ if manifests => talk.answer("200 OK", "", &manifest.lock().unwrap()),
            _ if target.contains("/blobs/") => return blob(talk),
            _ => talk.answer("404 Not Found", "", ""),
        }
        Then::Next
    })
}

fn pull(origin: &Origin, more: &[&str]) -> Told {
    let url = origin.url();
    let mut arguments = vec!["--project", "x", "--images", "1", "--clients", "1"];
    arguments.extend(["--duration", "500ms", "--json", &url]);
    arguments.extend(more);
    start_as("", "", "pull", &arguments).end()
}

#[track_caller]
fn failed_with(told: &Told, kind: &str) -> u64 {
    let report = told.json();
    let count = report["errors"][kind].as_u64().unwrap_or(0);
    assert!(count > 0, "{told:#?}");
    assert_eq!(report["failed"], count, "{told:#?}");
    assert_eq!(told.code, Some(1));
    count
}

#[test]
fn a_body_that_ends_too_early_is_told_apart() {
    let origin = storing(|talk| {
        talk.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        Then::Close
    });
    failed_with(&pull(&origin, &[]), "cut body");
}

#[test]
fn a_connection_that_ends_before_the_answer_is_told_apart() {
    let origin = storing(|_| Then::Close);
    failed_with(&pull(&origin, &[]), "connection lost");
}

#[test]
fn silence_is_a_timeout() {
    let origin = storing(|talk| {
        talk.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        talk.wait();
        Then::Close
    });
    failed_with(&pull(&origin, &["--timeout", "100ms"]), "timeout");
}

#[test]
fn nothing_is_tried_twice_in_secret() {
    let origin = storing(|talk| {
        let body = r#"{"errors":[{"code":"UNAVAILABLE","message":"later"}]}"#;
        talk.answer("503 Service Unavailable", "Retry-After: 0\r\n", body);
        Then::Next
    });
    let failed = failed_with(&pull(&origin, &[]), "status 503");
    let heard = origin.heard();
    let begun = heard
        .iter()
        .filter(|heard| heard.method() == "HEAD" && heard.target().contains("/manifests/"));
    assert_eq!(begun.count() as u64, failed);
}

#[test]
fn an_upload_that_goes_on_elsewhere_gets_no_credentials() {
    let origin = Origin::start(|talk| {
        talk.hear_all();
        match talk.request().method() {
            "HEAD" => talk.answer("404 Not Found", "", ""),
            "POST" => talk.answer("202 Accepted", "Location: http://127.0.0.2:9/v2/x\r\n", ""),
            _ => talk.answer("200 OK", "", ""),
        }
        Then::Next
    });
    let told = pull(&origin, &[]);
    failed_with(&told, "malformed answer");
    assert!(
        told.err.contains("its Location is at http://127.0.0.2:9"),
        "{told:#?}"
    );
}

#[test]
fn a_token_that_is_refused_is_replaced_once() {
    let tokens = AtomicUsize::new(0);
    let origin = Origin::start(move |talk| {
        talk.hear_all();
        let heard = talk.request();
        let host = heard.header("host").unwrap().to_owned();
        if heard
            .target()
            .starts_with("/token?service=s%20x&scope=repository%3Ax%2F")
        {
            let number = tokens.fetch_add(1, Ordering::SeqCst);
            let body = format!(r#"{{"access_token":"t{number}","expires_in":3600}}"#);
            talk.answer("200 OK", "", &body);
        } else if heard.header("authorization") == Some("Bearer t1") {
            talk.answer("418 Seen", "", "");
        } else {
            let challenge = format!(
                "Www-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s x\"\r\n"
            );
            talk.answer("401 Unauthorized", &challenge, "");
        }
        Then::Next
    });
    failed_with(
        &pull(&origin, &["--layers", "1", "--shared-base", "0"]),
        "status 418",
    );
    let heard = origin.heard();
    let asked = heard
        .iter()
        .filter(|heard| heard.target().starts_with("/token?"));
    // The third and fourth are those of the clean-up, whose scope is another one.
    assert!((2..=4).contains(&asked.count()));
}
