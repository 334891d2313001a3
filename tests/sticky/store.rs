//! A store that is away, wrong or damaged: said once, clearly, and never a reason not to serve.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use super::{SOON, database_8, listed_once, sessions, status, store_is};
use crate::support::certs::Authority;
use crate::support::clients::browser::Browser;
use crate::support::clients::raw::{Protocol, Raw};
use crate::support::cluster::Cluster;
use crate::support::door::{Door, eventually};
use crate::support::harbor::Dialect;
use crate::support::ports;
use crate::support::redis::RedisServer;

async fn with_store(store: &str) -> Cluster {
    let more = sessions(store, "door-a");
    Cluster::start_with(Dialect::Harbor2, 2, |_| {}, |plan| plan.more += &more).await
}

fn redis_cli(redis: &RedisServer, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &redis.address.port().to_string()])
        .args(arguments)
        .output()
        .expect("redis-cli runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What the status says of the store.
fn reason(door: &Door) -> String {
    status(door)["sessions"]["store"]["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn times_said(door: &Door, words: &str) -> usize {
    door.log()
        .iter()
        .filter(|line| line.contains(words))
        .count()
}

async fn a_push_works(door: &Door) {
    let mut client = Raw::connect(door, Protocol::Http1).await;
    client
        .push("library/served", b"all the same".as_slice().into())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_at_the_start_is_used_when_it_comes() {
    let address = ports::free();
    let cluster = with_store(&format!("redis://{address}/8")).await;
    a_push_works(&cluster.door).await;
    eventually("it says so", SOON, || {
        reason(&cluster.door).contains("does it run")
    });
    let mut server = Command::new("redis-server")
        .args(["--port", &address.port().to_string(), "--save", ""])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    store_is(&cluster.door, true);
    a_push_works(&cluster.door).await;
    let _ = server.kill();
    let _ = server.wait();
    assert_eq!(
        times_said(&cluster.door, "the session store cannot be used"),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_learnt_while_the_store_is_away_is_written_when_it_is_back() {
    let mut redis = RedisServer::start();
    let cluster = with_store(&database_8(&redis)).await;
    store_is(&cluster.door, true);
    let mut before = Browser::default();
    before.log_in(&cluster.door).await;
    redis.kill();
    store_is(&cluster.door, false);
    let mut meanwhile = Browser::default();
    meanwhile.log_in(&cluster.door).await;
    listed_once(&cluster.door, "ui", 2);
    redis.revive();
    store_is(&cluster.door, true);
    let written = || {
        redis_cli(&redis, &["-n", "8", "keys", "seawall:ui:*"])
            .lines()
            .count()
    };
    eventually("both are written", SOON, || written() == 2);
}

/// Connections that a server has taken so far.
fn taken(redis: &RedisServer) -> u64 {
    // A server without a password complains about one, and answers all the same.
    let stats = redis_cli(redis, &["-a", "right", "info", "stats"]);
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    line.expect("a count").trim().parse().expect("a number")
}

async fn trouble(redis: &RedisServer, store: &str, words: &str) {
    let cluster = with_store(store).await;
    eventually("the status says why", SOON, || {
        reason(&cluster.door).contains(words)
    });
    a_push_works(&cluster.door).await;
    // Asking takes a connection, too.
    let before = taken(redis);
    let mut asked = 0;
    eventually("some more tries", SOON, || {
        asked += 1;
        taken(redis) > before + asked + 3
    });
    assert_eq!(
        times_said(&cluster.door, "the session store cannot be used"),
        1
    );
    let all = format!("{:?}{}", cluster.door.log(), status(&cluster.door));
    assert!(!all.contains("s3cret"), "a password shows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told() {
    let redis = RedisServer::start();
    redis_cli(&redis, &["config", "set", "requirepass", "right"]);
    let address = redis.address;
    trouble(
        &redis,
        &format!("redis://:s3cret-wrong@{address}/8"),
        "refuses the password",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_password_is_told() {
    let redis = RedisServer::start();
    redis_cli(&redis, &["config", "set", "requirepass", "right"]);
    trouble(&redis, &database_8(&redis), "refuses the password").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_told() {
    let redis = RedisServer::start();
    trouble(
        &redis,
        &format!("redis://{}/99", redis.address),
        "no such database",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_told() {
    let (master, replica) = (RedisServer::start(), RedisServer::start());
    let port = master.address.port().to_string();
    redis_cli(&replica, &["replicaof", "127.0.0.1", &port]);
    trouble(&replica, &database_8(&replica), "is a replica").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_address_for_a_server_of_its_own_is_told() {
    let redis = RedisServer::start();
    let address = redis.address;
    trouble(
        &redis,
        &format!("redis+cluster://{address}"),
        "redis+cluster:// is for",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_too_few_rights_is_told() {
    let redis = RedisServer::start();
    redis_cli(
        &redis,
        &[
            "acl", "setuser", "seawall", "on", ">s3cret", "~*", "+get", "+select",
        ],
    );
    let address = redis.address;
    trouble(
        &redis,
        &format!("redis://seawall:s3cret@{address}/8"),
        "lacks a right",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_just_the_rights_that_are_needed_will_do() {
    let redis = RedisServer::start();
    let rights = "+get +set +setex +del +mget +scan +select";
    let mut arguments = vec!["acl", "setuser", "seawall", "on", ">s3cret", "~seawall:*"];
    arguments.extend(rights.split(' '));
    redis_cli(&redis, &arguments);
    let cluster = with_store(&format!("redis://seawall:s3cret@{}/8", redis.address)).await;
    store_is(&cluster.door, true);
    let mut browser = Browser::default();
    browser.log_in(&cluster.door).await;
    listed_once(&cluster.door, "ui", 1);
    assert_eq!(
        status(&cluster.door)["sessions"]["store"]["reason"],
        serde_json::Value::Null
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_speaks_tls_is_believed_by_its_own_authority_alone() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    let users = "user default off\nuser seawall on >s3cret ~seawall:* +@all";
    let redis = RedisServer::with_tls(&authority, users);
    let store = format!(
        "rediss://seawall:s3cret@127.0.0.1:{}/8",
        redis.address.port()
    );
    let ca = format!("ca = \"{}\"\n", redis.ca().display());
    let more = sessions(&store, "door-a") + &ca;
    let cluster = Cluster::start_with(Dialect::Harbor2, 2, |_| {}, |plan| plan.more += &more).await;
    store_is(&cluster.door, true);
    let mut browser = Browser::default();
    browser.log_in(&cluster.door).await;
    listed_once(&cluster.door, "ui", 1);
    let b = super::other(&cluster, &sessions(&store, "door-b"));
    eventually("a stranger is not believed", SOON, || {
        reason(&b).contains("certificate")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_values_are_ignored_and_counted() {
    let redis = RedisServer::start();
    let cluster = with_store(&database_8(&redis)).await;
    store_is(&cluster.door, true);
    let mut browser = Browser::default();
    browser.log_in(&cluster.door).await;
    let names = redis_cli(&redis, &["-n", "8", "keys", "seawall:ui:*"]);
    let name = names.lines().next().expect("a session").to_owned();
    // A door that remembers nothing has only the store to go by.
    let damage = |arguments: &[&str]| {
        redis_cli(&redis, &["-n", "8", "del", &name]);
        redis_cli(&redis, &[&["-n", "8"], arguments].concat());
    };
    let counted = |door: &Door| {
        let text = door.ask("GET", "/metrics").1;
        let line = text
            .lines()
            .find(|line| line.starts_with("seawall_session_values_damaged_total"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    for bad in [
        vec!["set", name.as_str(), "rubbish"],
        vec!["set", name.as_str(), "{\"node\":\"../../etc\"}"],
        vec!["lpush", name.as_str(), "a list"],
    ] {
        let fresh = super::other(&cluster, &sessions(&database_8(&redis), "door-b"));
        store_is(&fresh, true);
        damage(&bad);
        assert!(browser.is_logged_in(&fresh).await, "{bad:?}");
        assert_eq!(counted(&fresh), 1, "{bad:?}");
        store_is(&fresh, true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_slower_than_the_budget_is_not_waited_for() {
    let redis = RedisServer::start();
    let cluster = with_store(&database_8(&redis)).await;
    store_is(&cluster.door, true);
    let mut browser = Browser::default();
    browser.log_in(&cluster.door).await;
    redis.hang();
    store_is(&cluster.door, false);
    let began = std::time::Instant::now();
    for _ in 0..20 {
        assert!(TcpStream::connect(cluster.door.address).is_ok());
        assert!(browser.is_logged_in(&cluster.door).await);
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    redis.resume();
    store_is(&cluster.door, true);
}
