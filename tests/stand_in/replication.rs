//! Replication of the stand-in, and how it fails.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::apart::{Apart, pair_up, replicate};
use crate::support::client::until;
use crate::support::harbor::{Dialect, Execution, HarborNode, Options, Switch};

const LIMIT: Duration = Duration::from_secs(30);
/// Dialects that read their own content themselves, and so replicate without a door.
const NEW: [Dialect; 2] = [Dialect::Harbor2, Dialect::Harbor1];

async fn two(dialect: Dialect) -> Apart {
    let apart = Apart::nodes(dialect, 2, |options| options.redis = None).await;
    pair_up(&[&apart.nodes[0], &apart.nodes[1]]).await;
    apart
}

fn root(node: &HarborNode) -> &'static str {
    match node.options().dialect {
        Dialect::Harbor2 => "/api/v2.0",
        _ => "/api",
    }
}

async fn ended(node: &HarborNode, count: usize) -> Vec<Execution> {
    until("executions end", LIMIT, async || {
        let all = node.executions();
        all.len() >= count && all.iter().all(|execution| execution.end.is_some())
    })
    .await;
    node.executions()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_arrives_at_the_other_and_the_echo_ends() {
    for dialect in NEW {
        let apart = two(dialect).await;
        let (a, b) = (&apart.nodes[0], &apart.nodes[1]);
        let digest = a.push("library/x", "1", "one").await;
        until("it arrives", LIMIT, async || {
            b.has("library/x", "1").as_ref() == Some(&digest)
        })
        .await;
        let there = ended(a, 1).await;
        let back = ended(b, 1).await;
        for (all, event) in [(there, "there"), (back, "back")] {
            assert_eq!(all.len(), 1, "{dialect:?} {event}");
            assert_eq!((all[0].status, all[0].tasks.len()), ("Succeed", 1));
        }
        let from = a.address.ip();
        let entries = b.log().entries();
        let copies: Vec<_> = entries
            .iter()
            .filter(|entry| entry.method == "PUT" && entry.target.contains("/manifests/"))
            .collect();
        assert_eq!(copies.len(), 1);
        assert_eq!(
            copies[0].header("user-agent"),
            Some("harbor-registry-client")
        );
        assert_eq!(copies[0].peer.ip(), from, "it comes from the node");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_for_many_platforms_arrives_whole() {
    let apart = two(Dialect::Harbor2).await;
    let (a, b) = (&apart.nodes[0], &apart.nodes[1]);
    a.switch(Switch::NoEvents, true).await;
    let one = a.push("library/x", "amd64", "one").await;
    let two = a.push("library/x", "arm64", "two").await;
    a.switch(Switch::NoEvents, false).await;
    let list = a.push_list("library/x", "all", &[&one, &two]).await;
    until("it arrives", LIMIT, async || {
        b.has("library/x", "all").as_ref() == Some(&list)
    })
    .await;
    assert!(b.has("library/x", &one).is_some() && b.has("library/x", &two).is_some());
    assert_eq!(
        b.has("library/x", "amd64"),
        None,
        "its tag was not asked for"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_the_other_lacks_is_made_there() {
    for dialect in NEW {
        let apart = two(dialect).await;
        let (a, b) = (&apart.nodes[0], &apart.nodes[1]);
        let projects = format!("{}/projects", root(a));
        a.make(&projects, json!({"project_name": "team"})).await;
        a.push("team/x", "1", "one").await;
        until("it arrives", LIMIT, async || b.has("team/x", "1").is_some()).await;
        let (_, found) = b.call("GET", &format!("{projects}?name=team"), None).await;
        assert_eq!(found[0]["metadata"]["public"], "false", "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_while_the_other_is_down_never_arrives_by_itself() {
    for dialect in NEW {
        let mut apart = two(dialect).await;
        apart.nodes[1].stop().await;
        apart.nodes[0].push("library/x", "lost", "one").await;
        let lost = ended(&apart.nodes[0], 1).await;
        assert_eq!((lost[0].status, lost[0].tasks.len()), ("Failed", 0));
        assert!(!lost[0].status_text.is_empty());
        apart.nodes[1].revive().await;
        let (a, b) = (&apart.nodes[0], &apart.nodes[1]);
        a.push("library/x", "later", "two").await;
        until("the later one arrives", LIMIT, async || {
            b.has("library/x", "later").is_some()
        })
        .await;
        ended(a, 2).await;
        assert_eq!(b.has("library/x", "lost"), None, "{dialect:?}");
    }
}

/// Runs a manual policy with these filters by the API and polls it to its end.
async fn run(node: &HarborNode, registry: u64, filters: Value) -> Value {
    let root = root(node);
    let policy = json!({
        "name": "by-hand", "enabled": true, "override": true, "dest_registry": {"id": registry},
        "trigger": {"type": "manual"}, "filters": filters,
    });
    let policies = format!("{root}/replication/policies");
    let policy = node.make(&policies, policy).await;
    let executions = format!("{root}/replication/executions");
    let id = node.make(&executions, json!({"policy_id": policy})).await;
    let path = format!("{executions}/{id}");
    let mut last = Value::Null;
    until("the execution ends", LIMIT, async || {
        last = node.call("GET", &path, None).await.1;
        last["status"] != "InProgress"
    })
    .await;
    let policy = format!("{policies}/{policy}");
    assert_eq!(node.call("DELETE", &policy, None).await.0, 200);
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_policy_carries_exactly_what_it_names() {
    for dialect in NEW {
        let apart = two(dialect).await;
        let (a, b) = (&apart.nodes[0], &apart.nodes[1]);
        a.switch(Switch::NoEvents, true).await;
        let digest = a.push("library/x", "1", "one").await;
        a.push("library/x", "2", "two").await;
        a.push("library/x/y", "1", "three").await;
        a.push("library/xy", "1", "four").await;
        let (_, registries) = a
            .call("GET", &format!("{}/registries", root(a)), None)
            .await;
        let registry = registries[0]["id"].as_u64().unwrap();
        let filters = json!([
            {"type": "name", "value": "library/x"},
            {"type": "tag", "value": "{1,nosuch}", "decoration": "matches"},
        ]);
        let done = run(a, registry, filters).await;
        assert_eq!(done["status"], "Succeed", "{done}");
        assert_eq!((&done["total"], &done["succeed"]), (&json!(1), &json!(1)));
        assert_eq!(b.has("library/x", "1"), Some(digest), "{dialect:?}");
        for (repository, tag) in [
            ("library/x", "2"),
            ("library/x/y", "1"),
            ("library/xy", "1"),
        ] {
            assert_eq!(b.has(repository, tag), None, "{dialect:?} {repository}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_policy_runs_for_nobody() {
    for (dialect, expected) in [(Dialect::Harbor2, 412), (Dialect::Harbor1, 400)] {
        let apart = two(dialect).await;
        let a = &apart.nodes[0];
        let path = format!("{}/replication/policies", root(a));
        let (_, all) = a.call("GET", &path, None).await;
        let mut policy = all[0].clone();
        policy["enabled"] = false.into();
        let id = &policy["id"].clone();
        let changed = a.call("PUT", &format!("{path}/{id}"), Some(policy)).await;
        assert_eq!(changed.0, 200);
        let path = format!("{}/replication/executions", root(a));
        let refused = a.call("POST", &path, Some(json!({"policy_id": id}))).await;
        assert_eq!(refused.0, expected);
        a.push("library/x", "1", "one").await;
        assert!(a.executions().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_travel_by_event_only() {
    let apart = two(Dialect::Harbor2).await;
    let (a, b) = (&apart.nodes[0], &apart.nodes[1]);
    for tag in ["kept", "gone", "untagged"] {
        let digest = a.push("library/x", tag, tag).await;
        until("it arrives", LIMIT, async || {
            b.has("library/x", &digest).is_some()
        })
        .await;
    }
    ended(a, 3).await;
    a.switch(Switch::NoEvents, true).await;
    let digest = a.has("library/x", "kept").unwrap();
    assert_eq!(a.delete_manifest("library/x", &digest).await, 202);
    assert_eq!(a.has("library/x", "kept"), None);
    let (_, registries) = a.call("GET", "/api/v2.0/registries", None).await;
    let filters = json!([{"type": "name", "value": "library/**"}]);
    let done = run(a, registries[0]["id"].as_u64().unwrap(), filters).await;
    assert_eq!(
        (&done["status"], &done["total"]),
        (&json!("Succeed"), &json!(2))
    );
    assert!(
        b.has("library/x", "kept").is_some(),
        "by hand nothing is deleted"
    );
    a.switch(Switch::NoEvents, false).await;
    let digest = a.has("library/x", "gone").unwrap();
    assert_eq!(a.delete_manifest("library/x", &digest).await, 202);
    until("the event deletes", LIMIT, async || {
        b.has("library/x", "gone").is_none()
    })
    .await;
    let digest = a.has("library/x", "untagged").unwrap();
    let path = "/api/v2.0/projects/library/repositories/x/artifacts/untagged/tags/untagged";
    assert_eq!(a.call("DELETE", path, None).await.0, 200);
    until("the tag goes", LIMIT, async || {
        b.has("library/x", "untagged").is_none()
    })
    .await;
    assert!(b.has("library/x", &digest).is_some(), "only the tag");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_deleted_by_the_api_of_1_10_takes_its_image_along() {
    let apart = two(Dialect::Harbor1).await;
    let (a, b) = (&apart.nodes[0], &apart.nodes[1]);
    for tag in ["1", "same"] {
        a.push("library/deep/x", tag, "one").await;
        until("it arrives", LIMIT, async || {
            b.has("library/deep/x", tag).is_some()
        })
        .await;
    }
    let (_, tags) = a
        .call("GET", "/api/repositories/library/deep/x/tags", None)
        .await;
    assert_eq!(
        (&tags[0]["name"], &tags[1]["name"]),
        (&json!("1"), &json!("same"))
    );
    let path = "/api/repositories/library/deep/x/tags/1";
    assert_eq!(a.call("DELETE", path, None).await.0, 200);
    assert_eq!(a.call("DELETE", path, None).await.0, 404);
    assert_eq!(a.has("library/deep/x", "same"), None);
    until("it goes", LIMIT, async || {
        b.has("library/deep/x", "1").is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_1_5_hear_of_docker_only_and_read_in_public() {
    let apart = Apart::start(Dialect::Harbor15, 1, |_| {}, |plan| plan.cluster.clear()).await;
    let others = Apart::nodes(Dialect::Harbor15, 1, |_| {}).await;
    let (a, b) = (&apart.nodes[0], &others.nodes[0]);
    let (_, policy) = replicate(a, b).await;
    a.push_as("skopeo/1.9.3", "library/x", "quiet", "one").await;
    a.push("library/x", "loud", "two").await;
    until("it arrives", LIMIT, async || {
        b.has("library/x", "loud").is_some()
    })
    .await;
    assert_eq!(b.has("library/x", "quiet"), None);
    let path = format!("/api/jobs/replication?policy_id={policy}");
    until("the job is done", LIMIT, async || {
        let (_, jobs) = a.call("GET", &path, None).await;
        jobs.as_array().is_some_and(|all| all.len() == 1) && jobs[0]["status"] == "finished"
    })
    .await;
    assert_eq!(through_the_door(a, "/blobs/"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_job_of_1_5_carries_what_its_filters_name() {
    let apart = Apart::start(Dialect::Harbor15, 1, |_| {}, |plan| plan.cluster.clear()).await;
    let others = Apart::nodes(Dialect::Harbor15, 1, |_| {}).await;
    let (a, b) = (&apart.nodes[0], &others.nodes[0]);
    for (repository, tag) in [("library/x", "1"), ("library/x", "2"), ("library/y", "1")] {
        a.push(repository, tag, &format!("{repository}:{tag}"))
            .await;
    }
    let target =
        json!({"endpoint": b.url(), "name": "b", "username": "admin", "password": "Harbor12345"});
    let target = a.make("/api/targets", target).await;
    let ping = json!({"id": target});
    assert_eq!(a.call("POST", "/api/targets/ping", Some(ping)).await.0, 200);
    let policy = json!({
        "name": "by-hand", "projects": [{"project_id": 1}], "targets": [{"id": target}],
        "trigger": {"kind": "Manual"},
        "filters": [{"kind": "repository", "pattern": "x"}, {"kind": "tag", "pattern": "1"}],
    });
    let policy = a.make("/api/policies/replication", policy).await;
    let started = a
        .call(
            "POST",
            "/api/replications",
            Some(json!({"policy_id": policy})),
        )
        .await;
    assert_eq!(started, (200, Value::Null));
    let all = ended(a, 1).await;
    assert_eq!((all[0].status, all[0].tasks.len()), ("Succeed", 1));
    assert!(b.has("library/x", "1").is_some());
    assert_eq!(
        (b.has("library/x", "2"), b.has("library/y", "1")),
        (None, None)
    );
}

/// How many requests of replication came to a node through a door that saw the node's own address.
fn through_the_door(node: &HarborNode, part: &str) -> usize {
    let own = node.address.ip().to_string();
    let entries = node.log().entries().into_iter().filter(|entry| {
        entry.method == "GET"
            && entry.target.contains(part)
            && entry.header("user-agent") == Some("harbor-registry-client")
            && entry.header("x-forwarded-for") == Some(&own)
    });
    entries.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_may_be_fetched_where_the_challenge_says() {
    let follow = |options: &mut Options| options.replication.follows_realm = true;
    let apart = Apart::start(Dialect::Harbor2, 1, follow, |plan| plan.cluster.clear()).await;
    let a = &apart.nodes[0];
    // The other node tells the same public address, and the door leads to this one.
    let mut options = a.options().clone();
    let own = tempfile::tempdir().unwrap();
    options.address = crate::support::ports::on("127.0.0.3");
    options.storage = own.path().join("storage");
    options.database = Some(own.path().join("database"));
    std::fs::create_dir_all(&options.storage).unwrap();
    let b = HarborNode::start(options).await;
    replicate(a, &b).await;
    a.push("library/x", "1", "one").await;
    until("it arrives", LIMIT, async || {
        b.has("library/x", "1").is_some()
    })
    .await;
    assert!(through_the_door(a, "/service/token") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_pushes_are_kept_for_a_comparison() {
    let apart = Apart::nodes(Dialect::Harbor2, 1, |options| options.redis = None).await;
    let node = &apart.nodes[0];
    let first = node.push("library/a/b", "1", "one").await;
    let path = "/api/v2.0/projects/library/repositories/a%252Fb/artifacts";
    let (status, before) = node.call("GET", path, None).await;
    assert_eq!((status, &before[0]["digest"]), (200, &json!(first)));
    assert_eq!(before[0]["tags"][0]["name"], "1");
    assert_eq!(node.push("library/a/b", "1", "one").await, first);
    let (_, again) = node.call("GET", path, None).await;
    assert_eq!(before, again, "pushed again it keeps its time");
    let second = node.push("library/a/b", "1", "two").await;
    let (_, after) = node
        .call(
            "GET",
            &format!("{path}?page_size=1&page=1&with_tag=true"),
            None,
        )
        .await;
    assert_eq!(after.as_array().unwrap().len(), 1);
    assert_eq!(after[0]["digest"], json!(second), "the newest first");
    let time = |document: &Value| document["push_time"].as_str().unwrap().to_owned();
    assert!(time(&after[0]) >= time(&before[0]));
    assert!(time(&after[0]["tags"][0]) >= time(&before[0]["tags"][0]));
    assert_eq!(
        node.call("DELETE", path.trim_end_matches("/artifacts"), None)
            .await
            .0,
        200
    );
    assert_eq!(node.call("GET", path, None).await.0, 404);
}
