//! Downloads that reach their end although their node does not.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::*;
use crate::support::client::until;

/// How a node fails.
#[derive(Clone, Copy, Debug)]
enum How {
    Closes,
    Resets,
    FallsSilent,
}

impl How {
    const ALL: [How; 3] = [How::Closes, How::Resets, How::FallsSilent];

    fn end(self, talk: &mut Talk<'_>) -> Then {
        match self {
            How::Closes => Then::Close,
            How::Resets => Then::Reset,
            How::FallsSilent => {
                talk.wait();
                Then::Close
            }
        }
    }
}

/// Two nodes of which whoever is asked first fails after `most` bytes.
fn pair(blob: &Arc<Blob>, how: How, most: usize) -> [Origin; 2] {
    let blob = blob.clone();
    nodes(move |talk, turn| match turn {
        0 => {
            blob.serve(talk, most);
            how.end(talk)
        }
        _ => {
            blob.serve(talk, usize::MAX);
            Then::Next
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_however_its_node_fails() {
    let blob = Blob::new(3 << 20);
    for how in How::ALL {
        let origins = pair(&blob, how, 1 << 20);
        let door = door(&origins, "");
        let answer = pull(&door, &blob.path(), "").await;
        assert!(answer.whole && answer.body == blob.bytes, "{how:?}");
        let line = line(&door, &blob.path());
        assert_eq!(line["resumed"], 1, "{line}");
        assert_eq!(line["ended"], "done");
        assert_eq!(line["attempts"], 2);
        assert_eq!(line["bytes_out"], 3 << 20);
        let last = heard(&origins)[1].0;
        assert_eq!(line["node"], format!("harbor-{}", last + 1));
        assert_eq!(resumes(&door, "resumed"), 1);
        assert!(door.said("another node goes on with it"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_over_http_2_goes_on_however_its_node_fails() {
    let blob = Blob::new(3 << 20);
    for how in How::ALL {
        let origins = pair(&blob, how, 1 << 20);
        let door = door(&origins, "");
        let body = pull_2(&door, &blob.path()).await;
        assert!(body.unwrap() == blob.bytes, "{how:?}");
        assert_eq!(line(&door, &blob.path())["resumed"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_node_is_asked_for_the_rest_with_what_the_client_said() {
    let blob = Blob::new(1000);
    let origins = pair(&blob, How::Closes, 400);
    let door = door(&origins, "");
    let more = "Accept: */*\r\nX-Request-ID: 6ba7b810-9dad-41d1-80b4-00c04fd430c8\r\nIf-None-Match: \"x\"\r\n";
    pull(&door, &blob.path(), more).await;
    let heard = heard(&origins);
    let ((first, a), (second, b)) = (&heard[0], &heard[1]);
    assert_ne!(first, second);
    assert_eq!(b.header("range"), Some("bytes=400-999"));
    assert_eq!(b.header("if-none-match"), None);
    assert_eq!(a.target(), b.target());
    for name in [
        "authorization",
        "user-agent",
        "accept",
        "host",
        "x-request-id",
        "x-forwarded-for",
        "x-forwarded-proto",
    ] {
        assert!(a.header(name).is_some(), "{name}");
        assert_eq!(a.all(name), b.all(name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_the_client_asked_for_is_kept_to() {
    let blob = Blob::new(1000);
    for (range, start, rest) in [
        ("bytes=100-899", 100, "bytes=300-899"),
        ("bytes=500-", 500, "bytes=700-999"),
        ("bytes=-600", 400, "bytes=600-999"),
    ] {
        let origins = pair(&blob, How::Closes, 200);
        let door = door(&origins, "");
        let answer = pull(&door, &blob.path(), &format!("Range: {range}\r\n")).await;
        assert_eq!(answer.status, 206);
        assert!(answer.whole, "{range}");
        assert_eq!(answer.body, blob.bytes[start..start + answer.body.len()]);
        let asked: Vec<_> = heard(&origins)
            .iter()
            .map(|(_, heard)| heard.header("range").unwrap().to_owned())
            .collect();
        assert!(asked.contains(&rest.to_owned()), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_survives_one_death_after_the_other() {
    let blob = Blob::new(1 << 20);
    let served = blob.clone();
    // Two nodes: each has time to come back while the other serves.
    let origins: [Origin; 2] = nodes(move |talk, turn| {
        served.serve(talk, if turn < 5 { 100_000 } else { usize::MAX });
        Then::Close
    });
    let door = door(&origins, "");
    let answer = pull(&door, &blob.path(), "").await;
    assert!(answer.whole && answer.body == blob.bytes);
    assert_eq!(line(&door, &blob.path())["resumed"], 5);
    let nodes: Vec<usize> = heard(&origins).iter().map(|(at, _)| *at).collect();
    assert!(nodes.windows(2).all(|pair| pair[0] != pair[1]), "{nodes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_serve_the_rest_is_followed_by_one_that_can() {
    let blob = Blob::new(1000);
    for broken in [
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "",
    ] {
        let served = blob.clone();
        let origins: [Origin; 3] = nodes(move |talk, turn| {
            match turn {
                0 => served.serve(talk, 300),
                1 => talk.say(broken),
                _ => served.serve(talk, usize::MAX),
            }
            Then::Close
        });
        let door = door(&origins, "");
        let answer = pull(&door, &blob.path(), "").await;
        assert!(answer.whole && answer.body == blob.bytes, "{broken}");
        assert_eq!(line(&door, &blob.path())["attempts"], 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_fell_silent_is_asked_once_more_when_nobody_else_is_left() {
    let blob = Blob::new(1000);
    for (again, whole) in [(true, true), (false, false)] {
        let served = blob.clone();
        let origins: [Origin; 2] = nodes(move |talk, turn| {
            match turn {
                0 => served.serve(talk, 300),
                2 if again => served.serve(talk, usize::MAX),
                _ => {}
            }
            if turn == 0 || turn == 2 {
                talk.wait();
            }
            Then::Close
        });
        let door = door(&origins, "");
        let answer = pull(&door, &blob.path(), "").await;
        assert_eq!(answer.whole, whole);
        let wanted = if whole { 1000 } else { 300 };
        assert_eq!(answer.body, blob.bytes[..wanted]);
        let line = line(&door, &blob.path());
        assert_eq!(line["attempts"], 3, "{line}");
        let nodes = |origin: &Origin| origin.heard().len();
        let asked = (nodes(&origins[0]), nodes(&origins[1]));
        assert!(matches!(asked, (2, 1) | (1, 2)), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_by_its_digest_goes_on_though_registries_give_no_part_of_one() {
    let blob = Blob::new(2000);
    let served = blob.clone();
    let origins: [Origin; 2] = nodes(move |talk, turn| {
        assert_eq!(talk.request().header("range"), None);
        served.serve(talk, if turn == 0 { 700 } else { usize::MAX });
        Then::Close
    });
    let door = door(&origins, "");
    let answer = pull(&door, &blob.manifest(), "").await;
    assert!(answer.whole && answer.body == blob.bytes);
    assert_eq!(line(&door, &blob.manifest())["resumed"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_came_by_reload_meanwhile_serves_the_rest() {
    let blob = Blob::new(1000);
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (served, gone) = (blob.clone(), std::sync::Mutex::new(gone));
    let old = Origin::start(move |talk| {
        served.serve(talk, 300);
        gone.lock().unwrap().recv_timeout(SOON).unwrap();
        Then::Close
    });
    let served = blob.clone();
    let new = Origin::start(move |talk| {
        served.serve(talk, usize::MAX);
        Then::Close
    });
    let mut plan = Plan::fronting([old.url()]);
    plan.more += "[timeouts]\nstall = \"1m\"\n";
    let door = Door::start(&plan);
    door.settled();
    let mut raw = Raw::to(&door).await;
    raw.say(request(&door, &blob.path(), "")).await;
    until("it began", SOON, async || old.heard().len() == 1).await;
    plan.nodes.push(("harbor-2".to_owned(), new.url()));
    door.rewrite(&plan);
    door.signal(Signal::SIGHUP);
    eventually("the new node is up", SOON, || {
        let nodes = door.ask("GET", "/api/v1/nodes").1;
        nodes.matches("\"up\"").count() == 2
    });
    go.send(()).unwrap();
    let answer = raw.answer("GET").await;
    assert!(answer.whole && answer.body == blob.bytes);
    assert_eq!(line(&door, &blob.path())["node"], "harbor-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_condemns_no_node() {
    let blob = Blob::new(64 << 20);
    let served = blob.clone();
    let origins: [Origin; 2] = nodes(move |talk, _| {
        served.serve(talk, usize::MAX);
        Then::Close
    });
    let door = door(&origins, "");
    let mut raw = Raw::to(&door).await;
    raw.say(request(&door, &blob.path(), "Connection: close\r\n"))
        .await;
    assert_eq!(raw.head().await.status, 200);
    // Twice as long as a node may be silent; nothing shows that it is over but the clock.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rest = raw.rest().await;
    assert!(rest == blob.bytes, "{} bytes", rest.len());
    assert_eq!(line(&door, &blob.path())["resumed"], 0);
    assert_eq!(heard(&origins).len(), 1);
}
