//! Every recorded exchange of a real Harbor, sent through the door: what arrives on either side is what was said on the
//! other, but for the lines listed here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::support::client::{Answer, Raw, get, request};
use crate::support::origin::{Heard, Origin, Talk, Then, before};

/// Lines of requests that are the door's to write; what a client says in them goes no further.
const REQUEST_REPLACED: [&str; 4] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];
/// Lines of requests that end at the door.
const REQUEST_REMOVED: [&str; 4] = ["connection", "expect", "forwarded", "x-forwarded-host"];
/// What is left of a session after a client logged out; no Harbor issued it, so no node gets to see it.
const NO_SESSION: [&str; 2] = ["beegosessionID=", "sid="];
/// Lines of answers that end at the door.
const ANSWER_REMOVED: [&str; 1] = ["connection"];
/// Lines of answers that the door adds where they are missing; `strict-transport-security` not on registry answers.
const ANSWER_ADDED: [&str; 3] = ["date", "strict-transport-security", "x-request-id"];
/// Lines of answers that may be mended: `Secure` on Harbor's cookies, scheme and port of our own addresses. A session of
/// a registry answer is dropped.
const ANSWER_MENDED: [&str; 3] = ["location", "set-cookie", "www-authenticate"];
/// A Content-Length that the node does not keep is dropped.
const SHORT: u64 = 416;

/// Answered by the door itself, as Harbor's nginx does, and with the same status.
const KEPT_INSIDE: [&str; 2] = ["/v1/", "/service/notifications"];

/// The most of a body that is sent.
const LONGEST: usize = 65_536;

struct Exchange {
    file: String,
    record: Value,
}

impl Exchange {
    fn text(&self, key: &str) -> &str {
        self.record[key].as_str().unwrap()
    }

    fn status(&self) -> u64 {
        self.record["status"].as_u64().unwrap()
    }

    fn lines(&self, key: &str) -> Vec<(String, String)> {
        let lines = self.record[key].as_array().unwrap();
        lines
            .iter()
            .map(|line| {
                (
                    line[0].as_str().unwrap().to_owned(),
                    fill(line[1].as_str().unwrap()),
                )
            })
            .collect()
    }

    fn is_registry(&self) -> bool {
        self.text("path") == "/v2"
            || self.text("path").starts_with("/v2/")
            || self.text("path").starts_with("/service/token")
    }
}

/// Gives every `{name1}` a value; sessions look as Harbor makes them.
fn fill(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((label, after)) = after.split_once('}') else {
            break;
        };
        match label.strip_prefix("sid") {
            Some(number) => {
                filled.push_str(&format!("{:032x}", number.parse::<u32>().unwrap_or(7)))
            }
            None => filled.push_str(label),
        }
        rest = after;
    }
    filled + rest
}

fn recorded() -> Vec<Exchange> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            all.push(Exchange {
                file: path.file_name().unwrap().to_string_lossy().into_owned(),
                record: serde_json::from_str(line).unwrap(),
            });
        }
    }
    // A client that speaks an older HTTP or names no host is no client of a registry.
    all.retain(|one| {
        one.record["version"].is_null() && one.lines("headers").iter().any(|(n, _)| n == "host")
    });
    all
}

fn body(length: usize) -> Vec<u8> {
    b"0123456789abcdef"
        .iter()
        .copied()
        .cycle()
        .take(length.min(LONGEST))
        .collect()
}

/// The request as the client said it.
fn said(one: &Exchange, number: usize) -> (Vec<(String, String)>, Vec<u8>) {
    let mut lines = one.lines("headers");
    lines.retain(|(name, _)| name != "expect");
    lines.push(("x-record".to_owned(), number.to_string()));
    let mut bytes = Vec::new();
    if let Some(payload) = one.record["body"].as_object() {
        let content = body(payload["length"].as_u64().unwrap() as usize);
        if payload["framing"] == "chunked" {
            lines.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
            bytes = format!("{:x}\r\n", content.len()).into_bytes();
            bytes.extend(content);
            bytes.extend(b"\r\n0\r\n\r\n");
        } else {
            lines.push(("content-length".to_owned(), content.len().to_string()));
            bytes = content;
        }
    }
    (lines, bytes)
}

