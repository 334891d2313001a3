//! Addresses in answers: what a node behind TLS it does not see gets wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use crate::support::client::{Knock, get, request};
use crate::support::cluster::Cluster;
use crate::support::harbor::Dialect;
use crate::support::image::{Image, pull};
use crate::support::origin::{Origin, Then, before};
use crate::support::ports;

/// A node that sends the client to where the client says (percent-encoded slashes aside).
fn sending(to: impl Fn(&str) -> String + Send + Sync + 'static) -> Origin {
    Origin::start(move |talk| {
        talk.hear_all();
        let host = talk.request().header("host").unwrap().to_owned();
        let to = to(&host);
        talk.answer("202 Accepted", &format!("Location: {to}\r\n"), "");
        Then::Next
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_address_with_the_nodes_scheme_is_mended() {
    let origin = sending(|host| format!("http://{host}/v2/a/blobs/uploads/1?_state=a%3D%253d"));
    let door = before(&origin);
    let answer = request(&door, "POST", "/v2/a/blobs/uploads/", "").await;
    assert_eq!(
        answer.header("location").unwrap(),
        format!("{}/v2/a/blobs/uploads/1?_state=a%3D%253d", door.url())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_address_at_the_node_itself_is_mended() {
    let other = ports::free();
    let origin = Origin::start(move |talk| {
        talk.hear_all();
        let to = if talk.request().target().contains("mine") {
            "http://127.0.0.1:1/v2/a/blobs/uploads/1".to_owned()
        } else {
            format!("http://{other}/elsewhere/v2/1")
        };
        talk.answer("202 Accepted", &format!("Location: {to}\r\n"), "");
        Then::Next
    });
    let door = before(&origin);
    let answer = request(&door, "POST", "/v2/mine/blobs/uploads/", "").await;
    let mended = format!("{}/v2/a/blobs/uploads/1", door.url());
    assert_eq!(answer.header("location").unwrap(), mended);
    let answer = request(&door, "POST", "/v2/other/blobs/uploads/", "").await;
    assert_eq!(
        answer.header("location").unwrap(),
        format!("http://{other}/elsewhere/v2/1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_some_storage_is_left_alone() {
    let to = "https://bucket.s3.example/v2/blob?X-Amz-Signature=a%2Fb";
    let origin = sending(move |_| to.to_owned());
    let door = before(&origin);
    assert_eq!(
        get(&door, "/v2/a/blobs/sha256:00").await.header("location"),
        Some(to)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_realm_of_a_challenge_gets_the_clients_scheme_and_port() {
    let origin = Origin::saying(
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWww-Authenticate: Bearer realm=\"http://127.0.0.1/service/token\",service=\"harbor-registry\",scope=\"repository:a/b:pull\"\r\n\r\n",
    );
    let door = before(&origin);
    let answer = get(&door, "/v2/").await;
    assert_eq!(
        answer.header("www-authenticate").unwrap(),
        format!(
            "Bearer realm=\"{}/service/token\",service=\"harbor-registry\",scope=\"repository:a/b:pull\"",
            door.url()
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_can_be_pushed_through_a_1_10_whose_template_forgets_https() {
    let cluster = Cluster::start(Dialect::Harbor1, 2).await;
    let image = Image::new("overwritten", &[1000, 200_000]);
    let pushed = image.push(&cluster.door, "library/app:1");
    assert!(pushed.status.success(), "{pushed:?}");
    assert_eq!(pull(&cluster.door, "library/app:1"), Ok(image.digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_can_be_pushed_through_a_2_x() {
    let cluster = Cluster::start(Dialect::Harbor2, 2).await;
    let image = Image::new("two", &[1000, 200_000]);
    let pushed = image.push(&cluster.door, "library/app:1");
    assert!(pushed.status.success(), "{pushed:?}");
    assert_eq!(pull(&cluster.door, "library/app:1"), Ok(image.digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_sent_to_https_byte_for_byte() {
    let plain = ports::free();
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let door = crate::support::origin::before_with(&origin, |plan| {
        plan.more.push_str(&format!(
            "[[listen]]\naddress = \"{plain}\"\nredirect_to_https = true\n"
        ));
    });
    for target in [
        "/v2/a%2Fb?c=%252F&b=1",
        "/%0d%0aSet-Cookie:%20a=b",
        "/harbor//x/",
    ] {
        let mut raw = Knock::with(plain, &door.ca()).plain().await.unwrap();
        let answer = raw
            .ask(format!(
                "PATCH {target} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
                plain.port()
            ))
            .await;
        assert_eq!(answer.status, 308);
        assert_eq!(
            answer.header("location").unwrap(),
            format!("https://localhost:{}{target}", door.address.port())
        );
        assert!(answer.all("set-cookie").next().is_none());
    }
    assert!(origin.heard().is_empty());
}
