//! Draining: take no new work, let running work finish, and know what it is.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// A drain that has not begun: the trigger for whoever may begin it, the watch for all who work.
pub fn new() -> (Trigger, Watch) {
    let state = Arc::new(State::default());
    (Trigger(state.clone()), Watch(state))
}

/// Begins the drain and waits for its end.
#[derive(Debug)]
pub struct Trigger(Arc<State>);

/// Tells workers of the drain, and counts them.
#[derive(Clone, Debug)]
pub struct Watch(Arc<State>);

/// A connection that hears of the drain; dropping it says that it has parted. Its goodbye is worth a moment's wait,
/// no more: unlike work, it may be held open by a client that does not answer.
#[derive(Debug)]
pub struct Parting(Arc<State>);

/// A piece of running work; dropping it says that it ended.
#[derive(Debug)]
pub struct Hold {
    state: Arc<State>,
    kind: usize,
}

/// Kinds of work that are told apart; further ones share the last place.
const KINDS: usize = 8;

#[derive(Debug, Default)]
struct State {
    draining: AtomicBool,
    /// Whether idle clients may stay until they ask once more: somebody else serves them from then on.
    gentle: AtomicBool,
    begun: Notify,
    kinds: [(OnceLock<&'static str>, AtomicUsize); KINDS],
    others: AtomicUsize,
    held: AtomicUsize,
    open: AtomicUsize,
    idle: Notify,
    /// How often everybody was asked to go elsewhere although nothing ends here.
    farewells: AtomicUsize,
}

impl State {
    fn count(&self, kind: usize) -> &AtomicUsize {
        self.kinds
            .get(kind)
            .map_or(&self.others, |(_, count)| count)
    }
}

impl Trigger {
    /// Begins the drain, or makes a gentle one a common one. Further calls change nothing.
    pub fn start(&self) {
        let gentle = self.0.gentle.swap(false, SeqCst);
        if !self.0.draining.swap(true, SeqCst) || gentle {
            self.0.begun.notify_waiters();
        }
    }

    /// Begins the drain of a door whose place another process has taken: nobody needs to go in a hurry. An idle
    /// connection of HTTP/1 stays until its next answer, so that no request meets a connection that is being closed.
    pub fn start_gently(&self) {
        self.0.gentle.store(true, SeqCst);
        if !self.0.draining.swap(true, SeqCst) {
            self.0.begun.notify_waiters();
        }
    }

    /// Whether it is a gentle one.
    pub fn is_gentle(&self) -> bool {
        self.0.gentle.load(SeqCst)
    }

    /// Returns when the drain has begun and no work is held.
    pub async fn finished(&self) {
        self.none(&self.0.held).await;
    }

    /// Returns when the drain has begun and no connection is open.
    pub async fn parted(&self) {
        self.none(&self.0.open).await;
    }

    async fn none(&self, count: &AtomicUsize) {
        Watch(self.0.clone()).started().await;
        loop {
            let idle = self.0.idle.notified();
            tokio::pin!(idle);
            // Enlisted before looking, so that a hold dropped in between is not missed.
            idle.as_mut().enable();
            if count.load(SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// What is still held, by kind; kinds of which nothing is held are left out.
    pub fn waiting(&self) -> Vec<(&'static str, usize)> {
        let named = self
            .0
            .kinds
            .iter()
            .filter_map(|(kind, count)| Some((*kind.get()?, count.load(SeqCst))));
        named
            .chain([("other", self.0.others.load(SeqCst))])
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

impl Watch {
    /// Whether new work should be refused.
    pub fn draining(&self) -> bool {
        self.0.draining.load(SeqCst)
    }

    /// Whether there is a drain, and a gentle one.
    pub fn is_gentle(&self) -> bool {
        self.draining() && self.0.gentle.load(SeqCst)
    }

    /// Returns when the drain has begun.
    pub async fn started(&self) {
        loop {
            let begun = self.0.begun.notified();
            tokio::pin!(begun);
            begun.as_mut().enable();
            if self.draining() {
                return;
            }
            begun.await;
        }
    }

    /// Asks every connection that is open now to end after what runs on it: the address that it came by is about to be
    /// somebody else's. New ones are served as before.
    pub fn ask_to_leave(&self) {
        self.0.farewells.fetch_add(1, SeqCst);
        self.0.begun.notify_waiters();
    }

    /// How often that was asked so far; a connection remembers it from its beginning.
    pub fn farewells(&self) -> usize {
        self.0.farewells.load(SeqCst)
    }

    /// Returns when the drain has begun, or when whoever remembers `farewells` was asked to leave since.
    pub async fn goodbye(&self, farewells: usize) {
        self.parts(|| self.draining() || self.farewells() != farewells)
            .await;
    }

    /// The same for a connection that cannot say goodbye without the risk that a request is lost: not in a gentle drain.
    pub async fn dismissal(&self, farewells: usize) {
        let dismissed = || self.draining() && !self.0.gentle.load(SeqCst);
        self.parts(|| dismissed() || self.farewells() != farewells)
            .await;
    }

    async fn parts(&self, now: impl Fn() -> bool) {
        loop {
            let begun = self.0.begun.notified();
            tokio::pin!(begun);
            begun.as_mut().enable();
            if now() {
                return;
            }
            begun.await;
        }
    }

    /// What runs now, of every kind.
    pub fn running(&self) -> usize {
        self.0.held.load(SeqCst)
    }

    /// Tells the trigger of a connection, until the result is dropped.
    pub fn parting(&self) -> Parting {
        self.0.open.fetch_add(1, SeqCst);
        Parting(self.0.clone())
    }

    /// Holds the end of the drain up until the result is dropped. No lock, no allocation. Work that begins during
    /// the drain is waited for as well: refusing it is the caller's part.
    pub fn hold(&self, kind: &'static str) -> Hold {
        let place = self
            .0
            .kinds
            .iter()
            .position(|(slot, _)| *slot.get_or_init(|| kind) == kind)
            .unwrap_or(KINDS);
        self.0.held.fetch_add(1, SeqCst);
        self.0.count(place).fetch_add(1, SeqCst);
        Hold {
            state: self.0.clone(),
            kind: place,
        }
    }
}

impl State {
    fn ended(&self, count: &AtomicUsize) {
        let last = count.fetch_sub(1, SeqCst) == 1;
        // Before the drain nobody waits, and the notification takes a lock.
        if last && self.draining.load(SeqCst) {
            self.idle.notify_waiters();
        }
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        self.0.ended(&self.0.open);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.state.count(self.kind).fetch_sub(1, SeqCst);
        self.state.ended(&self.state.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn is_ready(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn a_drain_ends_when_the_last_hold_is_dropped() {
        let (trigger, watch) = new();
        let first = watch.hold("connection");
        let second = watch.hold("request");
        let mut finished = pin!(trigger.finished());
        assert!(!is_ready(finished.as_mut()));
        trigger.start();
        drop(first);
        assert!(!is_ready(finished.as_mut()));
        assert_eq!(trigger.waiting(), [("request", 1)]);
        drop(second);
        assert!(is_ready(finished.as_mut()));
        assert!(trigger.waiting().is_empty());
    }

    #[test]
    fn without_work_a_drain_ends_at_once_but_not_before_it_begins() {
        let (trigger, _watch) = new();
        let mut finished = pin!(trigger.finished());
        assert!(!is_ready(finished.as_mut()));
        trigger.start();
        assert!(is_ready(finished.as_mut()));
    }

    #[test]
    fn an_open_connection_is_not_work_but_can_be_waited_for() {
        let (trigger, watch) = new();
        let connection = watch.parting();
        trigger.start();
        assert!(is_ready(pin!(trigger.finished())));
        let mut parted = pin!(trigger.parted());
        assert!(!is_ready(parted.as_mut()));
        drop(connection);
        assert!(is_ready(parted.as_mut()));
    }

    #[test]
    fn who_is_asked_to_leave_says_goodbye_and_who_comes_later_stays() {
        let (_trigger, watch) = new();
        let before = watch.farewells();
        let mut early = pin!(watch.goodbye(before));
        assert!(!is_ready(early.as_mut()));
        watch.ask_to_leave();
        assert!(is_ready(early.as_mut()));
        assert!(!is_ready(pin!(watch.goodbye(watch.farewells()))));
        assert!(!watch.draining());
    }

    #[test]
    fn a_gentle_drain_dismisses_nobody_until_it_becomes_a_common_one() {
        let (trigger, watch) = new();
        trigger.start_gently();
        let mut dismissed = pin!(watch.dismissal(0));
        assert!(watch.draining());
        assert!(is_ready(pin!(watch.goodbye(0))));
        assert!(!is_ready(dismissed.as_mut()));
        trigger.start();
        assert!(is_ready(dismissed.as_mut()));
        assert!(!trigger.is_gentle());
    }

    #[test]
    fn everybody_who_watches_learns_of_the_start() {
        let (trigger, watch) = new();
        let other = watch.clone();
        let mut early = pin!(watch.started());
        assert!(!is_ready(early.as_mut()));
        assert!(!other.draining());
        trigger.start();
        assert!(is_ready(early.as_mut()));
        assert!(is_ready(pin!(other.started())));
        assert!(other.draining());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_end_is_missed_when_holds_are_dropped_at_the_same_time() {
        for _ in 0..500 {
            let (trigger, watch) = new();
            for _ in 0..4 {
                let hold = watch.hold("request");
                tokio::spawn(async move { drop(hold) });
            }
            trigger.start();
            trigger.finished().await;
        }
    }
}