/// The answer as the node says it.
fn answered(one: &Exchange) -> (Vec<(String, String)>, Vec<u8>) {
    let mut lines = one.lines("response");
    lines.push((
        "Date".to_owned(),
        "Sun, 22 Nov 2026 14:21:26 GMT".to_owned(),
    ));
    let head = one.text("method") == "HEAD" || matches!(one.status(), 204 | 304);
    let mut bytes = Vec::new();
    for (name, value) in &mut lines {
        if name.eq_ignore_ascii_case("content-length") && !head && one.status() != SHORT {
            bytes = body(value.parse().unwrap());
            *value = bytes.len().to_string();
        }
        if name.eq_ignore_ascii_case("transfer-encoding") && !head {
            bytes = b"5\r\nhello\r\n0\r\n\r\n".to_vec();
        }
    }
    if one.status() == SHORT {
        bytes = b"short".to_vec();
    }
    (lines, bytes)
}

fn play(talk: &mut Talk<'_>, all: &[Exchange]) -> Then {
    talk.hear_all();
    let number: usize = talk.request().header("x-record").unwrap().parse().unwrap();
    let one = &all[number];
    let (lines, bytes) = answered(one);
    let mut text = format!("HTTP/1.1 {} Whatever\r\n", one.status());
    let mut close = one.status() == SHORT;
    let mut framed = one.text("method") == "HEAD" || matches!(one.status(), 204 | 304);
    for (name, value) in lines {
        close |= name == "Connection" && value == "close";
        framed |= name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding");
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    talk.say(text + "\r\n");
    talk.say(bytes);
    if close || !framed {
        Then::Close
    } else {
        Then::Next
    }
}

fn lower(lines: &[(String, String)], without: &[&[&str]]) -> Vec<(String, String)> {
    let mut all: Vec<_> = lines
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value.clone()))
        .filter(|(name, _)| !without.iter().any(|names| names.contains(&name.as_str())))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn same_request(one: &Exchange, number: usize, heard: &Heard) {
    let (mut lines, _) = said(one, number);
    for (_, value) in lines.iter_mut().filter(|(name, _)| name == "cookie") {
        let crumbs = value
            .split("; ")
            .filter(|crumb| !NO_SESSION.contains(crumb));
        *value = crumbs.collect::<Vec<_>>().join("; ");
    }
    lines.retain(|(name, value)| name != "cookie" || !value.is_empty());
    let what = format!("{} {}", one.file, one.text("path"));
    assert_eq!(heard.method(), one.text("method"), "{what}");
    assert_eq!(heard.target(), fill(one.text("path")), "{what}");
    let left = [&REQUEST_REPLACED[..], &REQUEST_REMOVED];
    assert_eq!(lower(&heard.headers, &left), lower(&lines, &left), "{what}");
    for name in REQUEST_REPLACED {
        assert_eq!(heard.all(name).len(), 1, "{what}: {name}");
    }
    for name in REQUEST_REMOVED {
        assert!(heard.all(name).is_empty(), "{what}: {name}");
    }
    if let Some(payload) = one.record["body"].as_object() {
        let content = body(payload["length"].as_u64().unwrap() as usize);
        assert!(heard.body == content, "{what}: the body");
    }
}

