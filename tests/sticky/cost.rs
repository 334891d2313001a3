//! What a shared store costs a request whose session is known already: nothing that could be told from the noise.

use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use super::{sessions, store_is};
use crate::support::client::Raw;
use crate::support::door::Door;
use crate::support::origin::{Origin, before_with};
use crate::support::redis::RedisServer;

const REQUESTS: usize = 2000;
const ROUNDS: usize = 15;
const SESSIONS: usize = 50;

fn processor(door: &Door) -> Duration {
    let pid = Pid::from_raw(i32::try_from(door.pid()).unwrap());
    Duration::from(clock_gettime(clock_getcpuclockid(pid).unwrap()).unwrap())
}

/// Processor time of one request whose session the door knows.
async fn one(door: &Door, client: &mut Raw) -> f64 {
    let begun = processor(door);
    for number in 0..REQUESTS {
        let answer = client
            .ask(format!(
                "GET /api/v2.0/users/current HTTP/1.1\r\nHost: {}\r\nCookie: sid={:032x}\r\n\r\n",
                door.address,
                number % SESSIONS
            ))
            .await;
        assert_eq!(answer.status, 200);
    }
    (processor(door) - begun).as_secs_f64() / REQUESTS as f64
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for half a minute; only an optimised build tells anything: --profile quick"]
async fn a_known_session_costs_the_same_with_and_without_a_store() {
    let redis = RedisServer::start();
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let alone = before_with(&origin, |_| {});
    let shared = before_with(&origin, |plan| {
        plan.more += &sessions(&redis.url_of(8), "door-a")
    });
    store_is(&shared, true);
    let (mut first, mut second) = (Raw::to(&alone).await, Raw::to(&shared).await);
    for (door, client) in [(&alone, &mut first), (&shared, &mut second)] {
        one(door, client).await;
    }
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let alone = one(&alone, &mut first).await;
        let shared = one(&shared, &mut second).await;
        ratios.push(shared / alone);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ROUNDS / 2];
    println!(
        "with a store a known session costs {median:.3} of what it costs without (all rounds: {ratios:.3?})"
    );
    assert!(median < 1.03, "{median}");
}
