//! The Redis of the tests is itself tested: every test of shared sessions believes it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use super::support::certs::Authority;
use super::support::door::eventually;
use super::support::redis::{
    Monitor, RedisCluster, RedisServer, Sentinels, calls, command, keys, ttl, value,
};

const FAILOVER: Duration = Duration::from_secs(15);

#[test]
fn a_server_can_be_asked_what_is_in_it() {
    let server = RedisServer::start_with(&["--databases", "9"]);
    let at = server.address;
    assert_eq!(command(at, &["SET", "here", "not asked for"]), "OK");
    assert_eq!(keys(at, 8, "*"), [""; 0]);
    let script =
        "redis.call('SELECT', 8) redis.call('SETEX', 'a', 60, 'one') redis.call('SET', 'b', 'two')";
    command(at, &["EVAL", script, "0"]);
    assert_eq!(keys(at, 8, "*"), ["a", "b"]);
    assert_eq!(value(at, 8, "a").as_deref(), Some("one"));
    assert_eq!(value(at, 8, "c"), None);
    assert!(ttl(at, 8, "a") > Some(Duration::from_secs(50)));
    assert_eq!(ttl(at, 8, "b"), None);
    assert_eq!((calls(at, "get"), calls(at, "getex")), (2, 0));
    assert!(command(at, &["SELECT", "9"]).starts_with("ERR"));
}

#[test]
fn a_server_keeps_its_arguments_when_it_comes_back() {
    let mut server = RedisServer::start_with(&["--databases", "9"]);
    let before = server.pid();
    server.kill();
    assert!(!server.is_awake());
    server.revive();
    assert_ne!(server.pid(), before);
    assert!(command(server.address, &["SELECT", "9"]).starts_with("ERR"));
}

#[test]
fn a_server_of_the_guides_time_lacks_what_came_later() {
    let server = RedisServer::as_of_3();
    let refused: [&[&str]; 4] = [
        &["HELLO", "3"],
        &["GETEX", "key"],
        &["ACL", "WHOAMI"],
        &["UNLINK", "key"],
    ];
    for words in refused {
        let answer = command(server.address, words);
        assert!(
            answer.starts_with("ERR unknown command"),
            "{words:?}: {answer}"
        );
    }
    assert_eq!(command(server.address, &["SETEX", "key", "9", "x"]), "OK");
    assert_eq!(command(server.address, &["SCAN", "0"]), "0\nkey");
}

#[test]
fn a_monitor_hears_commands_with_their_arguments() {
    let server = RedisServer::start();
    let monitor = Monitor::of(&server);
    let said = ["SET", "a key", "\"quoted\" \\ é\r\n"];
    command(server.address, &said);
    eventually("it is heard", Duration::from_secs(5), || {
        monitor
            .commands()
            .contains(&said.map(str::to_owned).to_vec())
    });
    monitor.clear();
    assert_eq!(monitor.lines(), [""; 0]);
}

#[test]
fn a_server_with_tls_knows_its_users() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    let users = "user default off\nuser seawall on >secret ~seawall:* +@all";
    let server = RedisServer::with_tls(&authority, users);
    assert!(server.url_of(8).starts_with("rediss://127.0.0.1:"));
    let ask = |password: &str| {
        let mut cli = server.cli();
        cli.args(["--user", "seawall", "--pass", password, "GET", "seawall:x"]);
        let told = cli.output().unwrap();
        String::from_utf8_lossy(&told.stdout).into_owned()
    };
    assert_eq!(ask("secret"), "\n");
    assert!(ask("wrong").contains("NOAUTH"), "{}", ask("wrong"));
}

/// The server that is left becomes the master and takes writes.
fn fails_over(sentinels: &Sentinels, old: std::net::SocketAddr) {
    eventually("another master", FAILOVER, || {
        let new = sentinels.master();
        new != old && command(new, &["SET", "after", "it"]) == "OK"
    });
}

#[test]
fn sentinels_put_the_replica_in_a_dead_masters_place() {
    let mut sentinels = Sentinels::start();
    let first = sentinels.master();
    assert_eq!(first, sentinels.servers.first().unwrap().address);
    assert!(sentinels.url(8).ends_with("/seawall-test/8"));
    let old = sentinels.kill_master();
    assert_eq!(old, first);
    fails_over(&sentinels, old);
    sentinels.revive_dead();
    assert!(sentinels.servers.iter().all(RedisServer::is_awake));
}

#[test]
fn sentinels_put_the_replica_in_a_frozen_masters_place() {
    let sentinels = Sentinels::start();
    let old = sentinels.hang_master();
    fails_over(&sentinels, old);
    sentinels.resume_all();
    assert!(sentinels.servers.iter().all(RedisServer::is_awake));
}

#[test]
fn a_cluster_puts_a_replica_in_a_dead_masters_place() {
    let mut cluster = RedisCluster::start();
    let old = cluster.kill_master_of("key");
    eventually("another master", FAILOVER, || {
        cluster.ok() && cluster.find_master_of("key").is_some_and(|new| new != old)
    });
    let new = cluster.master_of("key");
    assert_eq!(command(new, &["SET", "key", "x"]), "OK");
    cluster.revive_dead();
    eventually("the old one is a replica", FAILOVER, || {
        command(old, &["ROLE"]).starts_with("slave")
    });
}
