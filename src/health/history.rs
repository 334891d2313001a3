//! The last seconds of a node's requests, in slices, read off its [`Gauge`].

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::gauge::{Gauge, HEAPS, about, least};

/// How long anything is remembered.
pub(super) const MEMORY: Duration = Duration::from_secs(20);
/// What is younger than this counts whole, however much it is: a pause of a second shall not decide.
pub(super) const FRESH: Duration = Duration::from_millis(2500);

/// Who has waited for longer does not do so by chance.
const LONG: Duration = Duration::from_secs(1);

/// What happened between two looks at the gauge; only what did happen takes room.
#[derive(Debug)]
struct Slice {
    end: Instant,
    /// Kind, heap, how many.
    took: Vec<(usize, usize, u32)>,
    /// Kind, how many.
    begun: Vec<(usize, u32)>,
    /// Group, how many, how many of them failed.
    ended: Vec<(usize, u32, u32)>,
}

/// The last seconds of one node.
#[derive(Debug, Default)]
pub struct History {
    slices: VecDeque<Slice>,
    /// Those that wait now, by kind.
    waiting: Vec<u32>,
    read: Vec<u32>,
}

/// How many of some requests were slow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tempo {
    pub all: f64,
    pub slow: f64,
    /// How far back that goes.
    pub span: Duration,
}

impl Tempo {
    pub(super) fn share(self) -> f64 {
        if self.all > 0.0 {
            self.slow / self.all
        } else {
            0.0
        }
    }
}

/// What is slow, by kind; a kind without a bound does not count.
pub(super) type Bounds = [Option<Duration>];

impl History {
    /// Looks at the gauge. The first look only says where counting begins.
    pub fn note(&mut self, gauge: &Gauge, now: Instant) {
        let first = self.read.is_empty();
        let mut at = 0;
        let mut read = std::mem::take(&mut self.read);
        let mut since = |count: u32| {
            if first {
                read.push(count);
            }
            let before = read
                .get_mut(at)
                .map(|before| std::mem::replace(before, count));
            at += 1;
            count.wrapping_sub(before.unwrap_or(count))
        };
        let mut slice = Slice {
            end: now,
            took: Vec::new(),
            begun: Vec::new(),
            ended: Vec::new(),
        };
        self.waiting.clear();
        for (number, kind) in gauge.kinds.iter().enumerate() {
            // In this order, so that nobody seems to wait who does not.
            let begun = kind.begun.load(Relaxed);
            let ended = kind.ended.load(Relaxed);
            let waiting = begun.wrapping_sub(ended);
            self.waiting
                .push(if waiting > u32::MAX / 2 { 0 } else { waiting });
            let begun = since(begun);
            if begun > 0 {
                slice.begun.push((number, begun));
            }
            for (heap, count) in kind.took.iter().enumerate() {
                let took = since(count.load(Relaxed));
                if took > 0 {
                    slice.took.push((number, heap, took));
                }
            }
        }
        for (number, group) in gauge.groups.iter().enumerate() {
            let failed = since(group.failed.load(Relaxed));
            let all = since(group.all.load(Relaxed));
            if all > 0 || failed > 0 {
                slice.ended.push((number, all.max(failed), failed));
            }
        }
        self.read = read;
        self.slices.push_front(slice);
        let old = |slice: &Slice| now.saturating_duration_since(slice.end) > MEMORY;
        while self.slices.back().is_some_and(old) {
            self.slices.pop_back();
        }
    }

    /// Forgets what is known of these kinds and this group: it was judged already.
    pub fn forget(&mut self, kinds: &[usize], group: usize) {
        for slice in &mut self.slices {
            slice.took.retain(|(kind, ..)| !kinds.contains(kind));
            slice.ended.retain(|(number, ..)| *number != group);
        }
    }

    fn within(&self, span: Duration, now: Instant) -> impl Iterator<Item = &Slice> {
        let young = move |slice: &&Slice| now.saturating_duration_since(slice.end) <= span;
        self.slices.iter().take_while(young)
    }

    /// How long half of the answers of `kind` took at most; `None` for fewer than `fewest`, and if half of them are yet to
    /// come: those that come first while a node is stuck are not typical.
    pub(super) fn typical(&self, kind: usize, fewest: u32, now: Instant) -> Option<Duration> {
        let mut heaps = [0_u32; HEAPS];
        for (number, heap, count) in self.slices.iter().flat_map(|slice| &slice.took) {
            if let Some(heap) = heaps.get_mut(*heap).filter(|_| *number == kind) {
                *heap += count;
            }
        }
        let answered: u32 = heaps.iter().sum();
        if answered < fewest.max(1) {
            return None;
        }
        let all = answered + self.overdue(kind, LONG, now);
        let mut below = 0;
        let half = heaps.iter().position(|count| {
            below += count;
            below * 2 >= all
        });
        half.map(about)
    }

