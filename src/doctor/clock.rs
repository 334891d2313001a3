//! Clocks, read off the `Date` of every answer: it has whole seconds, so that only an interval is known.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::finding::{Code, Finding, Severity, list};

/// What two clocks may differ, beyond what the reading leaves open.
const MOST: f64 = 2.0;
/// Harbor forgives tokens so much (distribution registry/auth/token, golang-jwt leeway in Harbor 2).
pub(super) const LEEWAY: f64 = 60.0;

/// One answer's word.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When it was asked, by our clock.
    pub sent: SystemTime,
    /// When the answer was there.
    pub received: SystemTime,
    /// What the answer says.
    pub date: SystemTime,
}

/// By how many seconds a clock is ahead of ours: between these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ahead {
    /// At least.
    pub from: f64,
    /// At most.
    pub to: f64,
}

impl Ahead {
    /// The middle of what is possible.
    pub fn middle(self) -> f64 {
        f64::midpoint(self.from, self.to)
    }

    /// How far two clocks are apart at least.
    pub fn apart(self, other: Self) -> f64 {
        (self.from - other.to).max(other.from - self.to).max(0.0)
    }
}

const OURS: Ahead = Ahead { from: 0.0, to: 0.0 };

/// What all answers of a node together say. `None`: there were none, or its clock was set in between.
pub fn read(samples: &[Sample]) -> Option<Ahead> {
    let seconds = |at: SystemTime| {
        let since = at.duration_since(UNIX_EPOCH);
        since.unwrap_or(Duration::ZERO).as_secs_f64()
    };
    let all = samples.iter().map(|sample| Ahead {
        from: seconds(sample.date) - seconds(sample.received),
        to: seconds(sample.date) + 1.0 - seconds(sample.sent),
    });
    let narrowed = all.reduce(|a, b| Ahead {
        from: a.from.max(b.from),
        to: a.to.min(b.to),
    });
    narrowed.filter(|ahead| ahead.from <= ahead.to)
}

/// The clocks that are wrong. The middle one of all is right, ours being one of them.
pub fn judge(names: &[String], clocks: &[Option<Ahead>]) -> Vec<Finding> {
    let mut all: Vec<Ahead> = clocks.iter().flatten().copied().chain([OURS]).collect();
    all.sort_by(|a, b| a.middle().total_cmp(&b.middle()));
    let right = match (all.len() % 2, all.len() / 2) {
        (1, middle) => all.get(middle),
        // Two in the middle: ours decides only between several nodes.
        (_, middle) => all.get(middle).filter(|other| {
            all.get(middle - 1)
                .is_some_and(|one| one.apart(**other) <= MOST)
        }),
    };
    let right = right.copied().unwrap_or(OURS);
    let wrong = |clock: Ahead| clock.apart(right) > MOST;
    let fix = "run chrony or systemd-timesyncd there, with the same servers as on the other hosts";
    let mut findings = Vec::new();
    for (name, clock) in names.iter().zip(clocks) {
        let Some(clock) = clock.filter(|clock| wrong(*clock)) else {
            continue;
        };
        findings.push(finding(
            vec![name.clone()],
            name,
            clock.middle() - right.middle(),
            fix,
        ));
    }
    if wrong(OURS) {
        findings.push(finding(Vec::new(), "this machine", -right.middle(), fix));
    }
    findings
}

fn finding(nodes: Vec<String>, whose: &str, ahead: f64, fix: &str) -> Finding {
    let way = if ahead < 0.0 { "behind" } else { "ahead" };
    let by = ahead.abs();
    let severity = if by >= LEEWAY - 1.0 && !nodes.is_empty() {
        Severity::Error
    } else {
        Severity::Warning
    };
    let fix = if nodes.is_empty() {
        fix.to_owned()
    } else {
        format!("on {}: {fix}", list(&nodes))
    };
    Finding {
        code: Code::ClockSkew,
        severity,
        nodes,
        what: format!("the clock of {whose} is about {by:.0} s {way}"),
        symptom: "from a minute on, tokens of one node are not yet valid on another (401 at random); logs and \
                  push times do not fit together"
            .to_owned(),
        fix,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs_f64(1_000_000.0 + seconds)
    }

    fn sample(sent: f64, received: f64, date: f64) -> Sample {
        Sample {
            sent: at(sent),
            received: at(received),
            date: at(date),
        }
    }

    fn ahead(seconds: f64) -> Option<Ahead> {
        Some(Ahead {
            from: seconds - 0.5,
            to: seconds + 0.5,
        })
    }

    fn blamed(clocks: &[Option<Ahead>]) -> Vec<Vec<String>> {
        let names: Vec<String> = (1..=clocks.len()).map(|at| format!("n{at}")).collect();
        let findings = judge(&names, clocks);
        findings.into_iter().map(|finding| finding.nodes).collect()
    }

    #[test]
    fn more_answers_narrow_what_is_known() {
        let clock = read(&[sample(0.9, 0.95, 0.0), sample(1.0, 1.05, 1.0)]).unwrap();
        assert!(clock.from > -0.06 && clock.to < 0.11, "{clock:?}");
    }

    #[test]
    fn a_clock_that_was_set_in_between_is_not_known() {
        assert_eq!(read(&[sample(0.0, 0.1, 0.0), sample(1.0, 1.1, 40.0)]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn whole_seconds_and_slow_answers_are_no_skew() {
        let slow = read(&[sample(0.0, 8.0, 7.0)]);
        assert_eq!(blamed(&[slow, ahead(0.0)]), Vec::<Vec<String>>::new());
    }

    #[test]
    fn the_clock_that_differs_from_the_other_node_and_from_ours_is_wrong() {
        assert_eq!(blamed(&[ahead(0.0), ahead(30.0)]), [["n2"]]);
        assert_eq!(blamed(&[ahead(-5.0), ahead(0.0)]), [["n1"]]);
        assert_eq!(blamed(&[ahead(0.0), ahead(9.0), ahead(0.0)]), [["n2"]]);
    }

    #[test]
    fn when_the_nodes_agree_it_is_this_machine() {
        assert_eq!(blamed(&[ahead(30.0), ahead(30.0)]), [Vec::<String>::new()]);
        assert_eq!(blamed(&[None, None]), Vec::<Vec<String>>::new());
    }

    proptest! {
        #[test]
        fn a_right_clock_is_never_blamed(waits in proptest::collection::vec((0.0..100.0_f64, 0.0..9.0_f64, 0.0..1.0_f64), 1..9)) {
            let samples: Vec<Sample> = waits
                .iter()
                .map(|(sent, took, when)| sample(*sent, sent + took, (sent + took * when).floor()))
                .collect();
            prop_assert_eq!(blamed(&[read(&samples), ahead(0.0)]), Vec::<Vec<String>>::new());
        }
    }
}
