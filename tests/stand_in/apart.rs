//! Nodes that share nothing.

use super::wire::{ask, get};
use crate::support::apart::Apart;
use crate::support::harbor::{Dialect, HarborNode, Switch};

const ALL: [Dialect; 3] = [Dialect::Harbor2, Dialect::Harbor1, Dialect::Harbor15];

async fn two(dialect: Dialect) -> Apart {
    Apart::nodes(dialect, 2, |_| {}).await
}

async fn bearer(node: &HarborNode) -> String {
    format!("Authorization: Bearer {}", node.token("private/x").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_to_one_is_not_at_the_other() {
    for dialect in ALL {
        let apart = two(dialect).await;
        let digest = apart.nodes[0].push("library/x", "1", "one").await;
        assert_eq!(apart.nodes[0].has("library/x", "1"), Some(digest.clone()));
        assert_eq!(apart.nodes[0].has("library/x", &digest), Some(digest));
        assert_eq!(apart.nodes[1].has("library/x", "1"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_made_at_one_is_not_at_the_other() {
    let apart = two(Dialect::Harbor2).await;
    let wish = serde_json::json!({"project_name": "team"});
    let made = apart.nodes[0].call("POST", "/api/v2.0/projects", Some(wish));
    assert_eq!(made.await.0, 201);
    let ask = async |node: &HarborNode| node.call("GET", "/api/v2.0/projects/team", None).await.0;
    assert_eq!(ask(&apart.nodes[0]).await, 200);
    assert_eq!(ask(&apart.nodes[1]).await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_begun_at_one_is_unknown_to_the_other() {
    for dialect in ALL {
        let apart = two(dialect).await;
        let bearer = bearer(&apart.nodes[0]).await;
        let head = format!(
            "POST /v2/private/x/blobs/uploads/ HTTP/1.1\r\nHost: h\r\n{bearer}\r\nContent-Length: 0\r\n\r\n"
        );
        let begun = ask(apart.nodes[0].address, &head, &[]).unwrap();
        let location = begun.header("location").unwrap();
        let path = &location[location.find("/v2/").unwrap()..];
        let own = get(apart.nodes[0].address, path, &[&bearer]);
        let other = get(apart.nodes[1].address, path, &[&bearer]);
        assert_eq!((own.status, other.status), (204, 404), "{dialect:?}");
        assert!(other.text().contains("BLOB_UPLOAD_UNKNOWN"), "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_key_is_worth_nothing_at_the_other() {
    for dialect in ALL {
        let equal = two(dialect).await;
        let differing = Apart::nodes(dialect, 2, |options| options.key = None).await;
        for (apart, expected) in [(equal, 404), (differing, 401)] {
            let bearer = bearer(&apart.nodes[0]).await;
            let path = "/v2/private/x/manifests/1";
            let own = get(apart.nodes[0].address, path, &[&bearer]);
            let other = get(apart.nodes[1].address, path, &[&bearer]);
            assert_eq!((own.status, other.status), (404, expected), "{dialect:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_read_only_says_so() {
    for dialect in ALL {
        let apart = Apart::nodes(dialect, 1, |options| options.redis = None).await;
        let node = &apart.nodes[0];
        node.push("library/x", "1", "one").await;
        let root = match dialect {
            Dialect::Harbor2 => "/api/v2.0",
            _ => "/api",
        };
        let system = format!("{root}/systeminfo");
        assert_eq!(node.call("GET", &system, None).await.1["read_only"], false);
        node.switch(Switch::ReadOnly, true).await;
        assert_eq!(node.call("GET", &system, None).await.1["read_only"], true);
        let bearer = format!("Bearer {}", node.token("library/x").await);
        let head = format!(
            "POST /v2/library/x/blobs/uploads/ HTTP/1.1\r\nHost: h\r\nAuthorization: {bearer}\r\nContent-Length: 0\r\n\r\n"
        );
        let refused = ask(node.address, &head, &[]).unwrap();
        assert_eq!(refused.status, 403, "{dialect:?}");
        assert!(refused.text().contains("DENIED") && refused.text().contains("read only mode"));
        let (path, status) = match dialect {
            Dialect::Harbor2 => ("/api/v2.0/projects/library/repositories/x", 403),
            _ => ("/api/repositories/library/x", 503),
        };
        assert_eq!(
            node.call("DELETE", path, None).await.0,
            status,
            "{dialect:?}"
        );
        assert!(node.has("library/x", "1").is_some());
    }
}
