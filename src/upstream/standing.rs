//! What is known of a node at this moment, readable by every request without a lock.
//!
//! Three kinds of evidence come together here: what probes say of each component, what traffic found out (a lane of
//! the node that keeps failing is ejected for a while), and what the operator wants. A component gates only the classes
//! that need it (`Class::needs`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::clock;
use super::ejection::Ejection;
use crate::balance::ewma::Ewma;
use crate::harbor::circuit::Circuit;
use crate::harbor::class::Class;
use crate::harbor::component::{Component, Components};
use crate::harbor::dialect::Dialect;
use crate::harbor::health::Verdict;
use crate::health::gauge::Gauge;
use crate::health::history::History;
use crate::health::outlier::Outlier;
use crate::health::slow_start;
use crate::health::threshold::Threshold;
use crate::session::word::Wish;

/// A component as the status shows it.
#[derive(Clone, Debug)]
pub struct ComponentStanding {
    /// Whether it is up; `None` before the first word.
    pub up: Option<bool>,
    /// Since when.
    pub since: SystemTime,
    /// Why it is down.
    pub reason: String,
}

/// What no node of a cluster has: one success of a probe is enough to bring it back.
#[derive(Clone, Copy, Debug)]
pub struct Lacking {
    /// Components that are down on every node.
    pub components: Components,
    /// No node accepts connections.
    pub connection: bool,
}

/// What a round of probes changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// A component came up or went down, with the reason.
    Component(Component, bool, String),
    /// The node accepts connections again, or no longer.
    Reachable(bool),
}

struct Watched {
    threshold: Threshold,
    shown: ComponentStanding,
}

/// The live state of a node.
pub struct Standing {
    /// Components that are down, as bits.
    down: AtomicU16,
    reachable: AtomicBool,
    probed: AtomicBool,
    wish: AtomicU8,
    turns: AtomicU64,
    /// The time of what was open when maintenance began is over.
    closed: AtomicBool,
    dialect: AtomicU8,
    /// Milliseconds at which the node last came (back) into service; 0 before that.
    serving_since: AtomicU64,
    /// Milliseconds until which it is believed to refuse what writes; 0: it never said so.
    reads_until: AtomicU64,
    watched: Mutex<BTreeMap<Component, Watched>>,
    reach: Mutex<Threshold>,
    version: Mutex<Option<String>>,
    /// What traffic found out.
    pub ejection: Ejection,
    /// What its requests are like.
    pub gauge: Gauge,
    /// The same over the last seconds, for who compares nodes.
    pub history: Mutex<History>,
    /// How long it takes to begin an answer.
    pub latency: Ewma,
}

impl Standing {
    /// A node that nobody has asked yet: believed to be well until the first probe says otherwise.
    pub fn new(outlier: &Outlier) -> Self {
        Standing {
            down: AtomicU16::new(0),
            reachable: AtomicBool::new(true),
            probed: AtomicBool::new(false),
            wish: AtomicU8::new(0),
            turns: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            dialect: AtomicU8::new(0),
            serving_since: AtomicU64::new(0),
            reads_until: AtomicU64::new(0),
            ejection: Ejection::new(outlier),
            gauge: Gauge::new(Class::ALL.len(), Circuit::ALL.len()),
            history: Mutex::default(),
            watched: Mutex::default(),
            reach: Mutex::new(Threshold::new(1, 1)),
            version: Mutex::default(),
            latency: Ewma::default(),
        }
    }
}

