//! What came out, for eyes, for scripts and for a browser.

pub mod chart;
pub mod html;
pub mod json;
pub mod text;
pub mod words;

use super::compare::Ratio;
use super::record::Record;

/// Everything there is to say about a run.
pub struct Report {
    /// `pull`, `push` or `mixed`.
    pub scenario: &'static str,
    /// What was asked of the targets, in words.
    pub load: String,
    /// What decided every byte.
    pub seed: u64,
    /// Whether the operator ended it early.
    pub interrupted: bool,
    /// The targets with what was measured at each.
    pub targets: Vec<(String, Record)>,
    /// How the second target stands to the first.
    pub ratios: Vec<Ratio>,
}

impl Report {
    /// Whether every target did at least one operation.
    pub fn succeeded(&self) -> bool {
        self.targets.iter().all(|(_, record)| record.operations > 0)
    }
}

/// Operations and bytes per second.
fn throughput(record: &Record) -> (f64, f64) {
    let seconds = record.seconds();
    if seconds <= 0.0 {
        return (0.0, 0.0);
    }
    (
        record.operations as f64 / seconds,
        record.bytes as f64 / seconds,
    )
}

/// The percentiles that are told, with their names.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::failure::{Failure, Kind};
    use super::super::trace::{Notes, Stage};
    use super::*;

    /// A small run at one target or two, with a name that HTML must not believe.
    pub fn report(targets: usize) -> Report {
        let record = || {
            let mut record = Record::default();
            record.begin_slice();
            let millis = Duration::from_millis;
            for latency in [10, 30] {
                let notes = Notes {
                    stages: vec![(Stage::Token, millis(2))],
                    bytes: 1024,
                };
                record.succeed("pull", millis(100), millis(latency), &notes);
            }
            let failure = Failure::new(Kind::Digest, "<script>alert(\"x\")</script>");
            record.fail(&failure, millis(1500), &Notes::default());
            record.end_slice(millis(2000), 0);
            record
        };
        let urls = ["https://a.example", "https://b.example"];
        let ratio = Ratio {
            of: "ops_per_s",
            ratio: 1.5,
            low: 1.25,
            high: 1.75,
        };
        Report {
            scenario: "pull",
            load: "8 clients".to_owned(),
            seed: 7,
            interrupted: false,
            targets: urls
                .iter()
                .take(targets)
                .map(|url| ((*url).to_owned(), record()))
                .collect(),
            ratios: if targets > 1 { vec![ratio] } else { Vec::new() },
        }
    }

    #[test]
    fn a_run_in_which_nothing_worked_did_not_succeed() {
        let mut report = report(2);
        assert!(report.succeeded());
        report
            .targets
            .push(("https://c.example".to_owned(), Record::default()));
        assert!(!report.succeeded());
    }
}
