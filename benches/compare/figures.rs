//! What many measurements come to. Pure, and tested by `tests/benchmark.rs`.

/// The middle of several measurements, and how far apart they were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

/// `None` without measurements.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = sorted.get(middle.checked_sub(1)?)?;
    Some((lower + upper) / 2.0)
}

/// `None` without measurements.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    Some(Spread {
        median: median(values)?,
        low: finite().fold(f64::INFINITY, f64::min),
        high: finite().fold(f64::NEG_INFINITY, f64::max),
    })
}

/// How many times less than `base` the other costs: the median of what each round says by itself, since what disturbs
/// a machine for a while disturbs both.
pub fn ratio(base: &[f64], other: &[f64]) -> Option<f64> {
    let rounds: Vec<f64> = base
        .iter()
        .zip(other)
        .filter(|(_, other)| **other > 0.0)
        .map(|(base, other)| base / other)
        .collect();
    median(&rounds)
}

/// Three digits that matter, and commas between thousands.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        return grouped(value.round());
    }
    let places = if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.places$}")
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

/// Columns as wide as their widest cell: the first to the left, the others to the right.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(wide).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if place == 0 {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A table in Markdown: the first row is its head.
pub fn markdown(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (place, row) in rows.iter().enumerate() {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
        if place == 0 {
            let others = "---:|".repeat(row.len().saturating_sub(1));
            text.push_str(&format!("|---|{others}\n"));
        }
    }
    text
}
