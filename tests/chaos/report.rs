//! What is printed at the end, and what must hold.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::time::{Duration, Instant};

use super::client::Failure;
use super::ledger::{Kind, Ledger, Operation};
use super::wire::Fault;

/// How it went.
#[derive(Default)]
pub struct Report {
    pub text: String,
    /// What must not have happened.
    pub wrong: Vec<String>,
}

fn count<K: Ord + Debug>(items: impl Iterator<Item = K>) -> String {
    let mut counts = BTreeMap::<K, usize>::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    let words: Vec<String> = (counts.iter())
        .map(|(item, count)| format!("{count} {item:?}"))
        .collect();
    match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(", "),
    }
}

fn fault(failure: &Failure) -> String {
    match &failure.fault {
        Fault::Broke(_) => "broke".to_owned(),
        Fault::Status(code, _) => code.to_string(),
        Fault::Hung => "hung".to_owned(),
        Fault::Wrong(_) => "wrong".to_owned(),
    }
}

impl Report {
    /// Everything that the ledger knows.
    pub fn of(ledger: &Ledger) -> Report {
        let mut report = Report::default();
        let operations = ledger.operations();
        let all = || operations.iter();
        let failures = || all().flat_map(|one| one.failures.iter().map(move |f| (one, f)));
        let of = |kind| all().filter(move |one| one.kind == kind);
        report.line("operations", &count(all().map(|one| one.kind)));
        let kinds = failures().map(|(one, failure)| (one.kind, fault(failure)));
        report.line("failed attempts", &count(kinds));
        let excuses = failures().filter_map(|(one, failure)| ledger.excuse(one, failure));
        report.line("whose fault", &count(excuses));
        let retries = |kind| of(kind).map(|one| one.failures.len()).sum::<usize>();
        let again = format!(
            "{} of pushes, {} of pulls, {} of others",
            retries(Kind::Push),
            retries(Kind::Pull),
            retries(Kind::Look) + retries(Kind::Session)
        );
        report.line("retries by clients", &again);
        for kind in [Kind::Push, Kind::Pull] {
            report.pauses(kind, ledger, of(kind));
        }
        let spans = ledger.spans();
        let acts = spans.iter().map(|span| span.act);
        report.line("acts", &count(acts));
        for (operation, failure) in failures() {
            if !operation.done {
                report.wrong(ledger, operation, "it never succeeded", failure);
            } else if ledger.excuse(operation, failure).is_none() {
                report.wrong(ledger, operation, "it failed without excuse", failure);
            }
        }
        report
    }

    pub fn line(&mut self, name: &str, what: &str) {
        let _ = writeln!(self.text, "  {name}: {what}");
    }

    /// The longest pauses of those that did not fail, and what was in trouble during the longest.
    fn pauses<'o>(&mut self, kind: Kind, ledger: &Ledger, of: impl Iterator<Item = &'o Operation>) {
        let mut paused: Vec<(Duration, &Operation)> =
            of.filter_map(|one| Some((one.pause?, one))).collect();
        paused.sort_by_key(|(pause, _)| *pause);
        let Some((longest, operation)) = paused.last() else {
            return;
        };
        let during = ledger.during(operation.begun, operation.ended);
        let acts: Vec<_> = during.iter().map(|span| span.act).collect();
        let median = paused[paused.len() / 2].0;
        let what = format!("{longest:?} ({acts:?}); {median:?} in the median");
        self.line(&format!("longest pause of a {kind:?}"), &what);
    }

    fn wrong(&mut self, ledger: &Ledger, operation: &Operation, what: &str, failure: &Failure) {
        let at = |when: Instant| when.saturating_duration_since(ledger.begun);
        let during: Vec<_> = (ledger.during(failure.begun, failure.ended).iter())
            .map(|span| (span.act, at(span.begun), span.ended.map(at)))
            .collect();
        self.wrong.push(format!(
            "{:?} {}: {what}: from {:?} to {:?}: {}: {} during {during:?}",
            operation.kind,
            operation.name,
            at(failure.begun),
            at(failure.ended),
            failure.step,
            failure.fault,
        ));
    }
}
