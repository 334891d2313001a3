//! Passive evidence: a circuit of a node whose answers keep failing, or come too late, is left out for a while.
//!
//! Judged per circuit, since a dead registry behind a living core fails pushes and pulls and nothing else. How many nodes
//! may be out at once is the cluster's to say. After its term, a circuit is on trial: one request at a time, every so often.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::clock;
use crate::harbor::circuit::Circuit;
use crate::health::outlier::Outlier;
use crate::health::slow_start;

/// Of so many requests of a circuit, one goes to a node on trial.
const ONE_OF: u32 = 200;
/// Milliseconds from one request of a trial to the next, at least.
const PAUSE: u64 = 250;
/// Where there is little traffic, one of them is sent after so many milliseconds.
const AT_LAST: u64 = 5_000;
/// Milliseconds after the end of its term when a circuit that nobody asks for is let in without a trial.
const UNASKED: u64 = 30_000;

struct Seat {
    /// Whether the last answers failed: only then does a success need the lock.
    suspect: AtomicBool,
    /// Milliseconds of [`clock`] at which the term ends or ended; 0: it serves.
    until: AtomicU64,
    /// When it came back, for the slow start; 0: it was never out.
    back: AtomicU64,
    /// When the request of its trial that runs now was sent; 0: none runs.
    trying: AtomicU64,
    /// When the last one was sent.
    tried: AtomicU64,
    /// Requests that went elsewhere since then.
    passed: AtomicU32,
    outlier: Mutex<Outlier>,
}

impl Seat {
    fn new(fresh: &Outlier) -> Self {
        Seat {
            suspect: AtomicBool::new(false),
            until: AtomicU64::new(0),
            back: AtomicU64::new(0),
            trying: AtomicU64::new(0),
            tried: AtomicU64::new(0),
            passed: AtomicU32::new(0),
            outlier: Mutex::new(fresh.clone()),
        }
    }

    fn outlier(&self) -> MutexGuard<'_, Outlier> {
        self.outlier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what became of `outlier`, whose lock is held.
    fn show(&self, outlier: &Outlier) {
        let until = outlier.ends().map_or(0, clock::since_start);
        self.trying.store(0, Relaxed);
        self.tried.store(until, Relaxed);
        self.passed.store(0, Relaxed);
        self.until.store(until, Relaxed);
    }

    fn let_in(&self, outlier: &mut Outlier, now: Instant) {
        outlier.come_back(now);
        self.back.store(clock::since_start(now), Relaxed);
        self.show(outlier);
    }
}

/// A request that a node on trial got: what becomes of it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test(u64);

/// What traffic found out about a node.
pub struct Ejection {
    seats: [Seat; Circuit::ALL.len()],
}

impl Ejection {
    /// Nothing held against the node; `fresh` says how it is judged.
    pub fn new(fresh: &Outlier) -> Self {
        Ejection {
            seats: Circuit::ALL.map(|_| Seat::new(fresh)),
        }
    }

    fn seat(&self, circuit: Circuit) -> &Seat {
        let [pull, push, token, api, ui] = &self.seats;
        match circuit {
            Circuit::Pull => pull,
            Circuit::Push => push,
            Circuit::Token => token,
            Circuit::Api => api,
            Circuit::Ui => ui,
        }
    }

    /// Whether the circuit is left out at the moment, or on trial.
    pub fn is_out(&self, circuit: Circuit) -> bool {
        self.seat(circuit).until.load(Relaxed) != 0
    }

    /// The share of its weight that the circuit gets while it warms up after an ejection, 0.1 to 1.
    pub fn share(&self, circuit: Circuit, window: Duration, now: Instant) -> f32 {
        let back = self.seat(circuit).back.load(Relaxed);
        slow_start::share_at(back, clock::since_start(now), window)
    }

    /// An answer of the circuit that was no failure.
    pub fn went_well(&self, circuit: Circuit) {
        let seat = self.seat(circuit);
        if seat.suspect.load(Relaxed) && seat.suspect.swap(false, Relaxed) {
            seat.outlier().success();
        }
    }

