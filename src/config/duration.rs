//! Durations as operators write them: `20ms`, `2s`, `1m30s`, `12h`, `7d`.

use std::time::Duration;

use super::Wrong;

/// Units from long to short, with their milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a duration: whole numbers with units, the longest unit first, each unit once.
///
/// # Errors
///
/// Anything else, a number without a unit included: nobody remembers whether it meant seconds.
pub fn parse(text: &str) -> Result<Duration, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("`{}` is not a duration", text.escape_debug()),
            "write it like \"20ms\", \"2s\", \"1m30s\" or \"12h\"",
        )
    };
    let mut rest = text.trim();
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (digits, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let (_, millis) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        total = number
            .checked_mul(*millis)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(wrong)?;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration as [`parse`] reads it; parts below a millisecond are dropped.
pub fn show(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, millis) in UNITS {
        let count = left / millis;
        left %= millis;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(name);
        }
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    text
}

/// Splits after the leading characters that are `of` a kind.
fn split(text: &str, of: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !of(c)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(parse("20ms").unwrap(), Duration::from_millis(20));
        assert_eq!(parse("2s").unwrap(), Duration::from_secs(2));
        assert_eq!(parse("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse("1d2h").unwrap(), Duration::from_secs(93_600));
        assert_eq!(parse("0s").unwrap(), Duration::ZERO);
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "1.5s",
            "-1s",
            "1s1m",
            "1s1s",
            "1 m",
            "1M",
            "1sec",
            "s1",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn durations_survive_writing_and_reading(millis: u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&show(duration)).unwrap(), duration);
        }

        #[test]
        fn reading_never_panics(text: String) {
            let _ = parse(&text);
        }
    }
}
