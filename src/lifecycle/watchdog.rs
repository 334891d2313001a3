//! Signs of life: of the workers, for whoever must not stand for a dead data plane, and of the process, for systemd.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::workers::Crew;

/// From one beat of a worker to the next.
const EVERY: Duration = Duration::from_millis(100);

/// The heartbeats of the workers. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Pulse {
    began: Instant,
    /// Milliseconds after `began` of each worker's last beat.
    beats: Arc<[AtomicU64]>,
}

impl Pulse {
    /// Begins to beat on every worker of `crew`; ends with their runtimes.
    pub fn start(crew: &Crew) -> Pulse {
        let began = Instant::now();
        let beats: Arc<[AtomicU64]> = crew.handles().map(|_| AtomicU64::new(0)).collect();
        let pulse = Pulse { began, beats };
        for (place, worker) in crew.handles().enumerate() {
            let pulse = pulse.clone();
            worker.spawn(async move {
                let mut every = tokio::time::interval(EVERY);
                every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    every.tick().await;
                    if let Some(beat) = pulse.beats.get(place) {
                        beat.store(pulse.millis(Instant::now()), Relaxed);
                    }
                }
            });
        }
        pulse
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    /// How long ago the worker that was silent longest has given a sign of life.
    pub fn silence(&self, now: Instant) -> Duration {
        let last = self.beats.iter().map(|beat| beat.load(Relaxed)).min();
        Duration::from_millis(self.millis(now).saturating_sub(last.unwrap_or(0)))
    }
}

/// Tells systemd that the process serves; nothing where it was not started by it as `Type=notify`.
pub fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells systemd that the process is about to end.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells systemd that another process is the main one from now on. Only the one that was is believed.
pub fn tell_successor(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// Tells systemd that the process lives. Call it more often than [`watched_every`].
pub fn tell_alive() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(state: &[NotifyState<'_>]) {
    // Whoever does not listen is not told.
    let _ = sd_notify::notify(state);
}

/// Within what time systemd wants a sign of life (`WatchdogSec`), if it does.
pub fn watched_every() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::workers::Workers;
    use super::*;

    fn until(mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_worker_that_hangs_is_enough_to_be_silent() {
        let workers = Workers::start(2).unwrap();
        let pulse = Pulse::start(workers.crew());
        until(|| pulse.silence(Instant::now()) < EVERY);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let stuck = workers.crew().handles().next().unwrap();
        stuck.spawn(async move { ended.recv().is_ok() });
        until(|| pulse.silence(Instant::now()) > EVERY * 5);
        drop(end);
        until(|| pulse.silence(Instant::now()) < EVERY * 2);
    }
}
