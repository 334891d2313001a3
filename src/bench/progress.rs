//! How it goes, on stderr: one line that changes on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use super::report::words;
use super::side::Side;

/// How often the line on a terminal changes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a line is written elsewhere.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Ends with its value.
pub struct Progress {
    task: Option<JoinHandle<()>>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows how `sides` do during a measurement of about `length`; nothing when `quiet`.
    pub fn show(sides: &[Arc<Side>], length: Duration, quiet: bool) -> Self {
        if quiet {
            return Progress {
                task: None,
                bar: None,
            };
        }
        let sides = sides.to_vec();
        if !std::io::stderr().is_terminal() {
            let task = tokio::spawn(async move {
                let begun = Instant::now();
                loop {
                    tokio::time::sleep(SAY_EVERY).await;
                    say(&format!(
                        "{:.0}s: {}",
                        begun.elapsed().as_secs_f64(),
                        line(&sides)
                    ));
                }
            });
            return Progress {
                task: Some(task),
                bar: None,
            };
        }
        let bar = ProgressBar::new(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} [{bar:30}] {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            let begun = Instant::now();
            loop {
                shown.set_position(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
                shown.set_message(line(&sides));
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Progress {
            task: Some(task),
            bar: Some(bar),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(sides: &[Arc<Side>]) -> String {
    let mut parts = Vec::new();
    for side in sides {
        let record = side.record();
        let mut part = format!(
            "{} done, {}",
            record.operations,
            words::bytes(record.bytes as f64)
        );
        if record.failed > 0 {
            part.push_str(&format!(", {} failed", record.failed));
        }
        parts.push(part);
    }
    parts.join(" | ")
}

/// A line to stderr; a closed one is no reason to end.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "seawall: {line}");
}
