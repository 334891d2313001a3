//! Pushes whose node dies: nothing is sent twice that must not be, and what was taken is not asked for again.

use super::*;
use crate::support::client::until;

const UUID: &str = "5d3cbbd1-61a6-4a4b-8e1c-5f7a0b6f3a11";

fn upload(more: &str) -> String {
    format!("/v2/library/app/blobs/uploads/{UUID}?_state=x{more}")
}

fn put(target: &str, body: &str) -> String {
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let length = body.len();
    format!(
        "PUT {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn there(digest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nDocker-Content-Digest: {digest}\r\n\r\n")
}

const NOT_THERE: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// Two nodes: whoever gets a `PUT` first says `first` to it and dies; the answers to what follows are `then`.
fn dying(first: &str, then: Vec<String>) -> [Origin; 2] {
    let first = first.to_owned();
    nodes(move |talk, turn| {
        talk.hear_all();
        match turn {
            0 => talk.say(&first),
            _ => talk.say(then.get(turn - 1).map_or("", String::as_str)),
        }
        Then::Close
    })
}

fn methods(origins: &[Origin]) -> Vec<String> {
    let mut all: Vec<String> = origins
        .iter()
        .flat_map(|origin| origin.heard())
        .map(|heard| heard.method().to_owned())
        .collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_upload_that_was_taken_is_answered_as_taken() {
    let blob = Blob::new(9);
    let digest = &blob.digest;
    let escaped = digest.replace(':', "%3A");
    for then in [
        vec![there(digest)],
        // The registry was still at it.
        vec![NOT_THERE.to_owned(), there(digest)],
        // It is the other one that knows.
        vec![String::new(), there(digest)],
    ] {
        let count = then.len();
        let origins = dying("", then);
        let door = door(&origins, "");
        let mut raw = Raw::to(&door).await;
        let target = upload(&format!("&digest={escaped}"));
        let answer = raw.ask(put(&target, "")).await;
        assert_eq!(answer.status, 201, "{}", answer.head);
        let location = format!("https://a{}", blob.path());
        assert_eq!(answer.header("location"), Some(location.as_str()));
        assert_eq!(
            answer.header("docker-content-digest"),
            Some(digest.as_str())
        );
        assert_eq!(answer.header("content-length"), Some("0"));
        // Sent once, asked about with the client's own word.
        let mut expected = vec!["HEAD"; count];
        expected.push("PUT");
        assert_eq!(methods(&origins), expected);
        for origin in &origins {
            for heard in origin.heard() {
                assert_eq!(heard.header("authorization"), Some("Bearer x"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_upload_that_was_not_taken_is_an_error_that_passes() {
    let other = Blob::new(8);
    for word in [
        NOT_THERE.to_owned(),
        there(&other.digest),
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned(),
        String::new(),
    ] {
        let origins = dying("", vec![word.clone(); 8]);
        let door = door(&origins, "");
        let target = upload(&format!("&digest={}", Blob::new(9).digest));
        let answer = Raw::to(&door).await.ask(put(&target, "")).await;
        assert_eq!(answer.status, 503, "{word}");
        assert!(answer.text().contains("\"UNAVAILABLE\""));
        assert!(answer.header("retry-after").is_some());
        let methods = methods(&origins);
        assert_eq!(methods.iter().filter(|m| *m == "PUT").count(), 1);
        let line = line(&door, &target);
        let home = origins
            .iter()
            .position(|o| o.heard().iter().any(|h| h.method() == "PUT"));
        assert_eq!(line["node"], format!("harbor-{}", home.unwrap() + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_lost_its_registry_is_not_believed_to_have_lost_the_blob() {
    let blob = Blob::new(9);
    let lost = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nlost";
    for (word, status) in [(there(&blob.digest), 201), (NOT_THERE.to_owned(), 502)] {
        let origins = dying(lost, vec![word; 8]);
        let door = door(&origins, "");
        let target = upload(&format!("&digest={}", blob.digest));
        let answer = Raw::to(&door).await.ask(put(&target, "")).await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_was_on_its_way_fails_at_once_and_its_upload_is_forgotten() {
    let origins: [Origin; 2] = nodes(|talk, _| {
        if talk.request().method() == "POST" {
            let at = format!("Location: {}\r\nDocker-Upload-UUID: {UUID}\r\n", upload(""));
            talk.answer("202 Accepted", &at, "");
            return Then::Next;
        }
        talk.hear(4);
        Then::Close
    });
    let door = door(&origins, "");
    let mut raw = Raw::to(&door).await;
    let begin =
        "POST /v2/library/app/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(raw.ask(begin).await.status, 202);
    let sticking = async || door.ask("GET", "/api/v1/sessions").1.contains("\"upload\"");
    until("it sticks", SOON, async || sticking().await).await;
    raw.say(format!(
        "PATCH {} HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf",
        upload("")
    ))
    .await;
    let answer = raw.answer("PATCH").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("\"UNAVAILABLE\""));
    assert!(answer.header("retry-after").is_some());
    until("it is forgotten", SOON, async || !sticking().await).await;
    assert_eq!(methods(&origins), ["PATCH", "POST"]);
}

const TAG: &str = "/v2/library/app/manifests/1";

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_refused_the_second_time_was_taken_the_first_time() {
    let manifest = "{\"schemaVersion\":2}";
    let digest = format!("sha256:{}", sha256(manifest.as_bytes()));
    let immutable = "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 9\r\n\r\nimmutable";
    let then = vec![immutable.to_owned(), there(&digest)];
    let origins = dying("", then);
    let door = door(&origins, "");
    let mut raw = Raw::to(&door).await;
    let answer = raw.ask(put(TAG, manifest)).await;
    assert_eq!(answer.status, 201, "{}", answer.head);
    let location = format!("https://a/v2/library/app/manifests/{digest}");
    assert_eq!(answer.header("location"), Some(location.as_str()));
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(digest.as_str())
    );
    assert!(answer.body.is_empty() && answer.whole);
    assert_eq!(methods(&origins), ["HEAD", "PUT", "PUT"]);
    let all: Vec<_> = origins.iter().flat_map(|origin| origin.heard()).collect();
    let asked = all.iter().find(|heard| heard.method() == "HEAD").unwrap();
    assert_eq!(
        asked.header("accept"),
        Some("application/vnd.oci.image.manifest.v1+json")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_refused_for_another_reason_stays_refused() {
    let immutable = "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 9\r\n\r\nimmutable";
    let other = there(&Blob::new(8).digest);
    // What stands there is another one; or it was refused at once.
    for (first, then, expected) in [
        (
            "",
            vec![immutable.to_owned(), other],
            vec!["HEAD", "PUT", "PUT"],
        ),
        (immutable, vec![], vec!["PUT"]),
    ] {
        let origins = dying(first, then);
        let door = door(&origins, "");
        let answer = Raw::to(&door).await.ask(put(TAG, "{}")).await;
        assert_eq!(
            (answer.status, answer.text()),
            (412, "immutable".to_owned())
        );
        assert_eq!(methods(&origins), expected);
    }
}
