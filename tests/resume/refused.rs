//! Where nobody can or may serve the rest, the client is cut off: it never takes a part for the whole, and never gets bytes
//! of something else.

use super::*;

/// What the client gets when the first node gives 300 of 1000 bytes and the second says `second`.
async fn after(
    second: String,
    path: impl Fn(&Blob) -> String,
) -> (Answer, Door, Vec<(usize, Heard)>) {
    let blob = Blob::new(1000);
    let served = blob.clone();
    let origins: [Origin; 2] = nodes(move |talk, turn| {
        match turn {
            0 => served.serve(talk, 300),
            _ => talk.say(&second),
        }
        Then::Close
    });
    let door = door(&origins, "");
    let answer = pull(&door, &path(&blob), "").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.whole);
    assert_eq!(answer.body, blob.bytes[..300]);
    let line = line(&door, &path(&blob));
    assert_eq!(line["ended"], "node_failed", "{line}");
    assert_eq!(line["resumed"], 0);
    (answer, door, heard(&origins))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_refuses_the_client_ends_the_download() {
    for refusal in [
        "401 Unauthorized\r\nWww-Authenticate: Bearer realm=\"x\"",
        "403 Forbidden",
        "307 Temporary Redirect\r\nLocation: https://storage.example/x",
        "301 Moved Permanently\r\nLocation: /v2/library/app/blobs/x",
        "416 Range Not Satisfiable",
        "500 Internal Server Error",
        "429 Too Many Requests",
    ] {
        let said = format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n");
        let (_, door, heard) = after(said, Blob::path).await;
        assert_eq!(heard.len(), 2, "{refusal}");
        assert_eq!(resumes(&door, "refused"), 1, "{refusal}");
    }
    let said = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (_, door, _) = after(said, Blob::path).await;
    assert_eq!(resumes(&door, "not_there"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_gives_something_else_ends_the_download() {
    let digest = &Blob::new(1000).digest;
    let other = &Blob::new(999).digest;
    let part = "206 Partial Content\r\nContent-Range: bytes";
    for head in [
        // All of it from the start.
        format!("200 OK\r\nContent-Length: 1000\r\nDocker-Content-Digest: {digest}"),
        // Another length, another place, another end.
        format!("{part} 300-1000/1001\r\nContent-Length: 701"),
        format!("{part} 300-999/1001\r\nContent-Length: 700"),
        format!("{part} 299-999/1000\r\nContent-Length: 701"),
        format!("{part} 300-998/1000\r\nContent-Length: 699"),
        format!("{part} 300-999/1000\r\nContent-Length: 699"),
        // Something else.
        format!("{part} 300-999/1000\r\nContent-Length: 700\r\nDocker-Content-Digest: {other}"),
        format!("{part} 300-999/1000\r\nContent-Length: 700\r\nEtag: \"{other}\""),
        format!("{part} 300-999/1000\r\nContent-Length: 700\r\nContent-Encoding: gzip"),
        // Without a word on which part, or how much.
        "206 Partial Content\r\nContent-Length: 700".to_owned(),
        format!("{part} 300-999/*\r\nContent-Length: 700"),
    ] {
        let said = format!("HTTP/1.1 {head}\r\n\r\n{}", "x".repeat(1001));
        let (_, door, _) = after(said, Blob::path).await;
        assert_eq!(resumes(&door, "different"), 1, "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_promised_by_its_digest_goes_on() {
    let digest = Blob::new(1000).digest.clone();
    let other = Blob::new(999).digest.clone();
    let by_digest = format!("/v2/library/app/blobs/{digest}");
    let named = format!("Docker-Content-Digest: {digest}\r\n");
    let length = "Content-Length: 1000\r\n";
    for (path, head, chunked) in [
        // A tag may stand for something else a moment later; a small one would not have begun.
        (
            "/v2/library/app/manifests/latest",
            format!("Content-Length: 100000\r\n{named}"),
            false,
        ),
        // As a proxy cache sends what it fetches: it may end in an error.
        (
            &by_digest,
            "Transfer-Encoding: chunked\r\n".to_owned(),
            true,
        ),
        (
            &by_digest,
            format!("{named}Transfer-Encoding: chunked\r\n"),
            true,
        ),
        (&by_digest, length.to_owned(), false),
        (
            &by_digest,
            format!("{length}Docker-Content-Digest: {other}\r\n"),
            false,
        ),
        (
            &by_digest,
            format!("{length}{named}Content-Encoding: gzip\r\n"),
            false,
        ),
        (
            "/api/v2.0/systeminfo/getcert",
            format!("{length}{named}"),
            false,
        ),
    ] {
        let said = head.clone();
        let origins: [Origin; 2] = nodes(move |talk, _| {
            talk.say(format!("HTTP/1.1 200 OK\r\n{said}\r\n"));
            talk.say(if chunked { "4\r\nhalf\r\n" } else { "half" });
            Then::Close
        });
        let door = door(&origins, "");
        let answer = pull(&door, path, "").await;
        assert!(!answer.whole && answer.body == b"half", "{path} {head}");
        assert_eq!(heard(&origins).len(), 1, "{path} {head}");
        assert_eq!(line(&door, path)["ended"], "node_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_parts_in_one_answer_never_go_on() {
    let blob = Blob::new(1000);
    let digest = blob.digest.clone();
    let origins: [Origin; 2] = nodes(move |talk, _| {
        talk.say(format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\n\
             Content-Length: 374\r\nDocker-Content-Digest: {digest}\r\n\r\n--x"
        ));
        Then::Close
    });
    let door = door(&origins, "");
    let answer = pull(&door, &blob.path(), "Range: bytes=0-9,20-29\r\n").await;
    assert!(!answer.whole);
    assert_eq!(heard(&origins).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_node_the_client_is_cut_off() {
    let blob = Blob::new(1000);
    let served = blob.clone();
    let origins: [Origin; 1] = nodes(move |talk, _| {
        served.serve(talk, 300);
        Then::Close
    });
    let door = door(&origins, "");
    let answer = pull(&door, &blob.path(), "").await;
    assert!(!answer.whole && answer.body == blob.bytes[..300]);
    assert_eq!(pull_2(&door, &blob.path()).await, None);
    assert_eq!(resumes(&door, "no_node"), 2);
    assert_eq!(heard(&origins).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_nodes_are_asked_than_the_operator_allows() {
    let blob = Blob::new(1000);
    for (more, asked, outcome) in [
        ("[resume]\nattempts = 2\n", 3, "gave_up"),
        ("[resume]\nenabled = false\n", 1, "switched_off"),
    ] {
        let served = blob.clone();
        let origins: [Origin; 2] = nodes(move |talk, _| {
            served.serve(talk, 100);
            Then::Close
        });
        let door = door(&origins, more);
        let answer = pull(&door, &blob.path(), "").await;
        assert!(!answer.whole, "{more}");
        assert_eq!(answer.body, blob.bytes[..100 * asked]);
        assert_eq!(heard(&origins).len(), asked);
        // Nothing is kept of what could not go on anyway.
        let counted = u64::from(outcome == "gave_up");
        assert_eq!(resumes(&door, outcome), counted, "{more}");
    }
}
