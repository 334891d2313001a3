//! The acts of a schedule, carried out.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::runtime::Runtime;

use super::field::{NODES, Redis, SETTLES, Stands};
use super::ledger::{Harm, Ledger};
use super::schedule::{Act, DoorFate, NodeFate, RedisFate, Role, Trouble};
use crate::support::door::eventually;
use crate::support::harbor::{Component, HarborNode, Mode};

/// The cable of a slow node.
const SLOW: &str = "16mbit";

/// Those whom the acts of one track befall.
pub trait Victims {
    /// Looks for the one that is meant; what its trouble may do to clients.
    fn aim(&mut self, act: Act) -> Harm;
    fn befall(&mut self, act: Act);
    fn mend(&mut self, act: Act);
    /// Returns when all is well again.
    fn settle(&self);
}

/// Goes through a track until `over`: each trouble to its end, and a rest before the next, at least as long as it took
/// until all were well again: a slow machine gets a longer one. How many there were.
pub fn follow(
    track: &[Trouble],
    ledger: &Ledger,
    over: impl Fn() -> bool,
    victims: &mut impl Victims,
) -> usize {
    let mut count = 0;
    let mut took = Duration::ZERO;
    for trouble in track {
        let at = Instant::now() + trouble.after.max(took);
        while Instant::now() < at && !over() {
            std::thread::sleep(Duration::from_millis(10));
        }
        if over() {
            break;
        }
        let harm = victims.aim(trouble.act);
        let number = ledger.befalls(trouble.act, harm);
        victims.befall(trouble.act);
        std::thread::sleep(trouble.lasts);
        let mends = Instant::now();
        victims.mend(trouble.act);
        victims.settle();
        took = mends.elapsed();
        ledger.is_over(number);
        count += 1;
    }
    count
}

/// The nodes.
pub struct Nodes<'f, 'a> {
    pub nodes: &'f mut [HarborNode],
    pub stands: Stands<'f, 'a>,
    pub runtime: Runtime,
}

impl Nodes<'_, '_> {
    fn change(&mut self, act: Act, mends: bool) {
        let Act::Node(number, fate) = act else { return };
        let node = &mut self.nodes[number - 1];
        let host = self.stands.lab.host(NODES.start() + number - 1);
        let mode = |trouble| if mends { Mode::Ok } else { trouble };
        let set = |mode| self.runtime.block_on(node.set(Component::Registry, mode));
        match (fate, mends) {
            (NodeFate::Killed, false) => self.runtime.block_on(node.crash()),
            (NodeFate::Killed, true) => self.runtime.block_on(node.revive()),
            (NodeFate::RegistryKilled, _) => set(mode(Mode::Down)),
            (NodeFate::RegistryFrozen, _) => set(mode(Mode::Hung)),
            (NodeFate::Parted, false) => host.isolate(),
            (NodeFate::Parted, true) => host.rejoin(),
            (NodeFate::Slowed, false) => host.slow_down(SLOW),
            (NodeFate::Slowed, true) => host.speed_up(),
        }
    }
}

impl Victims for Nodes<'_, '_> {
    fn aim(&mut self, act: Act) -> Harm {
        match act {
            Act::Node(_, NodeFate::Slowed) => Harm::Nothing,
            _ => Harm::Uploads,
        }
    }

    fn befall(&mut self, act: Act) {
        self.change(act, false);
    }

    fn mend(&mut self, act: Act) {
        self.change(act, true);
    }

    fn settle(&self) {
        self.stands.trusts();
    }
}

impl Victims for &mut Redis<'_> {
    fn aim(&mut self, _: Act) -> Harm {
        Harm::Redis
    }

    fn befall(&mut self, act: Act) {
        match act {
            Act::Redis(RedisFate::Frozen) => self.signal(Signal::SIGSTOP),
            _ => self.signal(Signal::SIGKILL),
        }
    }

    fn mend(&mut self, act: Act) {
        match act {
            Act::Redis(RedisFate::Frozen) => self.signal(Signal::SIGCONT),
            _ => self.revive(),
        }
    }

    fn settle(&self) {}
}

/// The two doors.
pub struct Pair<'f, 'a> {
    pub stands: Stands<'f, 'a>,
    /// Which one is in trouble.
    pub index: usize,
}

impl Victims for Pair<'_, '_> {
    fn aim(&mut self, act: Act) -> Harm {
        let Act::Door(role, fate) = act else {
            return Harm::Nothing;
        };
        let master = self.stands.master();
        let backup = 1 - master;
        self.index = match (role, fate) {
            // A master has nothing to hear.
            (_, DoorFate::Deaf) | (Role::Backup, _) => backup,
            (Role::Master, _) => master,
        };
        match fate {
            // Nothing that we do ourselves.
            DoorFate::Reloaded | DoorFate::TakenOver => Harm::Nothing,
            // A backup that hears nothing takes the address, and one of the two gives it up when they meet again.
            DoorFate::Parted | DoorFate::Deaf => Harm::Connections,
            // A door that is stopped waits for what runs, but the address goes after `vip.release_within`.
            DoorFate::Killed | DoorFate::Frozen | DoorFate::Stopped => match self.index == master {
                true => Harm::Connections,
                false => Harm::Nothing,
            },
        }
    }

    fn befall(&mut self, act: Act) {
        let Act::Door(_, fate) = act else { return };
        let index = self.index;
        let host = self.stands.lab.host(index + 1);
        let mut doors = self.stands.doors();
        doors.well[index] = matches!(
            fate,
            DoorFate::Deaf | DoorFate::Reloaded | DoorFate::TakenOver
        );
        match fate {
            DoorFate::Killed => {
                doors.harvest(index);
                doors.doors[index].crash();
                doors.remember(index);
            }
            DoorFate::Frozen => doors.doors[index].signal(Signal::SIGSTOP),
            DoorFate::Parted => host.isolate(),
            DoorFate::Deaf => host.lose_adverts(1.0),
            DoorFate::Stopped => {
                doors.harvest(index);
                doors.doors[index].signal(Signal::SIGTERM);
            }
            DoorFate::Reloaded => {
                doors.weight = 15 - doors.weight;
                let plan = self.stands.plan(index, doors.weight);
                let door = &doors.doors[index];
                door.rewrite(&plan);
                let label = ["result=\"done\""];
                let done = || door.metric("seawall_config_reloads_total", &label);
                let before = done();
                door.signal(Signal::SIGHUP);
                eventually("it is reloaded", SETTLES, || done() > before);
            }
            DoorFate::TakenOver => {
                doors.harvest(index);
                let elder = doors.doors[index].take_over();
                doors.elders.push(elder);
            }
        }
    }

    fn mend(&mut self, act: Act) {
        let Act::Door(_, fate) = act else { return };
        let index = self.index;
        let host = self.stands.lab.host(index + 1);
        match fate {
            DoorFate::Killed => self.stands.doors().doors[index].start_again(),
            DoorFate::Frozen => self.stands.doors().doors[index].signal(Signal::SIGCONT),
            DoorFate::Parted => host.rejoin(),
            DoorFate::Deaf => host.hear_adverts(),
            DoorFate::Stopped => {
                let ended = || self.stands.doors().doors[index].has_ended();
                eventually("it has drained", SETTLES, ended);
                let mut doors = self.stands.doors();
                doors.doors[index].ends();
                doors.remember(index);
                doors.doors[index].start_again();
            }
            DoorFate::Reloaded | DoorFate::TakenOver => {}
        }
        self.stands.doors().well[index] = true;
    }

    fn settle(&self) {
        self.stands.settles();
    }
}
