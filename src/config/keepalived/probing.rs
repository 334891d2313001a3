//! How nodes are checked, wherever the file says it: `[health]`.

use std::fmt;
use std::time::Duration;

use super::block::Item;
use super::election::seconds;
use super::report::Verdict::{Dropped, Mended, Translated};
use super::top::Translation;
use crate::config::duration;

/// Above this, a dead node would go unnoticed for long.
const SLOWEST: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_secs(2);
const FASTEST: Duration = Duration::from_millis(10);

/// Above this, no answer is worth waiting for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a setting of a check becomes.
#[derive(Clone, Copy)]
enum CheckValue {
    Interval(Duration),
    Timeout(Duration),
    Fall(u32),
}

impl CheckValue {
    const fn key(self) -> &'static str {
        match self {
            Self::Interval(_) => "interval",
            Self::Timeout(_) => "timeout",
            Self::Fall(_) => "fall",
        }
    }
}

impl fmt::Display for CheckValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key();
        match self {
            Self::Interval(value) | Self::Timeout(value) => {
                write!(f, "{key} = \"{}\"", duration::show(*value))
            }
            Self::Fall(value) => write!(f, "{key} = {value}"),
        }
    }
}

impl Translation {
    /// How nodes are checked, wherever it is said.
    pub(super) fn check_setting(&mut self, item: &Item<'_>) {
        let Some((value, why)) = Self::check_value(item) else {
            self.say(
                item,
                Mended,
                "is not a number that can be; left out: Seawall's default is taken",
            );
            return;
        };
        let changed = why.is_some();
        let set = match value {
            CheckValue::Interval(value) => self.draft.interval.set(value, item.line()),
            CheckValue::Timeout(value) => self.draft.timeout.set(value, item.line()),
            CheckValue::Fall(value) => self.draft.fall.set(value, item.line()),
        };
        let key = value.key();
        match set {
            Ok(()) => {
                let why = why.unwrap_or_else(|| format!("`{value}` in [health], for all nodes"));
                self.say(item, if changed { Mended } else { Translated }, why);
            }
            Err((true, line)) => {
                let why = format!("`{value}` in [health], as in line {line}");
                self.say(item, if changed { Mended } else { Translated }, why);
            }
            Err((false, line)) => {
                let why = format!("all nodes share one `{key}`: that of line {line}");
                self.say(item, Dropped, why);
            }
        }
    }

    /// What a setting becomes, and what there is to say when it had to change; `None`: it is no number.
    fn check_value(item: &Item<'_>) -> Option<(CheckValue, Option<String>)> {
        let arg = item.arg()?;
        Some(match item.key {
            "delay_loop" => {
                let given = seconds(arg, 1e9)?;
                if given > SLOWEST || given < FASTEST {
                    let shown = duration::show(INTERVAL);
                    let given = duration::show(given);
                    let why = format!(
                        "`interval = \"{shown}\"` in [health]: every {given} is no pace for probes that cost a node little and shall notice a dead one soon"
                    );
                    (CheckValue::Interval(INTERVAL), Some(why))
                } else {
                    (CheckValue::Interval(given), None)
                }
            }
            "misc_timeout" | "connect_timeout" => {
                let given = seconds(arg, 1e9)?;
                if given > LONGEST_WAIT || given < FASTEST {
                    let (shown, given) = (duration::show(TIMEOUT), duration::show(given));
                    let why = format!(
                        "`timeout = \"{shown}\"` in [health]: {given} is no time to wait for a probe"
                    );
                    (CheckValue::Timeout(TIMEOUT), Some(why))
                } else {
                    (CheckValue::Timeout(given), None)
                }
            }
            // So many failures beside the first are forgiven.
            _ => {
                let retries: u32 = arg.parse().ok().filter(|retries| *retries < 100)?;
                (CheckValue::Fall(retries + 1), None)
            }
        })
    }
}
