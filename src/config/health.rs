//! `[health]` and `[outlier]`: when a node gets work, by probes and by how requests end.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::scope::Scope;
use super::{Wrong, duration};

const SECOND: Duration = Duration::from_secs(1);
const PAUSES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);

/// How nodes are probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is asked.
    pub probe: Probe,
    /// From one probe of a node to the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Good probes in a row after which a component is up.
    pub rise: u32,
    /// Bad probes in a row after which a component is down.
    pub fall: u32,
    /// How long a node that came back takes to get its whole share; zero: none.
    pub slow_start: Duration,
    /// Whether the harmless part of `seawall doctor` runs after the start and after every reload.
    pub doctor: bool,
}

/// Which generation of Harbor the probes speak to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probe {
    /// Found out from the answers.
    #[default]
    Auto,
    /// Harbor 2.
    Harbor2,
    /// Harbor 1.8 to 1.10.
    Harbor1,
    /// Harbor 1.5 to 1.7, which cannot tell the health of their components.
    Harbor15,
    /// A plain distribution registry.
    Registry,
}

const PROBES: [(&str, Probe); 5] = [
    ("auto", Probe::Auto),
    ("harbor-2", Probe::Harbor2),
    ("harbor-1", Probe::Harbor1),
    ("harbor-1.5", Probe::Harbor15),
    ("registry", Probe::Registry),
];

impl Probe {
    /// The word for it in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Harbor2 => "harbor-2",
            Self::Harbor1 => "harbor-1",
            Self::Harbor15 => "harbor-1.5",
            Self::Registry => "registry",
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            probe: Probe::Auto,
            interval: 2 * SECOND,
            timeout: 5 * SECOND,
            rise: 2,
            fall: 3,
            slow_start: 10 * SECOND,
            doctor: true,
        }
    }
}

impl Health {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let health = Self {
            probe: scope.choice("probe", &PROBES).unwrap_or(default.probe),
            interval: scope
                .duration("interval", PAUSES)
                .unwrap_or(default.interval),
            timeout: scope.duration("timeout", PAUSES).unwrap_or(default.timeout),
            rise: scope.number("rise", 1..=100).unwrap_or(default.rise),
            fall: scope.number("fall", 1..=100).unwrap_or(default.fall),
            slow_start: scope
                .duration("slow_start", Duration::ZERO..=3600 * SECOND)
                .unwrap_or(default.slow_start),
            doctor: scope.flag("doctor").unwrap_or(default.doctor),
        };
        scope.finish();
        health
    }
}

/// When a node that fails requests, or is slow, is taken out before probes notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Failed requests in a row.
    pub consecutive: u32,
    /// How long the first time; the second time in a row twice as long, then four times.
    pub base: Duration,
    /// How long at most.
    pub max: Duration,
    /// How many of all nodes at once, in percent; one of several always, unless this is zero.
    pub max_percent: u8,
    /// So many percent of its requests must fail more than at its siblings; zero: that is not compared.
    pub failure_percent: u8,
    /// So many times as long as at its siblings must its answers take to begin; zero: that is not compared.
    pub slow_factor: u32,
    /// Requests without which a node is not compared.
    pub volume: u32,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive: 5,
            base: 10 * SECOND,
            max: 300 * SECOND,
            max_percent: 50,
            failure_percent: 10,
            slow_factor: 4,
            volume: 10,
        }
    }
}

impl Outlier {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let terms = SECOND / 10..=86_400 * SECOND;
        let outlier = Self {
            consecutive: scope
                .number("consecutive", 1..=1000)
                .unwrap_or(default.consecutive),
            base: scope
                .duration("base", terms.clone())
                .unwrap_or(default.base),
            max: scope.duration("max", terms).unwrap_or(default.max),
            max_percent: scope
                .number("max_percent", 0..=100)
                .unwrap_or(default.max_percent),
            failure_percent: scope
                .number("failure_percent", 0..=100)
                .unwrap_or(default.failure_percent),
            slow_factor: scope
                .number("slow_factor", 0..=1000)
                .unwrap_or(default.slow_factor),
            volume: scope
                .number("volume", 5..=100_000)
                .unwrap_or(default.volume),
        };
        if outlier.max < outlier.base {
            let key = if scope.has("max") { "max" } else { "base" };
            let (base, max) = (duration::show(outlier.base), duration::show(outlier.max));
            scope.wrong(
                key,
                Wrong::new(
                    format!("makes max ({max}) shorter than base ({base})"),
                    "write a max of at least base",
                ),
            );
        }
        scope.finish();
        outlier
    }
}