fn same_answer(one: &Exchange, got: &Answer) {
    let (lines, bytes) = answered(one);
    let what = format!("{} {} {}", one.file, one.text("method"), one.text("path"));
    assert_eq!(u64::from(got.status), one.status(), "{what}");
    let mut left = vec![&ANSWER_REMOVED[..], &ANSWER_ADDED, &ANSWER_MENDED];
    if one.status() == SHORT {
        left.push(&["content-length", "transfer-encoding"]);
    }
    if !bytes.is_empty() && !lines.iter().any(|(n, _)| n == "Content-Length") {
        left.push(&["transfer-encoding"]);
    }
    assert_eq!(lower(&got.headers, &left), lower(&lines, &left), "{what}");
    let sent = |name: &str| -> Vec<String> {
        let named = lines.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.clone()).collect()
    };
    for name in ANSWER_ADDED {
        let had = sent(name);
        let has: Vec<&str> = got.all(name).collect();
        if !had.is_empty() {
            assert_eq!(has, had, "{what}: {name}");
        } else {
            let wanted = name != "strict-transport-security" || !one.is_registry();
            assert_eq!(has.len(), usize::from(wanted), "{what}: {name}");
        }
    }
    let cookies: Vec<String> = sent("set-cookie")
        .into_iter()
        .filter(|line| {
            let session = line.starts_with("sid=") || line.starts_with("beegosessionID=");
            !(session && one.is_registry())
        })
        .map(|line| {
            if line.contains("; Secure") {
                line
            } else {
                line + "; Secure"
            }
        })
        .collect();
    assert_eq!(got.all("set-cookie").collect::<Vec<_>>(), cookies, "{what}");
    let host = one
        .lines("headers")
        .into_iter()
        .find(|(n, _)| n == "host")
        .unwrap()
        .1;
    let mended = |value: String| {
        let bare = host.split(':').next().unwrap();
        let path = ["/v2/", "/service/", "/api/", "/c/"]
            .iter()
            .find_map(|path| value.find(path).map(|at| (at, path)));
        match path {
            Some((at, _)) => {
                let from = value[..at].to_lowercase().rfind("http").unwrap_or(at);
                let begins = from == 0 || value[..from].ends_with('"');
                let ours = begins && value[from..at].contains(&format!("://{bare}"));
                if ours {
                    format!("{}https://{host}{}", &value[..from], &value[at..])
                } else {
                    value
                }
            }
            None => value,
        }
    };
    for name in ["location", "www-authenticate"] {
        let had: Vec<String> = sent(name).into_iter().map(mended).collect();
        assert_eq!(got.all(name).collect::<Vec<_>>(), had, "{what}: {name}");
    }
    let body = match lines
        .iter()
        .any(|(n, _)| n.eq_ignore_ascii_case("transfer-encoding"))
    {
        true if !bytes.is_empty() => b"hello".to_vec(),
        _ => bytes,
    };
    assert!(got.body == body, "{what}: the body");
    assert!(got.whole, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_recorded_exchange_changes_but_what_is_listed() {
    let all = Arc::new(recorded());
    assert!(all.len() > 500);
    let script = all.clone();
    let origin = Origin::start(move |talk| play(talk, &script));
    let door = before(&origin);
    for (number, one) in all.iter().enumerate() {
        let (lines, bytes) = said(one, number);
        let mut text = format!(
            "{} {} HTTP/1.1\r\n",
            one.text("method"),
            fill(one.text("path"))
        );
        for (name, value) in lines {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut raw = Raw::to(&door).await;
        raw.say([(text + "\r\n").into_bytes(), bytes].concat())
            .await;
        let got = raw.answer(one.text("method")).await;
        if KEPT_INSIDE
            .iter()
            .any(|path| one.text("path").starts_with(path))
        {
            assert_eq!(u64::from(got.status), one.status(), "{}", one.text("path"));
            continue;
        }
        // After the end of an upload that a node's nginx has lost, the door also asks whether the blob is there.
        let own = number.to_string();
        let heard = origin.heard().into_iter().rev().find(|heard| {
            heard.header("x-record") == Some(own.as_str()) && heard.method() == one.text("method")
        });
        let Some(heard) = heard else {
            let (file, path) = (&one.file, one.text("path"));
            panic!("{file}: {path} never reached the node: {}", got.head);
        };
        same_request(one, number, &heard);
        same_answer(one, &got);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_queries_arrive_byte_for_byte() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let door = before(&origin);
    for target in [
        "/api/v2.0/projects/library/repositories/a%252Fb/artifacts?page=1",
        "/api/v2.0/projects/library/repositories/a%2Fb/artifacts/",
        "/api/v2.0/projects?b=2&a=1&b=3&&=&q=a%20b+c",
        "/api/v2.0/projects//library",
        "/v2/library//app/manifests/1",
        "/v2/library/app/blobs/uploads/?mount=sha256%3Aab&from=a%2Fb",
        "/harbor//projects/",
        "/harbor/projects?",
        "/?%0d%0aX:y=%00",
        "/%E4%BD%A0",
        "/a;b=c/d,e'f(g)*h!~",
    ] {
        assert_eq!(get(&door, target).await.status, 200, "{target}");
        assert_eq!(origin.last().target(), target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_without_a_body_arrives_without_one() {
    let origin = Origin::saying("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let door = before(&origin);
    for more in ["", "Content-Length: 0\r\n"] {
        request(&door, "POST", "/v2/library/app/blobs/uploads/", more).await;
        let heard = origin.last();
        assert_eq!(heard.header("transfer-encoding"), None, "{}", heard.head);
        assert!(matches!(heard.header("content-length"), None | Some("0")));
    }
}
