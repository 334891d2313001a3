//! The five ways to pick a node.

use super::hashing::{fraction, mix};
use super::{Algorithm, Candidate, Turn};

/// The least latency that is believed: a node nobody measured yet must not win against all others.
const LEAST_LATENCY: f64 = 0.001;

/// Picks one of `candidates` and returns its `index`; `None` only when there are none.
///
/// A candidate of weight zero is picked only when all weigh zero; then all count alike. `key` matters to
/// rendezvous alone, which falls back to two choices without one.
pub fn choose(
    algorithm: Algorithm,
    candidates: impl Iterator<Item = Candidate> + Clone,
    key: Option<u64>,
    turn: &Turn,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let scale = Scale::of(candidates.clone());
    let weighed = candidates
        .map(move |c| (scale.weight(&c), c))
        .filter(|(weight, _)| *weight > 0.0);
    let chosen = match (algorithm, key) {
        (Algorithm::RoundRobin, _) => in_turn(weighed, turn.next()),
        (Algorithm::Least, _) => least(weighed, rng),
        (Algorithm::Ewma, _) => two(weighed, rng, sooner),
        (Algorithm::Rendezvous, Some(key)) => rendezvous(weighed, key),
        (Algorithm::TwoChoices | Algorithm::Rendezvous, _) => two(weighed, rng, lighter),
    };
    chosen.map(|(_, candidate)| candidate.index)
}

type Weighed = (f64, Candidate);

/// Whether weights count at all.
#[derive(Clone, Copy)]
struct Scale {
    all_zero: bool,
}

impl Scale {
    fn of(mut candidates: impl Iterator<Item = Candidate>) -> Self {
        Self {
            all_zero: !candidates.any(|c| sound(c.weight) > 0.0),
        }
    }

    fn weight(self, candidate: &Candidate) -> f64 {
        if self.all_zero {
            1.0
        } else {
            sound(candidate.weight)
        }
    }
}

/// A weight that can be added up and divided by.
fn sound(weight: f32) -> f64 {
    if weight.is_finite() {
        f64::from(weight).max(0.0)
    } else {
        0.0
    }
}

/// What the node would carry per unit of weight with this request on top.
fn load((weight, candidate): &Weighed) -> f64 {
    (f64::from(candidate.in_flight) + 1.0) / weight
}

/// Draws in proportion to weight: `at` in `[0, 1)` is a place on the line of all weights.
fn draw(weighed: impl Iterator<Item = Weighed> + Clone, at: f64) -> Option<Weighed> {
    let total: f64 = weighed.clone().map(|(weight, _)| weight).sum();
    let mut left = at * total;
    let mut last = None;
    for one in weighed {
        if left < one.0 {
            return Some(one);
        }
        left -= one.0;
        // Rounding may carry `left` past the end of the line.
        last = Some(one);
    }
    last
}

fn two(
    weighed: impl Iterator<Item = Weighed> + Clone,
    rng: &mut fastrand::Rng,
    better: fn(Weighed, Weighed) -> Weighed,
) -> Option<Weighed> {
    let first = draw(weighed.clone(), rng.f64())?;
    let others = weighed.filter(move |(_, c)| c.index != first.1.index);
    Some(match draw(others, rng.f64()) {
        Some(second) => better(first, second),
        None => first,
    })
}

/// The less loaded of two. Idle ones keep the order in which they were drawn, so that single requests one after
/// the other follow the weights, too, instead of all going to the heaviest node.
fn lighter(first: Weighed, second: Weighed) -> Weighed {
    let both_idle = first.1.in_flight == 0 && second.1.in_flight == 0;
    if both_idle || load(&first) <= load(&second) {
        first
    } else {
        second
    }
}

/// The one of two that will likely answer sooner, given what waits there already.
fn sooner(first: Weighed, second: Weighed) -> Weighed {
    let cost = |w: &Weighed| {
        let latency = f64::from(w.1.latency);
        let believed = if latency.is_finite() { latency } else { 0.0 };
        believed.max(LEAST_LATENCY) * load(w)
    };
    if cost(&first) <= cost(&second) {
        first
    } else {
        second
    }
}

fn least(
    weighed: impl Iterator<Item = Weighed> + Clone,
    rng: &mut fastrand::Rng,
) -> Option<Weighed> {
    let best = weighed.clone().min_by(|a, b| load(a).total_cmp(&load(b)))?;
    let equals = weighed.filter(move |one| {
        // As for two choices: all idle nodes are equally good, whatever they weigh.
        (best.1.in_flight == 0 && one.1.in_flight == 0) || load(one) <= load(&best)
    });
    draw(equals, rng.f64())
}

fn in_turn(weighed: impl Iterator<Item = Weighed> + Clone, turn: u64) -> Option<Weighed> {
    let mut weights = weighed.clone().map(|(weight, _)| weight);
    let one = weights.next()?;
    if weights.all(|weight| weight == one) {
        let count = weighed.clone().count() as u64;
        let place = turn.checked_rem(count)?;
        return weighed.into_iter().nth(usize::try_from(place).ok()?);
    }
    // Multiples of the golden ratio fill the line of weights evenly at every length of the sequence, so that a
    // heavy node's turns do not come in a row; and they need no state beyond the turn.
    draw(weighed, fraction(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Weighted rendezvous hashing: each node scores `-weight / ln(h)` with `h` from its seed and the key, so that
/// a node that comes or goes moves no keys but its own.
fn rendezvous(weighed: impl Iterator<Item = Weighed>, key: u64) -> Option<Weighed> {
    let score = |(weight, candidate): &Weighed| {
        let h = fraction(mix(candidate.seed ^ mix(key))).max(f64::MIN_POSITIVE);
        -weight / h.ln()
    };
    weighed.max_by(|a, b| score(a).total_cmp(&score(b)).then(b.1.seed.cmp(&a.1.seed)))
}

#[cfg(test)]
mod tests;
