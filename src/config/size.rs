//! Sizes as operators write them: `512B`, `64KiB`, `1MiB`, `10MB`.

use super::Wrong;

const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads a size in bytes; `0` needs no unit.
///
/// # Errors
///
/// No whole number, no known unit, or more bytes than 64 bits count.
pub fn parse(text: &str) -> Result<u64, Wrong> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = unit.trim_start();
    let bytes = match unit {
        "" if digits == "0" => Some(1),
        _ => UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, bytes)| *bytes),
    };
    bytes
        .zip(digits.parse::<u64>().ok())
        .and_then(|(bytes, number)| number.checked_mul(bytes))
        .ok_or_else(|| {
            Wrong::new(
                format!("`{}` is not a size", text.escape_debug()),
                "write it like \"512B\", \"64KiB\" or \"1MiB\"",
            )
        })
}

/// Writes a size with the largest binary unit that divides it.
pub fn show(size: u64) -> String {
    let (name, bytes) = UNITS
        .into_iter()
        .filter(|(name, _)| name.ends_with("iB"))
        .find(|(_, bytes)| size > 0 && size.is_multiple_of(*bytes))
        .unwrap_or(("B", 1));
    format!("{}{name}", size / bytes)
}

/// Reads a rate in bytes per second: a size, with or without `/s` behind it.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_rate(text: &str) -> Result<u64, Wrong> {
    let text = text.trim();
    parse(text.strip_suffix("/s").unwrap_or(text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_multiply() {
        assert_eq!(parse("512B").unwrap(), 512);
        assert_eq!(parse("64KiB").unwrap(), 65_536);
        assert_eq!(parse("10 MB").unwrap(), 10_000_000);
        assert_eq!(parse("0").unwrap(), 0);
        assert_eq!(parse_rate("1KiB/s").unwrap(), 1024);
    }

    #[test]
    fn a_number_without_unit_is_refused() {
        for text in ["", "5", "KiB", "-1B", "1.5MiB", "1XB", "99999999999999TiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn sizes_survive_writing_and_reading(size: u64) {
            prop_assert_eq!(parse(&show(size)).unwrap(), size);
        }

        #[test]
        fn reading_never_panics(text: String) {
            let _ = parse(&text);
        }
    }
}
