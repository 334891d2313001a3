//! Small answers with which nobody could go on: a client sees nothing of them until they are whole.

use super::*;

const TAG: &str = "/v2/library/app/manifests/1";

/// Of two nodes the one that is asked first says no more than `most` bytes of a body of `size`.
fn pair(size: usize, most: usize) -> ([Origin; 2], Arc<Blob>) {
    let blob = Blob::new(size);
    let served = blob.clone();
    let origins = nodes(move |talk, turn| {
        served.serve(talk, if turn == 0 { most } else { usize::MAX });
        Then::Close
    });
    (origins, blob)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_or_a_tag_that_breaks_off_comes_from_another_node() {
    for path in ["/service/token?service=harbor-registry", TAG, "/v2/"] {
        let (origins, blob) = pair(4000, 1000);
        let door = door(&origins, "");
        let answer = pull(&door, path, "").await;
        assert!(answer.whole && answer.body == blob.bytes, "{path}");
        let line = line(&door, path);
        assert_eq!(line["attempts"], 2, "{line}");
        assert_eq!(line["bytes_out"], 4000);
        assert_eq!(line["ended"], "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_comes_from_another_node_over_http_2_too() {
    let (origins, blob) = pair(4000, 1000);
    let door = door(&origins, "");
    assert!(pull_2(&door, TAG).await.unwrap() == blob.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_node_breaks_off_the_client_is_told_so() {
    let blob = Blob::new(4000);
    let origins: [Origin; 2] = nodes(move |talk, _| {
        blob.serve(talk, 1000);
        Then::Close
    });
    let door = door(&origins, "");
    let answer = pull(&door, TAG, "").await;
    assert!(answer.whole && answer.status == 502, "{}", answer.status);
    assert_eq!(line(&door, TAG)["ended"], "node_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_one_is_not_waited_for() {
    let (origins, blob) = pair(100_000, 1000);
    let door = door(&origins, "");
    let answer = pull(&door, TAG, "").await;
    assert!(!answer.whole && answer.body == blob.bytes[..1000]);
    assert_eq!(heard(&origins).len(), 1);
}
