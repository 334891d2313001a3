//! What a run is asked to do, and the few values that only a load test has.

use std::time::Duration;

use super::image::Shape;
use super::login::Account;
use super::schedule::Pace;
use super::target::Manner;
use crate::config::{Url, Wrong, size};

/// What the operations are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scenario {
    /// Pulls of images that are pushed before.
    Pull,
    /// Pushes of images that are new.
    Push,
    /// Both; the share of pushes, 0 to 1.
    Mixed(f64),
}

impl Scenario {
    /// For the report.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Pull => "pull",
            Scenario::Push => "push",
            Scenario::Mixed(_) => "mixed",
        }
    }

    /// The share of operations that are pushes.
    pub fn push_share(self) -> f64 {
        match self {
            Scenario::Pull => 0.0,
            Scenario::Push => 1.0,
            Scenario::Mixed(share) => share,
        }
    }
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is done.
    pub scenario: Scenario,
    /// One registry, or two to compare.
    pub urls: Vec<Url>,
    /// The project, or the beginning of every repository's name.
    pub project: String,
    /// Who logs in; nobody for a registry that asks for nothing.
    pub account: Option<Account>,
    /// How certificates are judged.
    pub manner: Manner,
    /// How much is asked.
    pub pace: Pace,
    /// How images look.
    pub shape: Shape,
    /// How many there are.
    pub images: u32,
    /// How long each target is measured.
    pub duration: Duration,
    /// How long a target is measured at a time when two are compared.
    pub slice: Duration,
    /// How long nothing may move.
    pub patience: Duration,
    /// Whether to be silent on stderr while it runs.
    pub quiet: bool,
}

impl Settings {
    /// The load in words.
    pub fn load(&self) -> String {
        let Shape {
            layers,
            layer_size,
            shared,
            ..
        } = self.shape;
        let pace = match self.pace.rate {
            Some(rate) => format!("{rate} a second by up to {} clients", self.pace.clients),
            None => format!("{} clients", self.pace.clients),
        };
        format!(
            "{pace}, images of {layers} x {} of which {shared} shared",
            size::show(layer_size)
        )
    }

    /// How many slices of what length each target gets. One for a single target; for two at least four, so that
    /// there is something to draw from.
    pub fn slices(&self) -> (u32, Duration) {
        if self.urls.len() < 2 {
            return (1, self.duration);
        }
        let count = self.duration.as_secs_f64() / self.slice.as_secs_f64().max(0.001);
        let count = (count.round() as u32).clamp(4, 10_000);
        (count, self.duration / count)
    }
}

/// Reads a rate in operations: `50/s`, `300/m`, `0.5/s`.
///
/// # Errors
///
/// Anything else, a number without a unit included.
pub fn parse_rate(text: &str) -> Result<f64, Wrong> {
    let wrong = || {
        let what = format!("`{}` is not a rate", text.escape_debug());
        Wrong::new(what, "write it like \"50/s\" or \"300/m\"")
    };
    let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let rate = match unit.trim() {
        "s" => number,
        "m" => number / 60.0,
        _ => return Err(wrong()),
    };
    let sound = rate.is_finite() && rate > 0.0 && rate <= 1_000_000.0;
    if sound { Ok(rate) } else { Err(wrong()) }
}

/// Reads a share as 0 to 1: `20%`.
///
/// # Errors
///
/// Anything else.
pub fn parse_share(text: &str) -> Result<f64, Wrong> {
    let number = text.trim().strip_suffix('%');
    let number = number.and_then(|number| number.trim().parse::<f64>().ok());
    number
        .filter(|share| (0.0..=100.0).contains(share))
        .map(|share| share / 100.0)
        .ok_or_else(|| {
            let what = format!("`{}` is not a share", text.escape_debug());
            Wrong::new(what, "write it like \"20%\"")
        })
}

/// Reads the beginning of repository names: one part or several, as the OCI distribution specification has them.
///
/// # Errors
///
/// Anything that no repository could begin with.
pub fn parse_project(text: &str) -> Result<String, Wrong> {
    let sound = |part: &str| {
        let edge =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inside =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        edge(part.chars().next()) && edge(part.chars().last()) && part.chars().all(inside)
    };
    if text.len() <= 128 && text.split('/').all(sound) {
        return Ok(text.to_owned());
    }
    let what = format!("`{}` is not a project", text.escape_debug());
    Err(Wrong::new(
        what,
        "use lower-case letters, digits and -, _, . between them",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_a_unit() {
        assert_eq!(parse_rate("50/s").unwrap(), 50.0);
        assert_eq!(parse_rate("30/m").unwrap(), 0.5);
        for text in ["50", "x/s", "0/s", "-1/s", "1/h", "inf/s", "NaN/s", ""] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percentages() {
        assert_eq!(parse_share("20%").unwrap(), 0.2);
        for text in ["20", "101%", "-1%", "%", "NaN%"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_project_begins_a_repository_name() {
        for text in ["bench", "a/b-c", "x1"] {
            assert_eq!(parse_project(text).unwrap(), text);
        }
        for text in ["", "/", "a/", "-a", "A", "a b", "a/../b", "a?b"] {
            assert!(parse_project(text).is_err(), "{text}");
        }
    }
}
