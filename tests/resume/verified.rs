//! Where the operator wants it, what passes is compared with its digest.

use super::*;

/// What a client gets of a node that gives other bytes than its digest says.
async fn spoilt(more: &str, framing: &str) -> (bool, Answer, Door, Arc<Blob>) {
    let blob = Blob::new(300_000);
    let (served, chunked) = (blob.clone(), framing == "Transfer-Encoding: chunked");
    let head = framing.to_owned();
    let origins: [Origin; 1] = nodes(move |talk, _| {
        let mut bytes = served.bytes.clone();
        bytes[150_000] ^= 1;
        let digest = &served.digest;
        talk.say(format!(
            "HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\n{head}\r\n\r\n"
        ));
        if chunked {
            talk.say(format!("{:x}\r\n", bytes.len()));
        }
        talk.say(bytes);
        if chunked {
            talk.say("\r\n0\r\n\r\n");
        }
        Then::Next
    });
    let door = door(&origins, more);
    let two = pull_2(&door, &blob.path()).await.is_some();
    let answer = pull(&door, &blob.path(), "").await;
    (two, answer, door, blob)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_blob_is_never_finished() {
    for framing in ["Content-Length: 300000", "Transfer-Encoding: chunked"] {
        let (two, answer, door, blob) = spoilt("[resume]\nverify = true\n", framing).await;
        assert!(!two && !answer.whole, "{framing}");
        assert_eq!(line(&door, &blob.path())["ended"], "node_failed");
        assert!(door.said("is not what its digest says"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_being_told_to_nobody_looks() {
    let (two, answer, _, _) = spoilt("", "Content-Length: 300000").await;
    assert!(two && answer.whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_blob_of_two_nodes_is_right() {
    let blob = Blob::new(300_000);
    let served = blob.clone();
    let origins: [Origin; 2] = nodes(move |talk, turn| {
        served.serve(talk, if turn == 0 { 100_000 } else { usize::MAX });
        Then::Close
    });
    let door = door(&origins, "[resume]\nverify = true\n");
    let answer = pull(&door, &blob.path(), "").await;
    assert!(answer.whole && answer.body == blob.bytes);
    let part = pull(&door, &blob.path(), "Range: bytes=5-9\r\n").await;
    assert!(part.whole && part.body == blob.bytes[5..10]);
}
