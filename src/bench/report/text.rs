//! The report for eyes.

use std::fmt::Write as _;

use super::super::compare::CONFIDENCE;
use super::super::record::{Latencies, Record, longest, quantile};
use super::{QUANTILES, Report, throughput, words};

/// The whole report; lines end in line ends.
pub fn render(report: &Report) -> String {
    let mut text = format!(
        "{}, {}, seed {}\n",
        report.scenario, report.load, report.seed
    );
    if report.interrupted {
        text.push_str("ended early\n");
    }
    for (url, record) in &report.targets {
        let _ = write!(text, "\n{url}\n");
        target(&mut text, record);
    }
    ratios(&mut text, report);
    text
}

fn target(text: &mut String, record: &Record) {
    let (operations, bytes) = throughput(record);
    let _ = write!(text, "  operations  {} done", record.operations);
    if record.failed > 0 {
        let _ = write!(text, ", {} failed", record.failed);
    }
    if record.missed > 0 {
        let _ = write!(text, ", {} not begun in time", record.missed);
    }
    let _ = writeln!(text, " in {:.1} s", record.seconds());
    let _ = writeln!(
        text,
        "  throughput  {} a second, {}/s",
        words::number(operations),
        words::bytes(bytes)
    );
    let mut rows = vec![heads("latency")];
    rows.extend(record.by_operation.iter().map(|(name, of)| row(name, of)));
    if rows.len() > 1 {
        table(text, &rows);
    }
    let mut rows = vec![heads("requests")];
    rows.extend(
        record
            .stages
            .iter()
            .map(|(stage, of)| row(&stage.to_string(), of)),
    );
    if rows.len() > 1 {
        table(text, &rows);
    }
    if !record.errors.is_empty() {
        let mut rows = vec![
            ["errors", "COUNT", "FOR EXAMPLE"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for (kind, errors) in &record.errors {
            rows.push(vec![
                kind.to_string(),
                errors.count.to_string(),
                errors.example.clone(),
            ]);
        }
        table(text, &rows);
    }
}

fn heads(first: &str) -> Vec<String> {
    [first, "COUNT", "P50", "P90", "P99", "P99.9", "MAX"]
        .map(str::to_owned)
        .to_vec()
}

fn row(name: &str, latencies: &Latencies) -> Vec<String> {
    let mut row = vec![name.to_owned(), latencies.len().to_string()];
    row.extend(
        QUANTILES
            .iter()
            .map(|(_, share)| words::time(quantile(latencies, *share))),
    );
    row.push(words::time(longest(latencies)));
    row
}

/// Columns as wide as their widest cell; the last one as it comes.
fn table(text: &mut String, rows: &[Vec<String>]) {
    text.push('\n');
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(text, "  {}", line.join("  ").trim_end());
    }
}

fn ratios(text: &mut String, report: &Report) {
    let [(first, _), (second, _)] = report.targets.as_slice() else {
        return;
    };
    let _ = write!(
        text,
        "\n{second} by {first}, and where {:.0} % of draws lie\n",
        CONFIDENCE * 100.0
    );
    for ratio in &report.ratios {
        let _ = writeln!(
            text,
            "  {:12}  ratio {:.3}  ({:.3} to {:.3})",
            ratio.of, ratio.ratio, ratio.low, ratio.high
        );
    }
    if report.ratios.is_empty() {
        text.push_str("  nothing to compare\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn a_report_tells_what_was_done_how_fast_and_what_failed() {
        let text = render(&report(1));
        for part in [
            "pull, 8 clients, seed 7",
            "2 done, 1 failed in 2.0 s",
            "1 a second, 1.0 KiB/s",
            "digest mismatch  1      <script>",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_comparison_ends_with_ratios() {
        let text = render(&report(2));
        assert!(
            text.contains("https://b.example by https://a.example"),
            "{text}"
        );
        assert!(text.contains("ratio 1.500  (1.250 to 1.750)"), "{text}");
    }
}
