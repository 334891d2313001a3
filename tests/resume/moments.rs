//! Each operation of a registry client and each moment at which its node can die: what the client sees.

use super::*;

/// When a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Connect,
    Head,
    MidBody,
    BeforeAnswer,
    MidAnswer,
}

use Moment::{BeforeAnswer, Connect, Head, MidAnswer, MidBody};

const UUID: &str = "5d3cbbd1-61a6-4a4b-8e1c-5f7a0b6f3a11";

/// Method, target and body of a request, and what its client sees.
type Row<'a> = (&'a str, &'a str, &'a str, &'a [(Moment, u16)]);

/// What the registry of a well node says to anything.
fn well(blob: &Blob, heard: &Heard) -> String {
    let digest = &blob.digest;
    let named = format!("Docker-Content-Digest: {digest}\r\n");
    let size = blob.bytes.len();
    match heard.method() {
        "POST" => format!(
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nDocker-Upload-UUID: {UUID}\r\n\
             Location: /v2/library/app/blobs/uploads/{UUID}?_state=y\r\n\r\n"
        ),
        "PATCH" => "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nRange: 0-7\r\n\r\n".to_owned(),
        "PUT" => format!("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n{named}\r\n"),
        "HEAD" => format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n{named}\r\n"),
        _ => String::new(),
    }
}

/// The status that a client sees, and whether it has all; 0 for a connection that was cut in the answer.
async fn sees(method: &str, target: &str, body: &str, moment: Moment) -> u16 {
    let blob = Blob::new(4000);
    let served = blob.clone();
    let mut origins: Vec<Origin> = nodes::<2>(move |talk, turn| {
        let dies = turn == 0 && moment != Connect;
        match moment {
            Head if dies => return Then::Close,
            MidBody if dies => {
                talk.hear(4);
                return Then::Close;
            }
            _ => talk.hear_all(),
        }
        if dies && moment == BeforeAnswer {
            return Then::Close;
        }
        let heard = talk.request();
        if heard.method() == "GET" {
            served.serve(talk, if dies { 1000 } else { usize::MAX });
        } else {
            let said = well(&served, &heard);
            let most = if dies { said.len() / 2 } else { said.len() };
            talk.say(&said[..most]);
        }
        Then::Close
    })
    .into();
    let door = door(&origins, "");
    if moment == Connect {
        drop(origins.remove(0));
    }
    let mut raw = Raw::to(&door).await;
    let length = body.len();
    let (first, rest) = body.split_at(length / 2);
    raw.say(format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{first}"
    ))
    .await;
    if moment != MidBody || length == 0 {
        raw.say(rest).await;
    }
    let answer = raw.answer(method).await;
    if method == "GET" && answer.whole {
        assert!(answer.body == blob.bytes, "{method} {target} {moment:?}");
    }
    if answer.whole { answer.status } else { 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_sees_at_each_moment_of_death() {
    let blob = Blob::new(4000);
    let digest = &blob.digest;
    let upload = format!("/v2/library/app/blobs/uploads/{UUID}?_state=x");
    let end = format!("{upload}&digest={digest}");
    let (path, tag) = (blob.path(), "/v2/library/app/manifests/1");
    // Nothing but what is put together at the node itself shows, and that as 503.
    let table: [Row<'_>; 7] = [
        (
            "POST",
            "/v2/library/app/blobs/uploads/",
            "",
            &[
                (Connect, 202),
                (Head, 202),
                (BeforeAnswer, 202),
                (MidAnswer, 202),
            ],
        ),
        (
            "PATCH",
            &upload,
            "a chunk!",
            &[
                (Connect, 202),
                (Head, 503),
                (MidBody, 503),
                (BeforeAnswer, 503),
                (MidAnswer, 503),
            ],
        ),
        (
            "PUT",
            &end,
            "",
            &[
                (Connect, 201),
                (Head, 201),
                (BeforeAnswer, 201),
                (MidAnswer, 201),
            ],
        ),
        (
            "PUT",
            tag,
            "manifest",
            &[
                (Connect, 201),
                (Head, 201),
                (BeforeAnswer, 201),
                (MidAnswer, 201),
            ],
        ),
        (
            "HEAD",
            &path,
            "",
            &[
                (Connect, 200),
                (Head, 200),
                (BeforeAnswer, 200),
                (MidAnswer, 200),
            ],
        ),
        (
            "GET",
            &path,
            "",
            &[
                (Connect, 200),
                (Head, 200),
                (BeforeAnswer, 200),
                (MidAnswer, 200),
            ],
        ),
        // A tag is not gone on with, but read whole before the client sees anything of it.
        (
            "GET",
            tag,
            "",
            &[
                (Connect, 200),
                (Head, 200),
                (BeforeAnswer, 200),
                (MidAnswer, 200),
            ],
        ),
    ];
    for (method, target, body, moments) in table {
        for (moment, expected) in moments {
            let seen = sees(method, target, body, *moment).await;
            assert_eq!(seen, *expected, "{method} {target} {moment:?}");
        }
    }
}
