//! Numbers for people.

/// Bytes with the binary unit that leaves few digits.
pub fn bytes(bytes: f64) -> String {
    let mut size = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            let digits = if unit == "B" { 0 } else { 1 };
            return format!("{size:.digits$} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// Milliseconds as what is short to read.
pub fn time(millis: f64) -> String {
    match millis {
        millis if millis <= 0.0 => "0 ms".to_owned(),
        millis if millis < 10.0 => format!("{millis:.2} ms"),
        millis if millis < 1000.0 => format!("{millis:.0} ms"),
        millis => format!("{:.2} s", millis / 1000.0),
    }
}

/// A number with few digits behind the point.
pub fn number(number: f64) -> String {
    match number.abs() {
        size if size.fract() < 1e-9 => format!("{number:.0}"),
        size if size < 10.0 => format!("{number:.2}"),
        size if size < 100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(bytes(12.0), "12 B");
        assert_eq!(bytes(8.0 * 1024.0 * 1024.0), "8.0 MiB");
        assert_eq!(time(1.234), "1.23 ms");
        assert_eq!(time(123.4), "123 ms");
        assert_eq!(time(1234.0), "1.23 s");
        assert_eq!(number(2.345), "2.35");
        assert_eq!(number(1234.5), "1234");
        assert_eq!(number(0.0), "0");
    }
}
