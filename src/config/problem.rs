//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong: where, what, and what to do about it.
///
/// Displays as `FILE:LINE: KEY: what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The configuration file, as the operator named it.
    pub file: PathBuf,
    /// Counted from 1; 0 when there is no line, as for arguments of the command line.
    pub line: usize,
    /// The key with its tables, such as `cluster.node.weight`.
    pub key: String,
    /// What is wrong, as the end of a sentence that begins with the key.
    pub what: String,
    /// What the operator can do.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        write!(f, " {}: {}; {}", self.key, self.what, self.fix)
    }
}

impl std::error::Error for Problem {}

/// Where something stands in the file. Two of them are always equal: a node that moved down three lines has not
/// changed, and comparing configurations must not see a difference.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct At {
    /// Counted from 1; 0 when it stands in no file.
    pub line: usize,
}

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Why a value cannot be taken, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {fix}")]
pub struct Wrong {
    /// What is wrong, as the end of a sentence that begins with the key.
    pub what: String,
    /// What the operator can do.
    pub fix: String,
}

impl Wrong {
    /// Says `what` and how to `fix` it.
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: fix.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_file_line_key_fault_and_remedy() {
        let mut problem = Problem {
            file: "seawall.toml".into(),
            line: 7,
            key: "health.fall".into(),
            what: "is 0".into(),
            fix: "write at least 1".into(),
        };
        assert_eq!(
            problem.to_string(),
            "seawall.toml:7: health.fall: is 0; write at least 1"
        );
        problem.line = 0;
        assert_eq!(
            problem.to_string(),
            "seawall.toml: health.fall: is 0; write at least 1"
        );
    }
}
