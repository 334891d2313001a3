//! Points in time as Harbor writes them (RFC 3339).

/// Milliseconds since 1970 of `2026-11-22T10:11:12.123Z` or with an offset; `None` for anything else, and for the year 1
/// that Harbor writes where there is no time.
pub fn millis(text: &str) -> Option<u64> {
    let (date, clock) = text.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let zone = clock.find(['Z', '+', '-'])?;
    let (clock, zone) = clock.split_at_checked(zone)?;
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    let seconds: f64 = seconds.parse().ok()?;
    let sound = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..61.0).contains(&seconds);
    if !sound {
        return None;
    }
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset(zone)?;
    let millis = minutes * 60_000 + (seconds * 1000.0) as i64;
    u64::try_from(millis).ok()
}

/// Minutes east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes))
        .then_some(sign * (hours * 60 + minutes))
}

/// Days since 1970 in the Gregorian calendar: years begin in March, so that the leap day is the last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_of_harbor_are_read() {
        assert_eq!(millis("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(millis("2026-11-22T10:11:12.123Z"), Some(1_795_342_272_123));
        assert_eq!(
            millis("2026-11-22T12:11:12.123456+02:00"),
            millis("2026-11-22T10:11:12.123456Z")
        );
        assert_eq!(millis("2024-02-29T00:00:00Z"), Some(1_709_164_800_000));
    }

    #[test]
    fn no_time_is_none() {
        for text in [
            "",
            "0001-01-01T00:00:00.000Z",
            "2026-11-22",
            "2026-13-01T00:00:00Z",
            "x",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = millis(&text);
        }

        #[test]
        fn nothing_that_looks_like_a_time_makes_it_panic(text in "[0-9]{1,19}-[0-9]{1,19}-[0-9]{1,19}T[0-9]{1,19}:[0-9]{1,3}:[0-9.]{1,9}[Z+-][0-9:]{0,9}") {
            let _ = millis(&text);
        }
    }
}
