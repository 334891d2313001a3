//! What became of each directive.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::Item;
use super::tree::Directive;
use crate::config::Problem;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: Arc<Path>,
    pub(super) line: usize,
}

impl Place {
    /// A problem that stands here.
    pub(super) fn problem(&self, key: &str, what: impl Into<String>, fix: &str) -> Problem {
        Problem {
            file: self.file.to_path_buf(),
            line: self.line,
            key: key.into(),
            what: what.into(),
            fix: fix.into(),
        }
    }
}

/// The place in the report: that of the line, then that in the line.
pub(super) type Order = (usize, usize);

/// What became of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It means the same in Seawall.
    Kept,
    /// Another key does it.
    Translated,
    /// It was wrong, and something was made of it.
    Mended,
    /// It is not needed, or not possible.
    Dropped,
}

impl Verdict {
    /// The word for it in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Translated => "translated",
            Self::Mended => "mended",
            Self::Dropped => "dropped",
        }
    }
}

/// What became of one directive. Displays as `FILE:LINE: DIRECTIVE: VERDICT: why`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The file that it stands in.
    pub file: PathBuf,
    /// Its line, counted from 1.
    pub line: usize,
    /// Its first word. Never its value, which may be a secret.
    pub directive: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, and what to do.
    pub why: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = (self.file.display(), self.line);
        let (directive, verdict) = (&self.directive, self.verdict.name());
        write!(f, "{file}:{line}: {directive}: {verdict}: {}", self.why)
    }
}

/// One remark for each directive, whatever is said how often.
#[derive(Default)]
pub(super) struct Report {
    said: BTreeMap<Order, Remark>,
}

impl Report {
    pub(super) fn note(
        &mut self,
        order: Order,
        place: &Place,
        word: &str,
        verdict: Verdict,
        why: impl Into<String>,
    ) {
        let remark = Remark {
            file: place.file.to_path_buf(),
            line: place.line,
            directive: shown(word),
            verdict,
            why: why.into(),
        };
        self.said.insert(order, remark);
    }

    pub(super) fn say(&mut self, item: &Item<'_>, verdict: Verdict, why: impl Into<String>) {
        let mut why = why.into();
        let mut verdict = verdict;
        if item.misspelt {
            let word = shown(item.directive.word());
            let key = item.key;
            why = format!(
                "`{word}` is not a keyword, so keepalived ignored it; read as `{key}`: {why}"
            );
            verdict = Verdict::Mended;
        }
        if item.takes_one() && item.args().len() > 1 {
            why.push_str("; what else stands in the line means nothing and was left out");
            verdict = Verdict::Mended;
        }
        self.directive(item.directive, verdict, why);
    }

    pub(super) fn directive(
        &mut self,
        directive: &Directive,
        verdict: Verdict,
        why: impl Into<String>,
    ) {
        let word = directive.word();
        self.note(directive.order, &directive.place, word, verdict, why);
    }

    /// Drops everything inside of a directive.
    pub(super) fn drop_inside(&mut self, directive: &Directive) {
        let word = shown(directive.word());
        for inner in directive.inside() {
            let why = format!("goes with `{word}` in line {}", directive.place.line);
            self.directive(inner, Verdict::Dropped, why);
            self.drop_inside(inner);
        }
    }

    /// Nothing in the file goes unmentioned.
    pub(super) fn cover(&mut self, directives: &[Directive]) {
        for directive in directives {
            if !self.said.contains_key(&directive.order) {
                let why = "means nothing in this place, so keepalived ignored it; left out";
                self.directive(directive, Verdict::Mended, why);
            }
            self.cover(directive.inside());
        }
    }

    pub(super) fn finish(self) -> Vec<Remark> {
        self.said.into_values().collect()
    }
}

/// A word of the file for a message: in one line and not endless.
pub(super) fn shown(word: &str) -> String {
    const MOST: usize = 60;
    let mut text: String = word
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if word.chars().nth(MOST).is_some() {
        text.push('…');
    }
    text
}
