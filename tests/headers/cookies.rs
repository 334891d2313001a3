//! Cookies, both ways.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use crate::support::client::{Two, request};
use crate::support::origin::{Origin, before};

const SID: &str = "0123456789abcdef0123456789abcdef";

fn issuing() -> Origin {
    Origin::saying(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: _gorilla_csrf=x; Path=/; HttpOnly; Secure\r\nSet-Cookie: sid={SID}; Path=/; HttpOnly\r\n\r\nok"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_session_cookie_is_dropped_and_others_stay() {
    let origin = issuing();
    let door = before(&origin);
    let cookie = "Cookie: a=b; sid=../../etc; c=d\r\nCookie: beegosessionID=short\r\n";
    request(&door, "GET", "/c/x", cookie).await;
    assert_eq!(origin.only().all("cookie"), ["a=b; c=d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cookie_as_harbor_issues_it_passes() {
    let origin = issuing();
    let door = before(&origin);
    let cookie = format!("sid={SID}; lang=en-us");
    request(&door, "GET", "/c/x", &format!("Cookie: {cookie}\r\n")).await;
    assert_eq!(origin.only().all("cookie"), [cookie.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookie_crumbs_of_http2_become_one_line() {
    let origin = issuing();
    let door = before(&origin);
    let mut two = Two::to(&door).await;
    let request = two
        .request("GET", "/c/x")
        .header("cookie", format!("sid={SID}"))
        .header("cookie", "lang=en-us");
    two.ask(request).await.unwrap();
    assert_eq!(
        origin.only().all("cookie"),
        [format!("sid={SID}; lang=en-us")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_kept_off_registry_answers() {
    let origin = issuing();
    let door = before(&origin);
    for target in ["/v2/", "/service/token?service=harbor-registry"] {
        let answer = request(&door, "GET", target, "").await;
        let lines: Vec<&str> = answer.all("set-cookie").collect();
        assert!(
            !lines.iter().any(|line| line.starts_with("sid=")),
            "{lines:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_ui_is_made_secure_and_lines_stay_apart() {
    let origin = issuing();
    let door = before(&origin);
    for target in ["/c/login", "/api/v2.0/users/current"] {
        let answer = request(&door, "GET", target, "").await;
        let lines: Vec<&str> = answer.all("set-cookie").collect();
        assert_eq!(
            lines,
            [
                "_gorilla_csrf=x; Path=/; HttpOnly; Secure".to_owned(),
                format!("sid={SID}; Path=/; HttpOnly; Secure"),
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_told_to_stay_on_https_and_registry_clients_are_not() {
    let origin = issuing();
    let door = before(&origin);
    let page = request(&door, "GET", "/harbor/projects", "").await;
    assert!(page.header("strict-transport-security").is_some());
    let ping = request(&door, "GET", "/v2/", "").await;
    assert_eq!(ping.header("strict-transport-security"), None);
}
