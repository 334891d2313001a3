//! Wall-clock time as text.

use super::fields::thousandths;
use std::cell::RefCell;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Appends `now` as RFC 3339 in UTC with milliseconds: `2026-01-31T23:59:59.001Z`.
pub fn write(out: &mut String, now: SystemTime) {
    thread_local! {
        // A busy second writes thousands of lines that differ in the last digits only.
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() {
            *second = since.as_secs();
            text.clear();
            write_second(text, *second);
        }
        out.push_str(text);
    });
    out.push('.');
    thousandths(out, since.subsec_millis());
    out.push('Z');
}

fn write_second(out: &mut String, seconds: u64) {
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
    );
}

/// The Gregorian date of a day counted from 1970-01-01. Years are taken to begin in March, so that the leap day
/// is the last of its year, and are grouped in cycles of 400 (146 097 days).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let cycle = shifted / 146_097;
    let of_cycle = shifted % 146_097;
    let year_of_cycle = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_cycle + cycle * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: u64) -> String {
        let mut out = String::new();
        write(&mut out, UNIX_EPOCH + Duration::from_millis(millis));
        out
    }

    #[test]
    fn known_instants_are_written_as_the_calendar_has_them() {
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_799_999), "2000-02-29T23:59:59.999Z");
        assert_eq!(at(1_709_251_200_007), "2024-03-01T00:00:00.007Z");
        assert_eq!(at(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = civil(0);
        for day in 1..150_000 {
            let next = civil(day);
            let same_month = next == (last.0, last.1, last.2 + 1);
            let next_month = next == (last.0, last.1 + 1, 1) && last.2 >= 28;
            let next_year = next == (last.0 + 1, 1, 1) && (last.1, last.2) == (12, 31);
            assert!(
                same_month || next_month || next_year,
                "{last:?} then {next:?}"
            );
            last = next;
        }
    }
}
