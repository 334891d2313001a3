//! Two targets side by side: by what factor they differ, and how sure that is.
//!
//! The targets take turns, so that what the machine does meanwhile hits both. Confidence comes from drawing pairs of
//! slices with replacement (Efron's bootstrap): no shape of distribution is assumed.

use super::record::Slice;

/// How often slices are drawn.
const DRAWS: usize = 1000;
/// The share of draws whose ratios the interval holds.
pub const CONFIDENCE: f64 = 0.95;

/// How the second target stands to the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// What is compared.
    pub of: &'static str,
    /// Second by first.
    pub ratio: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

type Measure = fn(&[&Slice]) -> f64;

const MEASURES: [(&str, Measure); 4] = [
    ("ops_per_s", |slices| {
        let count: usize = slices.iter().map(|slice| slice.latencies.len()).sum();
        count as f64 / seconds(slices)
    }),
    ("bytes_per_s", |slices| {
        let bytes: u64 = slices.iter().map(|slice| slice.bytes).sum();
        bytes as f64 / seconds(slices)
    }),
    ("latency_p50", |slices| quantile(slices, 0.5)),
    ("latency_p99", |slices| quantile(slices, 0.99)),
];

/// Compares slices that were measured in turns; `seed` decides the draws. What one side has none of is left out.
pub fn ratios(first: &[Slice], second: &[Slice], seed: u64) -> Vec<Ratio> {
    let pairs: Vec<(&Slice, &Slice)> = first.iter().zip(second).collect();
    let measured = MEASURES.iter().filter_map(|(of, measure)| {
        let mut random = fastrand::Rng::with_seed(seed);
        let ratio = ratio(*measure, &pairs)?;
        let mut drawn: Vec<f64> = (0..DRAWS)
            .filter_map(|_| {
                let draw: Vec<_> = (0..pairs.len())
                    .filter_map(|_| pairs.get(random.usize(..pairs.len())).copied())
                    .collect();
                self::ratio(*measure, &draw)
            })
            .collect();
        drawn.sort_by(f64::total_cmp);
        let edge = (1.0 - CONFIDENCE) / 2.0;
        let at = |share: f64| {
            let place = (drawn.len().saturating_sub(1) as f64 * share).round() as usize;
            drawn.get(place).copied().unwrap_or(ratio)
        };
        Some(Ratio {
            of,
            ratio,
            low: at(edge),
            high: at(1.0 - edge),
        })
    });
    measured.collect()
}

fn ratio(measure: Measure, pairs: &[(&Slice, &Slice)]) -> Option<f64> {
    let (first, second): (Vec<&Slice>, Vec<&Slice>) = pairs.iter().copied().unzip();
    let (first, second) = (measure(&first), measure(&second));
    let ratio = second / first;
    (first > 0.0 && second > 0.0 && ratio.is_finite()).then_some(ratio)
}

fn seconds(slices: &[&Slice]) -> f64 {
    slices.iter().map(|slice| slice.seconds).sum()
}

fn quantile(slices: &[&Slice], share: f64) -> f64 {
    let mut all: Vec<u64> = slices
        .iter()
        .flat_map(|slice| slice.latencies.iter().copied())
        .collect();
    if all.is_empty() {
        return 0.0;
    }
    let place = ((all.len() - 1) as f64 * share).round() as usize;
    *all.select_nth_unstable(place).1 as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Slices of about `count` operations of `micros` each, with some noise.
    fn slices(seed: u64, count: usize, micros: u64) -> Vec<Slice> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..10)
            .map(|_| {
                let count = count + random.usize(..count / 10);
                Slice {
                    seconds: 1.0,
                    bytes: count as u64 * 100,
                    latencies: (0..count)
                        .map(|_| micros + random.u64(..micros / 10))
                        .collect(),
                }
            })
            .collect()
    }

    fn of<'a>(ratios: &'a [Ratio], name: &str) -> &'a Ratio {
        ratios.iter().find(|ratio| ratio.of == name).unwrap()
    }

    #[test]
    fn a_target_of_twice_the_speed_is_seen_as_such() {
        let ratios = ratios(&slices(1, 100, 2000), &slices(2, 200, 1000), 7);
        for (name, expected) in [
            ("ops_per_s", 2.0),
            ("bytes_per_s", 2.0),
            ("latency_p50", 0.5),
        ] {
            let found = of(&ratios, name);
            assert!((found.ratio / expected - 1.0).abs() < 0.1, "{found:?}");
            assert!(
                found.low <= found.ratio && found.ratio <= found.high,
                "{found:?}"
            );
        }
    }

    #[test]
    fn equal_targets_have_one_in_their_interval() {
        let found = ratios(&slices(1, 100, 1000), &slices(1, 100, 1000), 7);
        assert!(
            found
                .iter()
                .all(|ratio| ratio.low <= 1.0 && ratio.high >= 1.0)
        );
    }

    #[test]
    fn the_same_seed_draws_the_same_interval() {
        let (a, b) = (slices(1, 100, 1000), slices(2, 150, 900));
        assert_eq!(ratios(&a, &b, 7), ratios(&a, &b, 7));
        assert_ne!(ratios(&a, &b, 7), ratios(&a, &b, 8));
    }

    #[test]
    fn a_side_without_operations_has_no_ratio() {
        assert!(ratios(&slices(1, 100, 1000), &[Slice::default()], 7).is_empty());
        assert!(ratios(&[], &[], 7).is_empty());
    }
}
