//! A keepalived.conf as a configuration of Seawall, with a word on every directive.
//!
//! The way of a file: [`reader`] makes lines of it and of what it includes, [`words`] takes them apart, [`tree`]
//! finds the blocks; [`top`] and the rooms of each block say what becomes of each directive and fill a [`draft`],
//! which [`write`] makes a text. What keepalived itself ignored is still read as it was meant, where that is plain.
//!
//! The grammar and the keywords are those of `keepalived.conf(5)` of keepalived 2.2.

mod addresses;
mod block;
mod checks;
mod definitions;
mod doors;
mod draft;
mod election;
mod globals;
mod groups;
mod instance;
mod neighbours;
mod probing;
mod reader;
mod reasons;
mod report;
mod servers;
mod top;
mod tree;
mod words;
mod write;

pub use report::{Remark, Verdict};

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::Problem;
use draft::Draft;
use reader::Reader;
use report::{Place, Report};
use top::Translation;

/// What came of a keepalived.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The configuration, as TOML.
    pub text: String,
    /// One remark for each directive, in the order of the file.
    pub report: Vec<Remark>,
    /// How many values of the configuration only the operator knows; each has a line that says `FILL IN`.
    pub open: usize,
}

impl Import {
    /// How many directives had this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        let same = |remark: &&Remark| remark.verdict == verdict;
        self.report.iter().filter(same).count()
    }
}

/// Reads a keepalived.conf and all that it includes.
///
/// `config_id` decides which of the lines with `@` count, as with `keepalived --config-id`; without it, none.
///
/// # Errors
///
/// The first thing that makes the file unreadable: braces or quotes that do not match, an include that leads back
/// to itself, a file that cannot be opened.
pub fn import(file: &Path, config_id: Option<&str>) -> Result<Import, Problem> {
    let place = Place {
        file: Arc::from(file),
        line: 1,
    };
    translate(config_id, |reader| reader.file(file, &place))
}

/// Reads the text of a keepalived.conf; `file` is what remarks call it and where it includes from.
///
/// # Errors
///
/// As for [`import`].
pub fn import_text(text: &str, file: &Path, config_id: Option<&str>) -> Result<Import, Problem> {
    translate(config_id, |reader| reader.text(text, &Arc::from(file)))
}

fn translate(
    config_id: Option<&str>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<(), Problem>,
) -> Result<Import, Problem> {
    let mut report = Report::default();
    let mut reader = Reader::new(config_id, &mut report);
    read(&mut reader)?;
    let text = reader.finish();
    let tree = tree::build(text.lines)?;
    let mut translation = Translation {
        report,
        draft: Draft {
            hides_https: text.hides_https,
            ..Draft::default()
        },
        version: None,
        watched: BTreeSet::new(),
    };
    translation.file(&tree);
    let text = write::write(&translation.draft);
    Ok(Import {
        open: text
            .lines()
            .filter(|line| line.starts_with(write::FILL_IN))
            .count(),
        text,
        report: translation.report.finish(),
    })
}

#[cfg(test)]
mod tests;