    /// A failure of the circuit. Says for how long it is out, if it is from now on; `may_eject` is asked only then.
    pub fn failed(&self, circuit: Circuit, may_eject: impl FnOnce() -> bool) -> Option<Duration> {
        let seat = self.seat(circuit);
        seat.suspect.store(true, Relaxed);
        let now = Instant::now();
        let mut outlier = seat.outlier();
        if !outlier.failure(now) {
            return None;
        }
        if !may_eject() {
            outlier.pardon();
            return None;
        }
        seat.show(&outlier);
        Some(outlier.ends()?.saturating_duration_since(now))
    }

    /// Takes the circuit out for another reason. Says for how long, unless it is out already.
    pub fn eject(&self, circuit: Circuit, now: Instant) -> Option<Duration> {
        let seat = self.seat(circuit);
        let mut outlier = seat.outlier();
        if outlier.is_held() {
            return None;
        }
        let term = outlier.eject(now);
        seat.show(&outlier);
        Some(term)
    }

    /// Counts a request that could go to the circuit if it were not out, and says whether it shall: its term is over, none
    /// of its trial runs, and it is time for one.
    pub fn tests(&self, circuit: Circuit, now: Instant) -> Option<Test> {
        let seat = self.seat(circuit);
        let until = seat.until.load(Relaxed);
        if until == 0 {
            return None;
        }
        let now = clock::since_start(now);
        if now < until || seat.trying.load(Relaxed) != 0 {
            return None;
        }
        let passed = seat.passed.fetch_add(1, Relaxed).saturating_add(1);
        let since = now.saturating_sub(seat.tried.load(Relaxed));
        let due = since >= AT_LAST || (since >= PAUSE && passed >= ONE_OF);
        if !due
            || seat
                .trying
                .compare_exchange(0, now, Relaxed, Relaxed)
                .is_err()
        {
            return None;
        }
        seat.tried.store(now, Relaxed);
        seat.passed.store(0, Relaxed);
        Some(Test(now))
    }

    /// A request of the trial was answered well. True when that lets the circuit in again.
    pub fn stood(&self, circuit: Circuit, test: Test) -> bool {
        let seat = self.seat(circuit);
        let mut outlier = seat.outlier();
        if seat.trying.load(Relaxed) != test.0 {
            return false;
        }
        seat.trying.store(0, Relaxed);
        let now = Instant::now();
        let back = outlier.stands_the_test(now);
        if back {
            seat.let_in(&mut outlier, now);
        }
        back
    }

    /// A request of the trial failed, or its answer was late. Says for how long the circuit is out again, unless that was
    /// known.
    pub fn fell(&self, circuit: Circuit, test: Test, now: Instant) -> Option<Duration> {
        let seat = self.seat(circuit);
        let mut outlier = seat.outlier();
        if seat.trying.load(Relaxed) != test.0 || !outlier.is_held() {
            return None;
        }
        let term = outlier.eject(now);
        seat.show(&outlier);
        Some(term)
    }

    /// A request of the trial said nothing about the node: its client left.
    pub fn void(&self, circuit: Circuit, test: Test) {
        let trying = &self.seat(circuit).trying;
        let _ = trying.compare_exchange(test.0, 0, Relaxed, Relaxed);
    }

    /// The request of the trial that has been waiting since before `now` minus `limit`.
    pub fn overdue(&self, circuit: Circuit, limit: Duration, now: Instant) -> Option<Test> {
        let sent = self.seat(circuit).trying.load(Relaxed);
        let waited = clock::since_start(now).saturating_sub(sent);
        (sent != 0 && u128::from(waited) > limit.as_millis()).then_some(Test(sent))
    }

    /// Lets a circuit in whose term is over and that nobody asks for, so that nothing waits for a trial for ever. True when
    /// it does.
    pub fn lapse(&self, circuit: Circuit, now: Instant) -> bool {
        let seat = self.seat(circuit);
        let quiet = || clock::since_start(now).saturating_sub(seat.tried.load(Relaxed));
        if !self.is_out(circuit) || seat.trying.load(Relaxed) != 0 || quiet() < UNASKED {
            return false;
        }
        seat.let_in(&mut seat.outlier(), now);
        true
    }

    /// Lets every circuit in again: probes found the node well after it was not, or the operator says that it may serve.
    pub fn pardon(&self) {
        for seat in &self.seats {
            let mut outlier = seat.outlier();
            if outlier.is_held() {
                outlier.pardon();
                seat.show(&outlier);
            }
        }
    }

