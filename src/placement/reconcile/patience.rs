//! How long to wait before something is tried again.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(5);
/// However often it failed.
const LONGEST: Duration = Duration::from_secs(600);

/// The pause after the `failures`-th failure in a row: twice as long each time, and a quarter more or less by `seed`, so that
/// what failed together is not tried together.
pub fn pause(failures: u32, seed: u64) -> Duration {
    let doubled = FIRST * 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    let jitter = 0.75 + (seed % 1000) as f64 / 2000.0;
    doubled.min(LONGEST).mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_grows_to_a_bound_and_strays_by_a_quarter(failures in 1..u32::MAX, seed: u64) {
            let wanted = FIRST.as_secs_f64() * 2_f64.powi((failures - 1).min(16) as i32);
            let wanted = wanted.min(LONGEST.as_secs_f64());
            let got = pause(failures, seed).as_secs_f64();
            prop_assert!((0.749 * wanted..=1.251 * wanted).contains(&got), "{got} {wanted}");
        }
    }
}
