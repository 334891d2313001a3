//! What no recording can show: deaths in the middle, silences, limits of a connection.

use std::io::Write;
use std::time::{Duration, Instant};

use super::replay::KEYS;
use super::wire::{Answer, Wire, ask, get};
use crate::support::harbor::{
    Component, Dialect, HarborNode, Mode, Options, RequestEnd, ResponseEnd, Timing, TokenKey,
};
use crate::support::redis::RedisServer;

const ADMIN: &str = "Authorization: Basic YWRtaW46SGFyYm9yMTIzNDU=";

async fn node(change: impl FnOnce(&mut Options)) -> (HarborNode, tempfile::TempDir) {
    let storage = tempfile::tempdir().unwrap();
    let mut options = Options::new("a", Dialect::Harbor2, storage.path());
    options.key = Some(KEYS.1.clone());
    change(&mut options);
    (HarborNode::start(options).await, storage)
}

async fn until(what: &str, mut good: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !good() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Begins an upload and returns the path to go on with.
fn begin(node: &HarborNode) -> String {
    let head = format!(
        "POST /v2/library/x/blobs/uploads/ HTTP/1.1\r\nHost: h\r\n{ADMIN}\r\nContent-Length: 0\r\n\r\n"
    );
    let answer = ask(node.address, &head, &[]).unwrap();
    assert_eq!(answer.status, 202);
    let location = answer.header("location").unwrap();
    location.strip_prefix("http://h").unwrap().to_owned()
}

/// Sends the head of a PATCH and a part of its body.
fn half(node: &HarborNode, path: &str) -> Wire {
    let mut wire = Wire::open(node.address);
    let head =
        format!("PATCH {path} HTTP/1.1\r\nHost: h\r\n{ADMIN}\r\nContent-Length: 100000\r\n\r\n");
    wire.send(head.as_bytes());
    wire.send(&[7; 50_000]);
    wire
}

async fn half_arrived(node: &HarborNode) {
    until("half of the body arrives", || {
        node.log()
            .entries()
            .last()
            .is_some_and(|e| e.body == 50_000)
    })
    .await;
}

fn unhealthy(answer: &Answer, component: &str) -> bool {
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer.status, 200);
    document["components"]
        .as_array()
        .unwrap()
        .iter()
        .any(|c| c["name"] == component && c["status"] == "unhealthy")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_database_holds_requests_and_looks_healthy() {
    let (node, _storage) = node(|_| {}).await;
    node.set(Component::Database, Mode::Hung).await;
    assert_eq!(get(node.address, "/api/v2.0/ping", &[]).status, 200);
    let start = Instant::now();
    assert_eq!(get(node.address, "/api/v2.0/projects", &[]).status, 504);
    assert!(start.elapsed() >= Timing::quick().proxy);
    let health = get(node.address, "/api/v2.0/health", &[]);
    assert!(!unhealthy(&health, "database"), "several polls later");
    let mut wire = Wire::open(node.address);
    wire.send(format!("GET /v2/ HTTP/1.1\r\nHost: h\r\n{ADMIN}\r\n\r\n").as_bytes());
    until("the request is in", || node.log().entries().len() == 4).await;
    node.set(Component::Database, Mode::Ok).await;
    assert_eq!(wire.receive(false).unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_redis_slows_everything_down() {
    let redis = RedisServer::start();
    let (node, _storage) = node(|options| options.redis = Some(redis.url())).await;
    assert_eq!(get(node.address, "/api/v2.0/ping", &[]).status, 200);
    redis.hang();
    let start = Instant::now();
    assert_eq!(get(node.address, "/api/v2.0/ping", &[]).status, 200);
    assert!(start.elapsed() >= Timing::quick().redis_hung);
    assert_eq!(get(node.address, "/api/v2.0/health", &[]).status, 504);
    assert_eq!(get(node.address, "/v2/", &[]).status, 401);
    redis.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_redis_logs_browsers_out_and_is_noticed() {
    let mut redis = RedisServer::start();
    let (node, _storage) = node(|options| options.redis = Some(redis.url())).await;
    let first = get(node.address, "/api/v2.0/ping", &[]);
    let cookie = first
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let line = format!("Cookie: {cookie}");
    assert!(
        get(node.address, "/api/v2.0/ping", &[&line])
            .values("set-cookie")
            .all(|c| !c.starts_with("sid"))
    );
    redis.kill();
    assert!(
        get(node.address, "/api/v2.0/ping", &[&line])
            .values("set-cookie")
            .any(|c| c.starts_with("sid"))
    );
    until("health tells", || {
        unhealthy(&get(node.address, "/api/v2.0/health", &[]), "redis")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_upload_ends_without_an_answer() {
    let (node, _storage) = node(|_| {}).await;
    let path = begin(&node);
    let mut wire = half(&node, &path);
    assert!(wire.receive(false).is_none());
    let entry = node.log().entries().pop().unwrap();
    assert_eq!(entry.request_end, RequestEnd::Stalled);
    assert_eq!(entry.response_end, ResponseEnd::Cut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_resets_and_refuses_until_it_comes_back() {
    let (mut node, _storage) = node(|_| {}).await;
    let path = begin(&node);
    let mut wire = half(&node, &path);
    half_arrived(&node).await;
    node.stop().await;
    assert!(wire.receive(false).is_none());
    assert!(std::net::TcpStream::connect(node.address).is_err());
    node.revive().await;
    assert_eq!(get(node.address, "/v2/", &[ADMIN]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_dies_mid_upload_is_a_502() {
    let (node, _storage) = node(|_| {}).await;
    let path = begin(&node);
    let mut wire = half(&node, &path);
    half_arrived(&node).await;
    node.set(Component::Core, Mode::Down).await;
    let answer = wire.receive(false).unwrap();
    assert_eq!((answer.status, answer.header("set-cookie")), (502, None));
    node.set(Component::Core, Mode::Ok).await;
    spoilt(&node, &path).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_dies_mid_upload_is_a_502() {
    let (node, _storage) = node(|_| {}).await;
    let path = begin(&node);
    let mut wire = half(&node, &path);
    half_arrived(&node).await;
    node.set(Component::Registry, Mode::Down).await;
    let answer = wire.receive(false).unwrap();
    assert_eq!((answer.status, answer.header("set-cookie")), (502, None));
    until("health tells", || {
        unhealthy(&get(node.address, "/api/v2.0/health", &[]), "registry")
    })
    .await;
    node.set(Component::Registry, Mode::Ok).await;
    assert_eq!(get(node.address, "/v2/", &[ADMIN]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_upload_spoils_its_state() {
    let (node, _storage) = node(|_| {}).await;
    let path = begin(&node);
    let wire = half(&node, &path);
    half_arrived(&node).await;
    drop(wire);
    until("the node notices", || {
        node.log()
            .entries()
            .last()
            .is_some_and(|e| e.request_end == RequestEnd::Broken)
    })
    .await;
    spoilt(&node, &path).await;
}

/// The bytes that arrived stay, so that the old state fits no longer.
async fn spoilt(node: &HarborNode, path: &str) {
    let mut last = None;
    until("the registry has written", || {
        let answer = get(node.address, path, &[ADMIN]);
        let gone = answer.status == 404 && answer.text().contains("BLOB_UPLOAD");
        last = Some(answer);
        gone
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unauthorized_body_is_answered_early_and_drained() {
    let (node, _storage) = node(|_| {}).await;
    let mut wire = Wire::open(node.address);
    wire.send(b"PATCH /v2/library/x/blobs/uploads/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
    let answer = wire.receive(false).unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (401, Some("keep-alive"))
    );
    wire.stream.write_all(&vec![1; 3_000_000]).unwrap();
    wire.send(b"GET /api/v2.0/ping HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(wire.receive(false).unwrap().text(), "Pong");
    until("all is read", || node.log().entries()[0].body == 3_000_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_expects_100_gets_it_before_anything_is_decided() {
    let (node, _storage) = node(|_| {}).await;
    node.set(Component::Core, Mode::Hung).await;
    let mut wire = Wire::open(node.address);
    wire.send(b"PUT /v2/library/x/manifests/1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut first = [0; 12];
    std::io::Read::read_exact(&mut wire.stream, &mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 100");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_after_as_many_requests_as_nginx_allows() {
    let (node, _storage) = node(|options| options.timing.requests_per_connection = 3).await;
    let mut wire = Wire::open(node.address);
    for connection in ["keep-alive", "keep-alive", "close"] {
        wire.send(b"GET /api/v2.0/ping HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(
            wire.receive(false).unwrap().header("connection"),
            Some(connection)
        );
    }
    assert!(wire.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed() {
    let (node, _storage) =
        node(|options| options.timing.keep_alive = Duration::from_millis(100)).await;
    let mut wire = Wire::open(node.address);
    wire.send(b"GET /api/v2.0/ping HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(wire.receive(false).unwrap().status, 200);
    assert!(wire.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_what_arrived_byte_for_byte() {
    let (node, _storage) = node(|_| {}).await;
    let path = "/api/v2.0/projects/library/repositories/a%252Fb?q=x%3Dy&&z=%7e";
    let answer = get(node.address, path, &["X-One: 1", "X-Two: 2", "X-One: 3"]);
    assert_eq!(
        (
            answer.status,
            answer.text().contains("library/a/b not found")
        ),
        (404, true)
    );
    let entry = node.log().entries().pop().unwrap();
    assert_eq!(entry.target, path);
    assert_eq!(entry.values("x-one").collect::<Vec<_>>(), ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_session_cookie_is_a_503() {
    for dialect in [Dialect::Harbor2, Dialect::Harbor1, Dialect::Harbor15] {
        let (node, _storage) = node(|options| options.dialect = dialect).await;
        let name = if dialect == Dialect::Harbor15 {
            "beegosessionID"
        } else {
            "sid"
        };
        let line = format!("Cookie: {name}=%zz");
        assert_eq!(
            get(node.address, "/v2/", &[&line]).status,
            503,
            "{dialect:?}"
        );
        assert_eq!(get(node.address, "/v2/", &[]).status, 401, "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_a_bare_key_in_redis_for_an_hour() {
    let redis = RedisServer::start();
    let (node, _storage) = node(|options| options.redis = Some(redis.url())).await;
    let answer = get(node.address, "/v2/", &[]);
    let line = answer.header("set-cookie").unwrap();
    let id = line
        .strip_prefix("sid=")
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let ttl: i64 = redis::cmd("TTL")
        .arg(id)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!((3590..=3600).contains(&ttl), "{ttl}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_locks_its_user_for_a_while() {
    let lock = Duration::from_millis(400);
    let (node, _storage) = node(|options| options.timing.lock = lock).await;
    let mut wire = Wire::open(node.address);
    wire.send(b"GET /v2/ HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YWRtaW46d3Jvbmc=\r\n\r\n");
    until("the wrong one is in", || node.log().entries().len() == 1).await;
    until("the right one is refused", || {
        get(node.address, "/v2/", &[ADMIN]).status == 401
    })
    .await;
    assert_eq!(wire.receive(false).unwrap().status, 401);
    assert_eq!(get(node.address, "/v2/", &[ADMIN]).status, 200, "unlocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_project_is_closed_to_anonymous_tokens() {
    let (node, _storage) = node(|_| {}).await;
    let key = TokenKey::load(&KEYS.1).unwrap();
    let reach = |name: &str| {
        let path = format!("/service/token?service=harbor-registry&scope=repository:{name}:pull");
        let answer: serde_json::Value =
            serde_json::from_slice(&get(node.address, &path, &[]).body).unwrap();
        key.verify(answer["token"].as_str().unwrap()).unwrap()["access"][0]["actions"].clone()
    };
    assert_eq!(reach("library/x"), serde_json::json!(["pull"]));
    assert_eq!(reach("private/x"), serde_json::json!([]));
}
