//! One virtual router as a state machine (RFC 9568 §6.4, RFC 3768 §6.4): `now` and events in, actions out.
//!
//! What the RFCs leave to others is here, too: an operator who has it released or claimed, a door that is unfit, and a
//! process that was frozen, whose peer has taken over meanwhile.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Owns the address and is master whenever it lives (RFC 9568 §5.2.4).
const OWNER: u8 = 255;
/// Announced once more so long after taking over: switches and neighbours may have missed the first time.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(5);
/// And from then on so often, since caches forget.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(60);

/// What a virtual router is told to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// 2 or 3.
    pub version: u8,
    /// From one advert to the next, as long as we are master.
    pub interval: Duration,
    /// Whether it takes over from one with a lower priority.
    pub preempt: bool,
    /// How long it waits before it does.
    pub preempt_delay: Duration,
}

/// Where a virtual router stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started.
    Init,
    /// Another one is master, or will be.
    Backup,
    /// This one has the addresses.
    Master,
    /// This door is not fit to have them.
    Fault,
    /// The operator gave them away.
    Released,
}

impl State {
    /// The word for it in the API, logs and metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            State::Init => "init",
            State::Backup => "backup",
            State::Master => "master",
            State::Fault => "fault",
            State::Released => "released",
        }
    }
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an advert with this priority.
    Send(u8),
    /// Add the addresses.
    Hold,
    /// Remove the addresses.
    Drop,
    /// Tell the neighbours where the addresses are.
    Announce,
    /// Tell people.
    Tell(News),
}

/// What people want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It came to stand there.
    Became(State),
    /// Another master was heard while we were master; it is `yielding` to us, or we to it.
    TwoMasters {
        /// Who.
        other: IpAddr,
        /// Whether it is the other one who has to go.
        yielding: bool,
    },
    /// The process did not run for so long that another one must be master by now.
    Froze,
}

/// A master that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Heard {
    address: IpAddr,
    priority: u8,
    interval: Duration,
}

/// One virtual router.
#[derive(Clone, Debug)]
pub struct Machine {
    terms: Terms,
    /// The address that adverts of ours come from.
    own: IpAddr,
    priority: u8,
    state: State,
    since: Instant,
    master: Option<Heard>,
    /// As master: when the next advert is due. As backup: when there is no master any more.
    deadline: Instant,
    announce: Option<Instant>,
    /// When the last advert was sent.
    sent: Instant,
    /// Before that moment a lower master is left in place.
    patient_until: Instant,
    /// Whether the door can serve.
    fit: bool,
    /// Takes over from a lower master although it is told not to: the operator said so.
    claimed: bool,
    actions: Vec<Action>,
}

