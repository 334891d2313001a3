//! The report for a browser: one file that needs nothing else, in light and dark, without scripts.

use std::fmt::Write as _;

use super::super::record::{Record, Tick, longest, quantile};
use super::chart::{self, Axes, Line, escape};
use super::{QUANTILES, Report, throughput, words};

const STYLE: &str = include_str!("style.css");
/// Where the curve of latencies is marked: name and share.
const MARKS: [(&str, f64); 6] = [
    ("0", 0.0),
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];
/// Steps of the curve from 0 to the last mark.
const STEPS: u32 = 160;

/// The whole page.
pub fn render(report: &Report) -> String {
    let title = format!("seawall bench {}", report.scenario);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{0}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
        escape(&title)
    );
    let early = if report.interrupted {
        ", ended early"
    } else {
        ""
    };
    let _ = writeln!(
        page,
        "<p>{}, seed {}{early}</p>",
        escape(&report.load),
        report.seed
    );
    summary(&mut page, report);
    ratios(&mut page, report);
    latency(&mut page, report);
    over_time(&mut page, report);
    requests(&mut page, report);
    errors(&mut page, report);
    page.push_str("</body>\n</html>\n");
    page
}

fn table(page: &mut String, heads: &[&str], rows: &[Vec<String>]) {
    page.push_str("<table>\n<tr>");
    for head in heads {
        let _ = write!(page, "<th>{}</th>", escape(head));
    }
    page.push_str("</tr>\n");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{}</td>", escape(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

fn summary(page: &mut String, report: &Report) {
    let mut heads = vec![
        "target",
        "done",
        "failed",
        "not begun",
        "seconds",
        "a second",
        "bytes a second",
    ];
    heads.extend(["p50", "p90", "p99", "p99.9", "max"]);
    let rows = report.targets.iter().map(|(url, record)| {
        let (operations, bytes) = throughput(record);
        let all = record.latencies();
        let mut row = vec![
            url.clone(),
            record.operations.to_string(),
            record.failed.to_string(),
            record.missed.to_string(),
            words::number(record.seconds()),
            words::number(operations),
            words::bytes(bytes),
        ];
        row.extend(
            QUANTILES
                .iter()
                .map(|(_, share)| words::time(quantile(&all, *share))),
        );
        row.push(words::time(longest(&all)));
        row
    });
    let rows: Vec<_> = rows.collect();
    table(page, &heads, &rows);
}

fn ratios(page: &mut String, report: &Report) {
    let [(first, _), (second, _)] = report.targets.as_slice() else {
        return;
    };
    let _ = writeln!(page, "<h2>{} by {}</h2>", escape(second), escape(first));
    let rows: Vec<_> = report
        .ratios
        .iter()
        .map(|ratio| {
            vec![
                ratio.of.to_owned(),
                format!("{:.3}", ratio.ratio),
                format!("{:.3} to {:.3}", ratio.low, ratio.high),
            ]
        })
        .collect();
    table(page, &["", "ratio", "95 % of draws"], &rows);
}

fn section(page: &mut String, report: &Report, heading: &str, picture: &str) {
    let _ = writeln!(page, "<h2>{}</h2>", escape(heading));
    if report.targets.len() > 1 {
        page.push_str("<p class=\"legend\">");
        for (number, (url, _)) in report.targets.iter().enumerate() {
            let _ = write!(page, "<span class=\"key-{number}\">{}</span> ", escape(url));
        }
        page.push_str("</p>\n");
    }
    page.push_str(picture);
}

/// A line per target.
fn lines(report: &Report, points: impl Fn(&Record) -> Vec<(f64, f64)>) -> Vec<Line> {
    let targets = report.targets.iter();
    targets
        .map(|(url, record)| Line {
            name: url.clone(),
            points: points(record),
        })
        .collect()
}

/// How far right a share stands: each further nine of it is as wide as the last.
fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

fn latency(page: &mut String, report: &Report) {
    let last = MARKS.last().map_or(0.0, |(_, share)| nines(*share));
    let curves = lines(report, |record| {
        let all = record.latencies();
        let step = |step: u32| {
            let at = last * f64::from(step) / f64::from(STEPS);
            (at, quantile(&all, 1.0 - 10_f64.powf(-at)))
        };
        (0..=STEPS).map(step).collect()
    });
    let marks: Vec<(f64, String)> = MARKS
        .iter()
        .map(|(name, share)| (nines(*share), (*name).to_owned()))
        .collect();
    let axes = Axes {
        title: "latency of operations by percentile",
        marks: &marks,
        height: words::time,
    };
    section(
        page,
        report,
        "Latency by percentile",
        &chart::draw(&axes, &curves),
    );
}

/// The seconds that were measured from their beginning to their end.
fn full(record: &Record) -> impl Iterator<Item = (usize, &Tick)> {
    let count = (record.seconds() as usize).max(1);
    record.ticks.iter().take(count).enumerate()
}

fn over_time(page: &mut String, report: &Report) {
    let longest = report
        .targets
        .iter()
        .map(|(_, record)| full(record).count());
    let marks = chart::seconds(longest.max().unwrap_or(0) as f64);
    let mut show = |heading: &str, value: fn(&Tick) -> f64| {
        let lines = lines(report, |record| {
            let each = full(record);
            each.map(|(at, tick)| (at as f64 + 0.5, value(tick)))
                .collect()
        });
        let axes = Axes {
            title: heading,
            marks: &marks,
            height: words::number,
        };
        section(page, report, heading, &chart::draw(&axes, &lines));
    };
    show("Operations a second", |tick| tick.operations as f64);
    show("MiB a second", |tick| {
        tick.bytes as f64 / f64::from(1 << 20)
    });
    if report.targets.iter().any(|(_, record)| record.failed > 0) {
        show("Errors a second", |tick| tick.errors as f64);
    }
}

fn requests(page: &mut String, report: &Report) {
    page.push_str("<h2>Requests</h2>\n");
    let mut rows = Vec::new();
    for (url, record) in &report.targets {
        for (stage, latencies) in &record.stages {
            let mut row = vec![url.clone(), stage.to_string(), latencies.len().to_string()];
            row.extend(
                QUANTILES
                    .iter()
                    .map(|(_, share)| words::time(quantile(latencies, *share))),
            );
            row.push(words::time(longest(latencies)));
            rows.push(row);
        }
    }
    table(
        page,
        &[
            "target", "for", "count", "p50", "p90", "p99", "p99.9", "max",
        ],
        &rows,
    );
}

fn errors(page: &mut String, report: &Report) {
    let mut rows = Vec::new();
    for (url, record) in &report.targets {
        for (kind, errors) in &record.errors {
            rows.push(vec![
                url.clone(),
                kind.to_string(),
                errors.count.to_string(),
                errors.example.clone(),
            ]);
        }
    }
    page.push_str("<h2>Errors</h2>\n");
    if rows.is_empty() {
        page.push_str("<p>None.</p>\n");
    } else {
        table(page, &["target", "kind", "count", "for example"], &rows);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn a_page_needs_nothing_else() {
        for targets in [1, 2] {
            let page = render(&report(targets));
            for foreign in ["<script", "src=", "href=", "@import", "url("] {
                assert!(!page.contains(foreign), "{foreign}");
            }
            assert!(page.contains("prefers-color-scheme: dark"));
        }
    }

    #[test]
    fn words_of_a_registry_are_no_markup() {
        let page = render(&report(1));
        assert!(page.contains("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"));
    }

    #[test]
    fn latency_throughput_and_errors_are_drawn() {
        let page = render(&report(2));
        assert_eq!(page.matches("<svg").count(), 4);
        assert_eq!(page.matches("class=\"line target-1\"").count(), 4);
        assert!(!page.contains("NaN"));
        assert!(page.contains("1.250 to 1.750"));
    }

    #[test]
    fn each_nine_is_as_wide_as_the_last() {
        assert!((nines(0.9) - 1.0).abs() < 1e-9);
        assert!((nines(0.999) - nines(0.99) - 1.0).abs() < 1e-9);
        assert_eq!(nines(0.0), 0.0);
    }
}
