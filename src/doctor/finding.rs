//! What the doctor says: findings with stable words, what was only noticed, and what could not be tried.

use serde::Serialize;

/// Of what a node says.
const MOST_CHARACTERS: usize = 120;

/// What is wrong, in one stable word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Nobody answers there, or no Harbor does.
    Unreachable,
    /// A part of the node does not work.
    ComponentDown,
    /// The nodes run different versions.
    VersionDiffers,
    /// A clock is wrong.
    ClockSkew,
    /// The node takes another address for the public one.
    ExternalUrlWrong,
    /// The node sends clients to plain HTTP for their tokens.
    RealmPlainHttp,
    /// No node takes the account.
    AccountRefused,
    /// Some nodes take the account, others do not.
    AccountDiffers,
    /// Tokens of one node are worth nothing on another.
    TokenKeyDiffers,
    /// The nodes keep sessions in different places.
    RedisNotShared,
    /// Tokens against forgery of one node are worth nothing on another.
    CsrfKeyDiffers,
    /// The nodes have different databases.
    DatabaseNotShared,
    /// The nodes have different storage.
    StorageNotShared,
    /// The storage is one, but shows late what another node wrote.
    StorageLags,
    /// The registries sign the state of uploads with different secrets.
    HttpSecretDiffers,
    /// Users exist on some nodes only.
    UsersDiffer,
    /// Robots exist on some nodes only.
    RobotsDiffer,
}

impl Code {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::ComponentDown => "component-down",
            Self::VersionDiffers => "version-differs",
            Self::ClockSkew => "clock-skew",
            Self::ExternalUrlWrong => "external-url-wrong",
            Self::RealmPlainHttp => "realm-plain-http",
            Self::AccountRefused => "account-refused",
            Self::AccountDiffers => "account-differs",
            Self::TokenKeyDiffers => "token-key-differs",
            Self::RedisNotShared => "redis-not-shared",
            Self::CsrfKeyDiffers => "csrf-key-differs",
            Self::DatabaseNotShared => "database-not-shared",
            Self::StorageNotShared => "storage-not-shared",
            Self::StorageLags => "storage-lags",
            Self::HttpSecretDiffers => "http-secret-differs",
            Self::UsersDiffer => "users-differ",
            Self::RobotsDiffer => "robots-differ",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Requests fail.
    Error,
    /// Requests may fail, or Seawall makes up for it.
    Warning,
}

impl Severity {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The nodes to mend; all that take part where none of them can be called the odd one. None: it is this machine.
    pub nodes: Vec<String>,
    /// What was seen.
    pub what: String,
    /// What users see of it.
    pub symptom: String,
    /// What to copy from where, or to set.
    pub fix: String,
}

/// A node as it was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Met {
    /// Its name in the configuration.
    pub name: String,
    /// Which kind of registry it is.
    pub dialect: Option<&'static str>,
    /// Its version, if it tells.
    pub version: Option<String>,
}

/// All that an examination brought to light.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether nothing was found.
    pub ok: bool,
    /// The faults.
    pub findings: Vec<Finding>,
    /// What was noticed and is no fault.
    pub notes: Vec<String>,
    /// What was not tried or gave no answer, and why.
    pub left_out: Vec<String>,
    /// The nodes.
    pub nodes: Vec<Met>,
}

/// What a node said, fit for a terminal: not too long, and without control characters.
pub fn clean(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(harmless).take(MOST_CHARACTERS).collect()
}

/// `a`, `a and b`, `a, b and c`.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_code_is_the_same_for_people_and_machines() {
        for code in [
            Code::Unreachable,
            Code::ExternalUrlWrong,
            Code::RealmPlainHttp,
            Code::HttpSecretDiffers,
            Code::UsersDiffer,
        ] {
            let json = serde_json::to_value(code).unwrap_or_default();
            assert_eq!(json, code.name());
        }
    }

    #[test]
    fn a_node_cannot_write_on_the_terminal_what_it_likes() {
        assert_eq!(clean("v2\u{1b}[31m\n"), "v2 [31m ");
        assert_eq!(clean(&"x".repeat(1000)).len(), MOST_CHARACTERS);
    }

    #[test]
    fn names_read_as_a_sentence() {
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