impl Machine {
    /// A router whose adverts come from `own`, with `priority`, not started.
    pub fn new(terms: Terms, own: IpAddr, priority: u8, now: Instant) -> Self {
        Machine {
            terms,
            own,
            priority,
            state: State::Init,
            since: now,
            master: None,
            deadline: now,
            announce: None,
            sent: now,
            patient_until: now,
            fit: true,
            claimed: false,
            actions: Vec::new(),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// The priority that it advertises.
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// The address of the current master, as far as it is known.
    pub fn master(&self) -> Option<IpAddr> {
        match self.state {
            State::Master => Some(self.own),
            _ => self.master.map(|heard| heard.address),
        }
    }

    /// When [`Machine::tick`] is due; never while nothing is waited for.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Master => Some(
                self.announce
                    .map_or(self.deadline, |at| at.min(self.deadline)),
            ),
            State::Backup => Some(self.deadline),
            State::Init | State::Fault | State::Released => None,
        }
    }

    /// What is to be done since the last call, in order.
    pub fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Begins.
    pub fn start(&mut self, now: Instant) {
        if self.state != State::Init {
            return;
        }
        self.patient_until = now + self.terms.preempt_delay;
        if self.priority == OWNER {
            self.seize(now);
        } else {
            self.stand_by(now);
        }
    }

    /// Goes on as the master that another process on this host was: neighbours and peers learn nothing new.
    pub fn inherit(&mut self, now: Instant) {
        if self.state != State::Init {
            return;
        }
        self.advertise(now);
        self.actions.push(Action::Hold);
        self.announce = Some(now + ANNOUNCE_AGAIN);
        self.enter(State::Master, now);
    }

    /// The last advert before another process goes on: its peers wait for the next one from here.
    pub fn pause(&mut self, now: Instant) {
        if self.state == State::Master {
            self.advertise(now);
        }
    }

    /// Another priority from now on; masters say so with their next advert.
    pub fn set_priority(&mut self, priority: u8, now: Instant) {
        if self.priority == priority {
            return;
        }
        self.priority = priority;
        if self.state == State::Master {
            self.advertise(now);
        }
    }

    /// Adverts of ours come from there from now on.
    pub fn set_source(&mut self, own: IpAddr) {
        self.own = own;
    }

    /// An advert of `from` was heard.
    pub fn heard(&mut self, from: IpAddr, priority: u8, interval: Duration, now: Instant) {
        // Our own, come back by a loop in the network.
        if from == self.own {
            return;
        }
        match self.state {
            State::Master => self.heard_as_master(from, priority, interval, now),
            State::Backup => self.heard_as_backup(from, priority, interval, now),
            // Whoever takes no part still knows who is master.
            State::Init | State::Fault | State::Released => self.note(from, priority, interval),
        }
    }

    fn note(&mut self, address: IpAddr, priority: u8, interval: Duration) {
        self.master = (priority > 0).then_some(Heard {
            address,
            priority,
            interval,
        });
    }

    fn heard_as_master(&mut self, from: IpAddr, priority: u8, interval: Duration, now: Instant) {
        if priority == 0 {
            self.advertise(now);
            return;
        }
        let better = (priority, from) > (self.priority, self.own);
        self.tell(News::TwoMasters {
            other: from,
            yielding: !better,
        });
        if better {
            self.note(from, priority, interval);
            self.actions.push(Action::Drop);
            self.backup(now);
        } else if now >= self.sent + self.terms.interval / 4 {
            // At once, so that the other one goes and neighbours learn of us again; but not for each of a flood.
            self.advertise(now);
            self.actions.push(Action::Announce);
        }
    }

    fn heard_as_backup(&mut self, from: IpAddr, priority: u8, interval: Duration, now: Instant) {
        if priority == 0 {
            self.master = None;
            self.deadline = now + self.skew();
            return;
        }
        let lower = priority < self.priority;
        let first = self
            .master
            .is_none_or(|heard| heard.priority >= self.priority);
        if lower && first {
            self.patient_until = self.patient_until.max(now + self.terms.preempt_delay);
        }
        self.note(from, priority, interval);
        let may_take = self.claimed || (self.terms.preempt && now >= self.patient_until);
        if lower && may_take {
            // Left to run out: then it is ours.
            if self.claimed {
                self.seize(now);
            }
            return;
        }
        self.claimed = false;
        self.deadline = now + self.down();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        match self.state {
            State::Master if now >= self.sent + self.down() => self.lapsed(now),
            State::Master => {
                if now >= self.deadline {
                    self.advertise(now);
                }
                if self.announce.is_some_and(|at| now >= at) {
                    self.actions.push(Action::Announce);
                    self.announce = Some(now + ANNOUNCE_EVERY);
                }
            }
            State::Backup if now >= self.deadline => self.seize(now),
            _ => {}
        }
    }

    /// Nobody heard of us for so long that another one has the addresses by now, or they went by themselves: no fight for
    /// them.
    pub fn lapsed(&mut self, now: Instant) {
        if self.state == State::Master {
            self.tell(News::Froze);
            self.actions.push(Action::Drop);
            self.backup(now);
        }
    }

    /// This door cannot serve, or can again.
    pub fn set_fit(&mut self, fit: bool, now: Instant) {
        self.fit = fit;
        match (fit, self.state) {
            (false, State::Master) => {
                self.resign();
                self.enter(State::Fault, now);
            }
            (false, State::Backup | State::Init) => self.enter(State::Fault, now),
            (true, State::Fault) => {
                self.patient_until = now + self.terms.preempt_delay;
                self.backup(now);
            }
            _ => {}
        }
    }

    /// Gives the addresses away until they are claimed.
    pub fn release(&mut self, now: Instant) {
        match self.state {
            State::Released => return,
            State::Master => self.resign(),
            State::Init | State::Backup | State::Fault => {}
        }
        self.enter(State::Released, now);
    }

    /// Takes part again, and takes over from a lower master at once.
    pub fn claim(&mut self, now: Instant) {
        if matches!(self.state, State::Init | State::Fault | State::Master) {
            return;
        }
        if !self.fit {
            self.enter(State::Fault, now);
            return;
        }
        self.claimed = true;
        let lower = self
            .master
            .is_none_or(|heard| heard.priority < self.priority);
        match lower && self.master.is_some() {
            true => self.seize(now),
            false => self.backup(now),
        }
    }

    /// Another router of the same group became master here, or lost it: this one follows.
    pub fn follow(&mut self, state: State, now: Instant) {
        match (state, self.state) {
            (State::Master, State::Backup) => self.seize(now),
            (State::Backup, State::Master) => {
                self.resign();
                self.backup(now);
            }
            _ => {}
        }
    }

    /// First without the addresses, then the word that nobody has them: the other way round, two would have them if the
    /// word overtook the removal.
    fn resign(&mut self) {
        self.actions.extend([Action::Drop, Action::Send(0)]);
    }

    fn seize(&mut self, now: Instant) {
        // The advert first: whoever else is about to take over hears of it before neighbours do.
        self.advertise(now);
        self.actions.extend([Action::Hold, Action::Announce]);
        self.announce = Some(now + ANNOUNCE_AGAIN);
        self.master = None;
        self.claimed = false;
        self.enter(State::Master, now);
    }

    fn stand_by(&mut self, now: Instant) {
        self.master = None;
        self.backup(now);
    }

    fn backup(&mut self, now: Instant) {
        self.deadline = now + self.down();
        self.enter(State::Backup, now);
    }

    fn enter(&mut self, state: State, now: Instant) {
        if state != State::Master {
            self.announce = None;
        }
        if self.state != state {
            self.state = state;
            self.since = now;
            self.tell(News::Became(state));
        }
    }

    fn advertise(&mut self, now: Instant) {
        self.actions.push(Action::Send(self.priority));
        self.sent = now;
        self.deadline = now + self.terms.interval;
    }

    fn tell(&mut self, news: News) {
        self.actions.push(Action::Tell(news));
    }

    /// The interval that counts: version 3 goes by the master's.
    fn master_interval(&self) -> Duration {
        match (self.terms.version, &self.master) {
            (3, Some(heard)) => heard.interval,
            _ => self.terms.interval,
        }
    }

    /// What the better router waits less than the others.
    fn skew(&self) -> Duration {
        let share = u32::from(OWNER - self.priority) + 1;
        let whole = match self.terms.version {
            3 => self.master_interval(),
            _ => Duration::from_secs(1),
        };
        whole * share / 256
    }

    /// After so long a silence there is no master.
    fn down(&self) -> Duration {
        self.master_interval() * 3 + self.skew()
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
