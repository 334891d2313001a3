//! Headquarters, province, city: the nearest that has it, and what is far away holds up nobody who does not need it.

use std::time::{Duration, Instant};

use super::{Two, nodes_of, puller, pulls, push, pusher};
use crate::support::apart::Apart;
use crate::support::door::eventually;
use crate::support::harbor::{Component, Dialect, Mode};

/// A city (1), a province (2) and headquarters (3); the province is `distance` away.
async fn tiers(distance: Duration) -> Two {
    let apart = Apart::nodes(Dialect::Harbor2, 3, |options| {
        if options.name == "harbor-2" {
            options.timing.distance = distance;
        }
    })
    .await;
    Two::of(apart, "tiered", |number| format!("tier = {}", number - 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_city_lacks_is_above_it() {
    let two = tiers(Duration::ZERO).await;
    for number in 1..=3 {
        let repository = format!("library/from-{number}");
        two.node(number).push(&repository, "1", &repository).await;
        pulls(&puller(two.a()), &repository, "1").await.unwrap();
    }
    let nodes = nodes_of(two.a(), "blob_read", 6);
    let expected = [1, 1, 2, 2, 3, 3].map(|number| format!("harbor-{number}"));
    assert_eq!(nodes, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_city_that_is_down_is_stood_in_for_by_its_province() {
    let two = tiers(Duration::ZERO).await;
    for number in 1..=2 {
        two.node(number).push("library/both", "1", "both").await;
    }
    two.node(1).set(Component::Registry, Mode::Down).await;
    for _ in 0..8 {
        pulls(&puller(two.a()), "library/both", "1").await.unwrap();
    }
    two.node(1).stop().await;
    for _ in 0..8 {
        pulls(&puller(two.a()), "library/both", "1").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_province_holds_up_only_what_has_to_pass_it() {
    let distance = Duration::from_secs(2);
    let two = tiers(distance).await;
    two.node(1).push("library/near", "1", "near").await;
    two.node(3).push("library/far", "1", "far").await;
    let near = puller(two.a());
    pulls(&near, "library/near", "1").await.unwrap();
    // Many who climb at once, and one who need not.
    let climbing: Vec<_> = (0..16)
        .map(|_| {
            let far = puller(two.a());
            tokio::spawn(async move {
                let began = Instant::now();
                pulls(&far, "library/far", "1").await.unwrap();
                began.elapsed()
            })
        })
        .collect();
    eventually("they climb", super::SOON, || {
        two.a().node("harbor-2")["in_flight"].as_u64() >= Some(8)
    });
    let before = two.node(2).log().entries().len();
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        let began = Instant::now();
        pulls(&near, "library/near", "1").await.unwrap();
        longest = longest.max(began.elapsed());
    }
    // A request that met the province would have waited for it.
    assert!(longest < distance, "{longest:?}");
    let mut far = Vec::new();
    for climber in climbing {
        far.push(climber.await.unwrap());
    }
    far.sort_unstable();
    println!(
        "near: at most {longest:?} for 4 requests; far, past a province {distance:?} away: {:?} to {:?} for 4 requests; {} requests reached the province meanwhile",
        far[0],
        far[15],
        two.node(2).log().entries().len() - before,
    );
    // Manifest by tag, by digest, two blobs: each passes the province once.
    assert!(far[0] >= distance * 4, "{far:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tier_than_the_highest_may_take_what_is_written() {
    let apart = Apart::nodes(Dialect::Harbor2, 3, |_| {}).await;
    let keys = "topology = \"tiered\"\nwrite_tier = 1\n";
    let two = Two::with(apart, keys, |number| format!("tier = {}", number - 1));
    push(&pusher(&two.b), "library/province", "1", "x")
        .await
        .unwrap();
    assert_eq!(two.home("library/province", "1"), 2);
}
