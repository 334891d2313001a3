//! Clients push, pull and look while a seed decides who is killed, frozen, slowed, cut off, reloaded or upgraded.
//!
//! What must hold: whatever was acknowledged is there at the end, whole, through each door. No pull fails for good. A
//! push fails only while its bytes are on their way to a node or through a door that is in trouble, and succeeds when its
//! client tries again. A session at the pages lasts as long as Harbor remembers it. The tests of [`ledger`] say which trouble
//! excuses what: an upgrade, a reload and a slow node excuse nothing.
//!
//! Times are about a fifth of real ones, on both sides: clients wait that much less before they try again, and troubles
//! come every few seconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod client;
mod field;
mod hand;
mod image;
mod ledger;
mod page;
mod report;
mod schedule;
mod trouble;
mod wire;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::client::{Client, Style};
use self::field::{CLIENTS, Field, HOSTS, NODES};
use self::hand::Hand;
use self::ledger::Ledger;
use self::report::Report;
use self::schedule::Schedule;
use self::trouble::{Nodes, Pair};
use self::wire::Wire;
use crate::support::clients::Far;
use crate::support::clients::skopeo::Skopeo;
use crate::support::door::eventually;
use crate::support::netns::Lab;
use crate::support::vip::PORT;

/// Those who work at each host of clients, besides one with skopeo at the last.
const HANDS: usize = 2;

/// What a run is made of.
struct Run {
    seed: u64,
    length: Duration,
    /// Pushes and pulls at least: on a slow machine it goes on for longer.
    least: usize,
}