/// How long a node that said it only reads is believed, in milliseconds.
const ONLY_READS: u64 = 10_000;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Standing {
    /// Whether probes and the operator let requests of `class` go there.
    pub fn serves(&self, class: Class) -> bool {
        self.accepts() && !self.down().intersects(class.needs())
    }

    /// It said that it only reads: for a while it gets nothing to write.
    pub fn said_it_only_reads(&self) {
        self.reads_until
            .store(clock::millis() + ONLY_READS, Ordering::Relaxed);
    }

    /// Whether it said so a moment ago.
    pub fn only_reads(&self) -> bool {
        self.reads_until.load(Ordering::Relaxed) > clock::millis()
    }

    /// Whether it may take new work at all: it accepts connections and nobody asked it to rest.
    pub fn accepts(&self) -> bool {
        self.reachable.load(Ordering::Relaxed) && self.wish() == Wish::Ready
    }

    /// Whether what began there may be finished there: the operator's drain does not send it away, nor does maintenance
    /// until its time is over.
    pub fn finishes(&self, class: Class) -> bool {
        let open = self.wish() != Wish::Maintenance || !self.closed.load(Ordering::Relaxed);
        open && self.reachable() && !self.down().intersects(class.needs())
    }

    /// Says that what is open there has had its time: nothing is finished there any more. Ends with another wish.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Whether the last probe could connect.
    pub fn reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }

    /// Whether any probe has spoken yet.
    pub fn probed(&self) -> bool {
        self.probed.load(Ordering::Relaxed)
    }

    /// The components that are down.
    pub fn down(&self) -> Components {
        Components::from_bits(self.down.load(Ordering::Relaxed))
    }

    /// What the operator wants of it.
    pub fn wish(&self) -> Wish {
        match self.wish.load(Ordering::Relaxed) {
            1 => Wish::Drain,
            2 => Wish::Maintenance,
            _ => Wish::Ready,
        }
    }

    /// Records what the operator wants of it. What traffic held against it is forgotten once it may serve again.
    pub fn set_wish(&self, wish: Wish) {
        let before = self.wish.swap(wish as u8, Ordering::Relaxed);
        if wish == Wish::Ready && before != wish as u8 {
            self.ejection.pardon();
        }
        if before != wish as u8 {
            self.turns.fetch_add(1, Ordering::Relaxed);
        }
        if wish != Wish::Maintenance {
            self.closed.store(false, Ordering::Relaxed);
        }
    }

    /// How often the operator has changed their mind: what was set going for one wish shall not end another.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// The dialect that probes found, if any.
    pub fn dialect(&self) -> Option<Dialect> {
        match self.dialect.load(Ordering::Relaxed) {
            1 => Some(Dialect::Harbor2),
            2 => Some(Dialect::Harbor1),
            3 => Some(Dialect::Harbor15),
            4 => Some(Dialect::Registry),
            _ => None,
        }
    }

    /// Asks anew what runs there: the node answers as none of its dialect does.
    pub fn forget_dialect(&self) {
        self.dialect.store(0, Ordering::Relaxed);
    }

    /// Records the dialect.
    pub fn set_dialect(&self, dialect: Dialect) {
        let code = match dialect {
            Dialect::Harbor2 => 1,
            Dialect::Harbor1 => 2,
            Dialect::Harbor15 => 3,
            Dialect::Registry => 4,
        };
        self.dialect.store(code, Ordering::Relaxed);
    }

    /// Harbor's version, where it says so.
    pub fn version(&self) -> Option<String> {
        lock(&self.version).clone()
    }

    /// The share of its weight a node gets of a circuit while it warms up, 0.1 to 1.
    pub fn share(&self, circuit: Circuit, window: Duration, now: Instant) -> f32 {
        let since = self.serving_since.load(Ordering::Relaxed);
        slow_start::share_at(since, clock::since_start(now), window)
            .min(self.ejection.share(circuit, window, now))
    }

    /// The components and what is known of each, for people.
    pub fn components(&self) -> BTreeMap<Component, ComponentStanding> {
        lock(&self.watched)
            .iter()
            .map(|(component, watched)| (*component, watched.shown.clone()))
            .collect()
    }

    /// Takes in what a round of probes proved. Of what the cluster is `lacking`, one success is enough.
    pub fn learn(&self, verdict: &Verdict, rise: u32, fall: u32, lacking: Lacking) -> Vec<Change> {
        let mut changes = Vec::new();
        let first = !self.probed.swap(true, Ordering::Relaxed);
        {
            let mut reach = lock(&self.reach);
            reach.set_limits(rise, fall);
            let flipped = if verdict.reachable {
                reach.good(lacking.connection)
            } else {
                reach.bad()
            };
            if let Some(up) = flipped {
                let before = self.reachable.swap(up, Ordering::Relaxed);
                if before != up {
                    changes.push(Change::Reachable(up));
                }
            }
        }
        let mut watched = lock(&self.watched);
        let mut down = self.down();
        let words = verdict
            .good
            .iter()
            .map(|c| (c, true))
            .chain(verdict.bad.iter().map(|c| (c, false)));
        for (component, good) in words {
            // A node that cannot be reached says nothing of parts that nobody saw there: it may not have them, and
            // then nobody would ever call them well again.
            if !verdict.reachable && !watched.contains_key(&component) {
                continue;
            }
            let entry = watched.entry(component).or_insert_with(|| Watched {
                threshold: Threshold::new(rise, fall),
                shown: ComponentStanding {
                    up: None,
                    since: SystemTime::now(),
                    reason: String::new(),
                },
            });
            entry.threshold.set_limits(rise, fall);
            let flipped = if good {
                entry.threshold.good(lacking.components.contains(component))
            } else {
                entry.threshold.bad()
            };
            let Some(up) = flipped else { continue };
            let reason = verdict
                .reasons
                .iter()
                .find(|(of, _)| *of == component)
                .map(|(_, why)| why.clone())
                .unwrap_or_default();
            let before = entry.shown.up;
            entry.shown = ComponentStanding {
                up: Some(up),
                since: SystemTime::now(),
                reason: if up { String::new() } else { reason.clone() },
            };
            let one = Components::of(&[component]);
            down = if up { down.minus(one) } else { down.union(one) };
            if before.is_some() || !up {
                changes.push(Change::Component(component, up, reason));
            }
        }
        drop(watched);
        let before = self.down.swap(down.bits(), Ordering::Relaxed);
        if let Some(version) = &verdict.version {
            *lock(&self.version) = Some(version.clone());
        }
        let mended = Components::from_bits(before).minus(down);
        let came_back = changes.contains(&Change::Reachable(true))
            || Class::ALL
                .iter()
                .any(|class| mended.intersects(class.needs()));
        if came_back && !first {
            self.serving_since.store(clock::millis(), Ordering::Relaxed);
            self.ejection.pardon();
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harbor::health::AccountWord;

    const NOTHING: Lacking = Lacking {
        components: Components::EMPTY,
        connection: false,
    };

    fn verdict(good: Components, bad: Components, reachable: bool) -> Verdict {
        Verdict {
            good,
            bad,
            reachable,
            reasons: Vec::new(),
            account: AccountWord::NotTried,
            version: None,
        }
    }

    #[test]
    fn a_part_that_a_node_does_not_have_is_not_down_after_an_outage() {
        let standing = Standing::new(&Outlier::new(5, Duration::ZERO, Duration::ZERO));
        let has = Components::of(&[Component::Core, Component::Registry]);
        let well = verdict(has, Components::EMPTY, true);
        let gone = verdict(Components::EMPTY, Components::ALL, false);
        for word in [&well, &gone, &well] {
            standing.learn(word, 1, 1, NOTHING);
        }
        assert_eq!(standing.down(), Components::EMPTY);
        assert!(!standing.components().contains_key(&Component::Trivy));
    }

    #[test]
    fn the_parts_that_a_node_has_are_down_while_it_cannot_be_reached() {
        let standing = Standing::new(&Outlier::new(5, Duration::ZERO, Duration::ZERO));
        let has = Components::of(&[Component::Core, Component::Registry]);
        standing.learn(&verdict(has, Components::EMPTY, true), 1, 1, NOTHING);
        let gone = verdict(Components::EMPTY, Components::ALL, false);
        standing.learn(&gone, 1, 1, NOTHING);
        assert_eq!(standing.down(), has);
    }

    #[test]
    fn an_ejection_ends_when_the_operator_lets_the_node_serve_again() {
        let minute = Duration::from_secs(60);
        let standing = Standing::new(&Outlier::new(1, minute, minute));
        standing.set_wish(Wish::Maintenance);
        assert!(standing.ejection.failed(Circuit::Pull, || true).is_some());
        standing.set_wish(Wish::Drain);
        assert!(standing.ejection.is_out(Circuit::Pull));
        standing.set_wish(Wish::Ready);
        assert!(!standing.ejection.is_out(Circuit::Pull));
        // Said again, it changes nothing.
        assert!(standing.ejection.failed(Circuit::Pull, || true).is_some());
        standing.set_wish(Wish::Ready);
        assert!(standing.ejection.is_out(Circuit::Pull));
    }

    #[test]
    fn an_ejection_ends_when_probes_see_the_node_come_back() {
        let standing = Standing::new(&Outlier::new(
            1,
            Duration::from_secs(60),
            Duration::from_secs(60),
        ));
        let core = Components::of(&[Component::Core]);
        standing.learn(&verdict(core, Components::EMPTY, true), 1, 1, NOTHING);
        standing.learn(&verdict(Components::EMPTY, core, true), 1, 1, NOTHING);
        assert!(standing.ejection.failed(Circuit::Pull, || true).is_some());
        assert!(standing.ejection.is_out(Circuit::Pull));
        standing.learn(&verdict(core, Components::EMPTY, true), 1, 1, NOTHING);
        assert!(!standing.ejection.is_out(Circuit::Pull));
    }
}