    /// At least so many have been waiting for longer than `bound`: whoever waits and did not begin since then.
    fn overdue(&self, kind: usize, bound: Duration, now: Instant) -> u32 {
        // Of those that began before there was a history, nobody knows when.
        let reaches = |slice: &Slice| now.saturating_duration_since(slice.end) >= bound;
        if !self.slices.back().is_some_and(reaches) {
            return 0;
        }
        let begun: u32 = self
            .within(bound, now)
            .flat_map(|slice| &slice.begun)
            .filter(|(number, _)| *number == kind)
            .map(|(_, count)| count)
            .sum();
        let waiting = self.waiting.get(kind).copied().unwrap_or_default();
        waiting.saturating_sub(begun)
    }

    fn all_overdue(&self, bounds: &Bounds, now: Instant) -> f64 {
        let bounds = bounds.iter().enumerate();
        let overdue = bounds.filter_map(|(kind, bound)| Some(self.overdue(kind, (*bound)?, now)));
        f64::from(overdue.sum::<u32>())
    }

    /// The latest requests: all that are fresh, and as many before them as make `volume`. `None`: there are not so many.
    pub(super) fn latest(&self, bounds: &Bounds, volume: u32, now: Instant) -> Option<Tempo> {
        let waiting = self.all_overdue(bounds, now);
        let volume = f64::from(volume);
        let mut tempo = Tempo {
            all: waiting,
            slow: waiting,
            span: FRESH,
        };
        for slice in &self.slices {
            let age = now.saturating_duration_since(slice.end);
            let missing = volume - tempo.all;
            if age > FRESH && missing <= 0.0 {
                break;
            }
            let (all, slow) = slice.tempo(bounds);
            // Of the oldest slice only as many as are missing.
            let part = if age > FRESH && all > missing {
                missing / all
            } else {
                1.0
            };
            tempo.all += all * part;
            tempo.slow += slow * part;
            tempo.span = tempo.span.max(age);
        }
        (tempo.all >= volume).then_some(tempo)
    }

    /// All requests of the last `span`.
    pub(super) fn during(&self, bounds: &Bounds, span: Duration, now: Instant) -> Tempo {
        let waiting = self.all_overdue(bounds, now);
        let slices = self.within(span, now).map(|slice| slice.tempo(bounds));
        let (all, slow) = slices.fold((waiting, waiting), |sum, one| {
            (sum.0 + one.0, sum.1 + one.1)
        });
        Tempo { all, slow, span }
    }

    /// The kind with the most slow answers, and how long those took, about; for people.
    pub(super) fn slowest(&self, bounds: &Bounds, now: Instant) -> Option<(usize, Duration)> {
        let mut worst: Option<(u32, usize, Duration)> = None;
        for (kind, bound) in bounds.iter().enumerate() {
            let Some(bound) = *bound else { continue };
            let mut count = self.overdue(kind, bound, now);
            let mut longest = bound;
            for (number, heap, took) in self.slices.iter().flat_map(|slice| &slice.took) {
                if *number == kind && least(*heap) >= bound {
                    count += took;
                    longest = longest.max(about(*heap));
                }
            }
            if count > 0 && worst.is_none_or(|(most, ..)| count > most) {
                worst = Some((count, kind, longest));
            }
        }
        worst.map(|(_, kind, longest)| (kind, longest))
    }

    /// Requests of a group during the last `span`, and how many of them failed.
    pub(super) fn failures(&self, group: usize, span: Duration, now: Instant) -> (u32, u32) {
        let ended = self.within(span, now).flat_map(|slice| &slice.ended);
        let ended = ended.filter(|(number, ..)| *number == group);
        ended.fold((0, 0), |(all, failed), one| (all + one.1, failed + one.2))
    }
}

impl Slice {
    fn tempo(&self, bounds: &Bounds) -> (f64, f64) {
        let mut tempo = (0.0, 0.0);
        for (kind, heap, count) in &self.took {
            if let Some(Some(bound)) = bounds.get(*kind) {
                tempo.0 += f64::from(*count);
                // A heap that only reaches beyond the bound is given the benefit of the doubt.
                tempo.1 += if least(*heap) >= *bound {
                    f64::from(*count)
                } else {
                    0.0
                };
            }
        }
        tempo
    }
}