impl Run {
    /// Carries it out; fails if anything happened that must not.
    fn go(&self) {
        let Some(lab) = Lab::new(HOSTS) else { return };
        let wrong = self.carry_out(&lab);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// What happened that must not.
    fn carry_out(&self, lab: &Lab) -> Vec<String> {
        let mut field = Field::new(lab);
        // Longer than any run: those that the clients did not live to see do not happen.
        let schedule = Schedule::new(self.seed, NODES.count(), self.length * 4);
        let ledger = Ledger::new();
        println!("chaos with seed {}", self.seed);
        let troubles = self.work(&mut field, &schedule, &ledger);
        let worked = ledger.begun.elapsed();
        for number in CLIENTS {
            lab.host(number).speed_up();
        }
        let mut report = Report::of(&ledger);
        let troubles = troubles.unwrap_or_else(|| {
            let what = "the troubles, or the clients, did not come to their end: see above";
            report.wrong.push(what.to_owned());
            0
        });
        let lost = verify(&field, &ledger);
        let stands = field.stands();
        let mut doors = stands.doors();
        for elder in &mut doors.elders {
            eventually("the elders end", Duration::from_secs(60), || {
                elder.has_ended()
            });
            let status = elder.wait();
            if !status.success() {
                report.wrong.push(format!("an elder ended with {status}"));
            }
        }
        (0..2).for_each(|index| doors.harvest(index));
        for (name, value) in doors.counted() {
            report.line(name, &value.to_string());
        }
        report.line(
            "acknowledged and compared",
            &ledger.images().len().to_string(),
        );
        report.line("lost or corrupt", &lost.len().to_string());
        report.wrong.extend(lost);
        println!(
            "chaos with seed {}: {} pushes and pulls under {troubles} troubles in {worked:?}\n{}\
             again: make chaos SEED={} SECONDS={}",
            self.seed,
            ledger.carried(),
            report.text,
            self.seed,
            self.length.as_secs(),
        );
        assert!(ledger.carried() >= self.least);
        if !report.wrong.is_empty() {
            let file = std::env::temp_dir().join(format!("seawall-chaos-{}.log", self.seed));
            std::fs::write(&file, doors.log()).unwrap();
            println!("what the doors said is in {}", file.display());
        }
        report.wrong
    }

    /// Lets all work until it is over; how many troubles there were, unless somebody panicked.
    fn work(&self, field: &mut Field<'_>, schedule: &Schedule, ledger: &Ledger) -> Option<usize> {
        let until = ledger.begun + self.length;
        let stopped = AtomicBool::new(false);
        let over = || {
            let done = Instant::now() >= until && ledger.carried() >= self.least;
            done || stopped.load(Ordering::Relaxed)
        };
        let (over, stopped) = (&over, &stopped);
        let (lab, ca, seed) = (field.lab, field.ca(), self.seed);
        let (nodes, mut redis, [of_nodes, of_doors]) = field.parts();
        std::thread::scope(|scope| {
            let mut hands = Vec::new();
            for (host, turn) in CLIENTS.flat_map(|host| (0..HANDS).map(move |turn| (host, turn))) {
                let hand = Hand::new(seed, (host - CLIENTS.start()) * HANDS + turn, ledger);
                let wire = Wire::new((field::vip(), PORT).into(), &field::registry(), &ca);
                hands.push(scope.spawn(move || {
                    let _all = Stop(stopped);
                    lab.host(host).inside(async || hand.work(wire, over).await);
                }));
            }
            hands.push(scope.spawn(|| {
                let _all = Stop(stopped);
                let far = Far {
                    namespace: &lab.host(*CLIENTS.end()).name,
                    registry: &field::registry(),
                    ca: &ca,
                };
                let skopeo = Skopeo::far(&far);
                let login = || skopeo.login("admin", "Harbor12345").ok;
                eventually("a login", Duration::from_secs(30), login);
                Hand::new(seed, CLIENTS.count() * HANDS, ledger).carry(&skopeo, over);
            }));
            let nodes = scope.spawn(move || {
                let _all = Stop(stopped);
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let mut nodes = Nodes {
                    nodes,
                    stands: of_nodes,
                    runtime,
                };
                trouble::follow(&schedule.nodes, ledger, over, &mut nodes)
            });
            let redis = scope.spawn(move || {
                let _all = Stop(stopped);
                trouble::follow(&schedule.redis, ledger, over, &mut redis)
            });
            let doors = scope.spawn(move || {
                let _all = Stop(stopped);
                let mut pair = Pair {
                    stands: of_doors,
                    index: 0,
                };
                trouble::follow(&schedule.doors, ledger, over, &mut pair)
            });
            let tracks = [nodes, redis, doors].map(std::thread::ScopedJoinHandle::join);
            let hands: Vec<_> = hands
                .into_iter()
                .map(std::thread::ScopedJoinHandle::join)
                .collect();
            if hands.iter().any(Result::is_err) {
                return None;
            }
            tracks.into_iter().map(Result::ok).sum()
        })
    }
}

/// Ends the run for all when one of them panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Pulls everything that was acknowledged through each door; what is lost or corrupt.
fn verify(field: &Field<'_>, ledger: &Ledger) -> Vec<String> {
    let lost = Mutex::new(Vec::new());
    let images = ledger.images();
    let shares: Vec<_> = images
        .chunks(images.len().div_ceil(CLIENTS.count()).max(1))
        .collect();
    std::thread::scope(|scope| {
        for (share, number) in shares.into_iter().zip(CLIENTS) {
            for door in 1..=2 {
                let lost = &lost;
                scope.spawn(move || {
                    let address = (field.lab.host(door).ipv4, PORT).into();
                    let wire = Wire::new(address, &field::registry(), &field.ca());
                    let mut client = Client::new(wire, Style::Docker);
                    let pulls = async || {
                        for image in share {
                            let (mut none, tag) = (BTreeSet::new(), &image.tag);
                            let pulled = client.pull(image, tag, &mut none).await;
                            if let Err(failure) = pulled {
                                let name = format!("{}:{tag}", image.repository);
                                let what = format!("{name} through door {door}: {failure:?}");
                                lost.lock().unwrap().push(what);
                            }
                        }
                    };
                    field.lab.host(number).inside(pulls);
                });
            }
        }
    });
    lost.into_inner().unwrap()
}

#[test]
fn nothing_is_lost_and_no_pull_fails_whatever_a_seed_brings() {
    Run {
        seed: 1,
        length: Duration::from_secs(45),
        least: 60,
    }
    .go();
}

/// Of the environment, e.g. `SECONDS=600`.
fn told(name: &str, default: u64) -> u64 {
    let said = std::env::var(format!("CHAOS_{name}")).unwrap_or_default();
    match said.is_empty() {
        true => default,
        false => said
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    }
}

#[test]
#[ignore = "takes as long as it is told to; make chaos"]
fn nothing_is_lost_and_no_pull_fails_for_as_long_as_told() {
    Run {
        seed: told("SEED", 1),
        length: Duration::from_secs(told("SECONDS", 600)),
        least: 60,
    }
    .go();
}