    /// Starts judging by another policy, with nothing held against the node.
    pub fn adopt(&self, fresh: &Outlier) {
        for seat in &self.seats {
            let mut outlier = seat.outlier();
            *outlier = fresh.clone();
            seat.show(&outlier);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BASE: Duration = Duration::from_secs(10);
    const LATER: Duration = Duration::from_secs(6);

    /// A node of which pulls are on trial from the second moment on.
    fn ejected() -> (Ejection, Instant) {
        let ejection = Ejection::new(&Outlier::new(1, BASE, BASE * 30));
        let now = Instant::now();
        assert_eq!(ejection.eject(Circuit::Pull, now), Some(BASE));
        assert_eq!(ejection.eject(Circuit::Pull, now), None);
        (ejection, now + BASE)
    }

    #[test]
    fn one_circuit_is_out_and_the_others_serve() {
        let (ejection, _) = ejected();
        let out = Circuit::ALL.map(|circuit| ejection.is_out(circuit));
        assert_eq!(out, [true, false, false, false, false]);
    }

    #[test]
    fn a_trial_is_a_trickle_and_one_request_at_a_time() {
        let (ejection, end) = ejected();
        let mut sent = 0;
        for millisecond in 0..60_000 {
            let now = end + Duration::from_millis(millisecond);
            if let Some(test) = ejection.tests(Circuit::Pull, now) {
                sent += 1;
                let more = (0..1000).filter_map(|_| ejection.tests(Circuit::Pull, now + LATER));
                assert_eq!(more.count(), 0);
                ejection.void(Circuit::Pull, test);
            }
        }
        // A thousand requests per second: one of them every quarter of a second.
        assert!((200..=300).contains(&sent), "{sent}");
    }

    #[test]
    fn where_there_is_little_traffic_a_trial_comes_all_the_same() {
        let (ejection, end) = ejected();
        assert_eq!(ejection.tests(Circuit::Pull, end), None);
        assert!(ejection.tests(Circuit::Pull, end + LATER).is_some());
    }

    #[test]
    fn a_trial_that_stands_lets_in_with_a_small_share() {
        let (ejection, end) = ejected();
        for round in 1..=3 {
            let test = ejection.tests(Circuit::Pull, end + LATER * round).unwrap();
            assert_eq!(ejection.stood(Circuit::Pull, test), round == 3);
        }
        assert!(!ejection.is_out(Circuit::Pull));
        let share = ejection.share(Circuit::Pull, BASE, Instant::now());
        assert!((0.1..0.5).contains(&share), "{share}");
        assert_eq!(ejection.share(Circuit::Push, BASE, Instant::now()), 1.0);
    }

    #[test]
    fn a_trial_that_fails_costs_twice_the_time_and_is_heard_once() {
        let (ejection, end) = ejected();
        let test = ejection.tests(Circuit::Pull, end + LATER).unwrap();
        assert_eq!(
            ejection.fell(Circuit::Pull, test, end + LATER),
            Some(BASE * 2)
        );
        assert_eq!(ejection.fell(Circuit::Pull, test, end + LATER), None);
        assert!(!ejection.stood(Circuit::Pull, test));
        assert_eq!(ejection.tests(Circuit::Pull, end + LATER * 2), None);
        assert!(
            ejection
                .tests(Circuit::Pull, end + LATER * 2 + BASE * 2)
                .is_some()
        );
    }

    #[test]
    fn a_request_of_a_trial_that_hangs_is_overdue() {
        let (ejection, end) = ejected();
        let sent = end + LATER;
        let test = ejection.tests(Circuit::Pull, sent).unwrap();
        assert_eq!(ejection.overdue(Circuit::Pull, BASE, sent + BASE / 2), None);
        assert_eq!(
            ejection.overdue(Circuit::Pull, BASE, sent + BASE * 2),
            Some(test)
        );
    }

    #[test]
    fn a_circuit_that_nobody_asks_for_is_let_in_after_a_while() {
        let (ejection, end) = ejected();
        assert!(!ejection.lapse(Circuit::Pull, end + BASE));
        assert!(ejection.lapse(Circuit::Pull, end + BASE * 4));
        assert!(!ejection.is_out(Circuit::Pull));
    }
}
