//! A node given by its parts: the door does what Harbor's nginx would do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use crate::support::client::{get, request};
use crate::support::door::{Door, Plan};
use crate::support::origin::{Origin, Then};

struct Parts {
    core: Origin,
    portal: Origin,
    door: Door,
}

fn part(name: &'static str) -> Origin {
    Origin::start(move |talk| {
        talk.hear_all();
        let cookies = "Set-Cookie: sid=0123456789abcdef0123456789abcdef; Path=/\r\nSet-Cookie: _xsrf=abc; Path=/\r\n";
        talk.answer("200 OK", cookies, name);
        Then::Next
    })
}

fn parts() -> Parts {
    let (core, portal) = (part("core"), part("portal"));
    let mut plan = Plan::fronting(Vec::<String>::new());
    plan.more.push_str(&format!(
        "[[cluster.node]]\nname = \"harbor-1\"\ncore = \"{}\"\nportal = \"{}\"\n",
        core.url(),
        portal.url()
    ));
    let door = Door::start(&plan);
    door.settled();
    Parts { core, portal, door }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_go_to_core_or_portal_as_nginx_would_send_them() {
    let parts = parts();
    for (target, part) in [
        ("/v2/", "core"),
        ("/v2/library/app/tags/list", "core"),
        ("/service/token?service=harbor-registry", "core"),
        ("/api/v2.0/systeminfo", "core"),
        ("/c/login", "core"),
        ("/chartrepo/library/index.yaml", "core"),
        ("/", "portal"),
        ("/harbor/projects", "portal"),
        ("/main.0123.js", "portal"),
        ("/apix", "portal"),
        ("/v2x/", "portal"),
    ] {
        assert_eq!(get(&parts.door, target).await.text(), part, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nginx_keeps_inside_is_not_found() {
    let parts = parts();
    for target in [
        "/v1/_ping",
        "/v1/",
        "/service/notifications",
        "/service/notifications/jobs/adminjob/1",
        "/registryproxy/v2/",
    ] {
        for method in ["GET", "POST"] {
            let answer = request(&parts.door, method, target, "").await;
            assert_eq!(answer.status, 404, "{method} {target}");
        }
    }
    assert!(parts.core.heard().is_empty());
    assert!(parts.portal.heard().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_pages_get_the_flags_that_nginx_sets() {
    let parts = parts();
    let answer = get(&parts.door, "/api/v2.0/users/current").await;
    for line in answer.all("set-cookie") {
        assert!(line.contains("; Secure"), "{line}");
    }
    let answer = get(&parts.door, "/harbor/projects").await;
    let lines: Vec<&str> = answer.all("set-cookie").collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].contains("HttpOnly") && lines[0].contains("Secure"),
        "{lines:?}"
    );
    // Scripts of the 1.x pages read this one.
    assert!(
        !lines[1].contains("HttpOnly") && lines[1].contains("Secure"),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_api_get_the_security_headers_of_nginx() {
    let parts = parts();
    for target in ["/harbor/projects", "/api/v2.0/systeminfo"] {
        let answer = get(&parts.door, target).await;
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{target}");
        assert_eq!(
            answer.header("content-security-policy"),
            Some("frame-ancestors 'none'")
        );
        assert!(answer.header("strict-transport-security").is_some());
    }
    let answer = get(&parts.door, "/v2/").await;
    assert_eq!(answer.header("x-frame-options"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn core_is_told_scheme_host_and_client() {
    let parts = parts();
    get(&parts.door, "/v2/").await;
    let heard = parts.core.only();
    assert_eq!(heard.all("x-forwarded-proto"), ["https"]);
    assert_eq!(heard.all("host"), [parts.door.address.to_string()]);
    assert_eq!(heard.all("x-real-ip"), ["127.0.0.1"]);
}
