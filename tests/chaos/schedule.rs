//! What befalls whom, and when: a pure function of a seed.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

/// What befalls a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeFate {
    /// `kill -9` of everything: connections are reset, nobody listens.
    Killed,
    /// `kill -9` of its registry alone.
    RegistryKilled,
    /// `kill -STOP` of its registry.
    RegistryFrozen,
    /// Nothing passes between it and the others.
    Parted,
    /// Its cable carries little.
    Slowed,
}

/// What befalls the Redis that all share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RedisFate {
    /// `kill -9`; it comes back empty.
    Killed,
    /// `kill -STOP`.
    Frozen,
}

/// What befalls a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoorFate {
    /// `kill -9`.
    Killed,
    /// `kill -STOP`.
    Frozen,
    /// Nothing passes between it and the others.
    Parted,
    /// It hears no adverts, so that both have the address.
    Deaf,
    /// SIGTERM, and a start afterwards.
    Stopped,
    /// SIGHUP with another weight.
    Reloaded,
    /// An upgrade: another process takes over.
    TakenOver,
}

/// One of the doors, by who has the address at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Master,
    Backup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// The node of that number, from 1.
    Node(usize, NodeFate),
    Redis(RedisFate),
    Door(Role, DoorFate),
}

/// One trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// How long all of its track are well before it begins, at the least.
    pub after: Duration,
    pub lasts: Duration,
    pub act: Act,
}

/// Troubles of one kind of thing, one after the other.
pub type Track = Vec<Trouble>;

/// Three tracks: while a node is in trouble no other node is, and likewise a door; all three may be at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub nodes: Track,
    pub redis: Track,
    pub doors: Track,
}

/// Between the end of one trouble and the next of its track, in milliseconds.
const REST: Range<u64> = 2000..4000;
/// The same for Redis, without which Harbor takes no layer.
const REDIS_RESTS: Range<u64> = 8000..16000;

impl Schedule {
    /// Troubles of `nodes` nodes, two doors and a Redis for `length`.
    pub fn new(seed: u64, nodes: usize, length: Duration) -> Schedule {
        use DoorFate::{Deaf, Frozen, Killed, Parted, Reloaded, Stopped, TakenOver};
        let mut rng = Rng::with_seed(seed);
        let (mut of_nodes, mut of_redis, mut of_doors) = (rng.fork(), rng.fork(), rng.fork());
        let fates = [
            NodeFate::Killed,
            NodeFate::RegistryKilled,
            NodeFate::RegistryFrozen,
            NodeFate::Parted,
            NodeFate::Slowed,
        ];
        let mut door = of_doors.fork();
        let mut node = of_nodes.fork();
        Schedule {
            nodes: track(&mut of_nodes, (length, REST), &fates, |fate| {
                Act::Node(node.usize(1..=nodes), fate)
            }),
            redis: track(
                &mut of_redis,
                (length, REDIS_RESTS),
                &[RedisFate::Killed, RedisFate::Frozen],
                Act::Redis,
            ),
            doors: track(
                &mut of_doors,
                (length, REST),
                &[Killed, Frozen, Parted, Deaf, Stopped, Reloaded, TakenOver],
                |fate| {
                    // The one with the address is the one that matters.
                    let master = door.u8(..4) > 0;
                    let role = if master { Role::Master } else { Role::Backup };
                    Act::Door(role, fate)
                },
            ),
        }
    }
}

/// Every fate once before any comes again, in an order of the seed's.
fn track<F: Copy>(
    rng: &mut Rng,
    (length, rest): (Duration, Range<u64>),
    fates: &[F],
    mut act: impl FnMut(F) -> Act,
) -> Track {
    let mut track = Track::new();
    let mut bag = Vec::new();
    let mut begun = Duration::ZERO;
    while begun < length {
        if bag.is_empty() {
            bag.extend_from_slice(fates);
            rng.shuffle(&mut bag);
        }
        let Some(fate) = bag.pop() else { break };
        let (after, lasts) = (millis(rng, rest.clone()), millis(rng, 1000..5000));
        let act = act(fate);
        track.push(Trouble { after, lasts, act });
        begun += after + lasts;
    }
    track
}

fn millis(rng: &mut Rng, range: Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(300);

    fn tracks(schedule: &Schedule) -> [&Track; 3] {
        [&schedule.nodes, &schedule.redis, &schedule.doors]
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_one_another() {
        for seed in 0..20 {
            let first = Schedule::new(seed, 3, LENGTH);
            assert_eq!(first, Schedule::new(seed, 3, LENGTH));
            assert_ne!(first, Schedule::new(seed + 1, 3, LENGTH));
        }
    }

    #[test]
    fn every_trouble_ends_and_a_rest_follows() {
        for seed in 0..100 {
            let schedule = Schedule::new(seed, 3, LENGTH);
            for track in tracks(&schedule) {
                for trouble in track {
                    assert!(trouble.after >= Duration::from_secs(2));
                    assert!(trouble.lasts < Duration::from_secs(5));
                }
                let all: Duration = track.iter().map(|one| one.after + one.lasts).sum();
                assert!(all >= LENGTH);
            }
        }
    }

    #[test]
    fn whatever_can_happen_happens_within_a_minute() {
        for seed in 0..100 {
            let schedule = Schedule::new(seed, 3, Duration::from_secs(60));
            let mut fates: Vec<String> = tracks(&schedule)
                .into_iter()
                .flatten()
                .map(|trouble| match trouble.act {
                    Act::Node(_, fate) => format!("node {fate:?}"),
                    Act::Redis(fate) => format!("redis {fate:?}"),
                    Act::Door(_, fate) => format!("door {fate:?}"),
                })
                .collect();
            fates.sort();
            fates.dedup();
            assert_eq!(fates.len(), 5 + 2 + 7, "{seed}: {fates:?}");
        }
    }

    #[test]
    fn the_node_is_one_of_those_there_are() {
        let schedule = Schedule::new(7, 3, LENGTH);
        let mut seen: Vec<usize> = (schedule.nodes.iter())
            .filter_map(|trouble| match trouble.act {
                Act::Node(number, _) => Some(number),
                _ => None,
            })
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [1, 2, 3]);
    }
}
