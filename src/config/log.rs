//! `[log]`: what is written, and how.

use super::scope::Scope;

/// What is written to stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// For machines or for people.
    pub format: LogFormat,
    /// The least important line that is written.
    pub level: Level,
    /// Whether every request gets its line.
    pub access: bool,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Words.
    Text,
}

/// How important a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed that somebody must see to.
    Error,
    /// Something is odd and was lived with.
    Warn,
    /// What happened.
    #[default]
    Info,
    /// Why it happened.
    Debug,
}

const FORMATS: [(&str, LogFormat); 2] = [("json", LogFormat::Json), ("text", LogFormat::Text)];

const LEVELS: [(&str, Level); 4] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
];

impl LogFormat {
    /// The word for it in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

impl Level {
    /// The word for it in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            level: Level::default(),
            access: true,
        }
    }
}

impl Log {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let log = Self {
            format: scope.choice("format", &FORMATS).unwrap_or(default.format),
            level: scope.choice("level", &LEVELS).unwrap_or(default.level),
            access: scope.flag("access").unwrap_or(default.access),
        };
        scope.finish();
        log
    }
}
