//! What reading a file finds out on its way: every problem, and every key that was looked for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{At, Problem, Secret, Wrong};

/// More than any secret has; certificates are not read here.
const LONGEST_SECRET: u64 = 64 * 1024;

/// Whether files that the configuration names are opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Opened,
    LeftAlone,
}

pub(super) struct Notes<'a> {
    file: &'a Path,
    files: Files,
    /// The offset at which each line begins.
    lines: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
    strangers: RefCell<Vec<Stranger>>,
    asked: RefCell<BTreeSet<String>>,
}

/// A key that nobody looked for.
struct Stranger {
    at: At,
    table: String,
    key: String,
    known: Vec<&'static str>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(file: &'a Path, text: &str, files: Files) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        Self {
            file,
            files,
            lines: std::iter::once(0).chain(ends.map(|(i, _)| i + 1)).collect(),
            problems: RefCell::default(),
            strangers: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// The line of the byte at `offset`.
    pub(super) fn at(&self, offset: usize) -> At {
        At {
            line: self.lines.partition_point(|start| *start <= offset),
        }
    }

    pub(super) fn problem(&self, at: At, key: impl Into<String>, wrong: Wrong) {
        self.problems.borrow_mut().push(Problem {
            file: self.file.to_owned(),
            line: at.line,
            key: key.into(),
            what: wrong.what,
            fix: wrong.fix,
        });
    }

    /// Remembers that `path` is a key.
    pub(super) fn ask(&self, path: String) {
        self.asked.borrow_mut().insert(path);
    }

    /// Remembers a key that is none; what it was meant to be is said at the end, when all keys are known.
    pub(super) fn stranger(&self, at: At, table: &str, key: &str, known: &[&'static str]) {
        self.strangers.borrow_mut().push(Stranger {
            at,
            table: table.to_owned(),
            key: key.to_owned(),
            known: known.to_vec(),
        });
    }

    /// Where a file lies that the configuration names: beside the configuration, unless the path is absolute.
    pub(super) fn locate(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Checks that a file can be read.
    pub(super) fn check_readable(&self, path: &Path) -> Result<(), Wrong> {
        if self.files == Files::LeftAlone {
            return Ok(());
        }
        open(path)
            .map(|_| ())
            .map_err(|error| unreadable(path, &error))
    }

    /// Reads a secret without the line end behind it; nothing when files are left alone.
    pub(super) fn read_secret(&self, path: &Path) -> Result<Secret, Wrong> {
        if self.files == Files::LeftAlone {
            return Ok(Secret::default());
        }
        let mut text = Zeroizing::new(String::new());
        open(path)
            .and_then(|file| file.take(LONGEST_SECRET).read_to_string(&mut text))
            .map_err(|error| unreadable(path, &error))?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(Wrong::new(
                format!("`{}` is empty", path.display()),
                "put the secret into it",
            ));
        }
        Ok(Secret::new(secret))
    }

    /// All keys that were looked for, and all problems in the order of their lines.
    pub(super) fn finish(self) -> (BTreeSet<String>, Vec<Problem>) {
        let asked = self.asked.take();
        for stranger in self.strangers.take() {
            let path = join(&stranger.table, &stranger.key);
            self.problem(stranger.at, path, stranger.explain(&asked));
        }
        let mut problems = self.problems.take();
        problems.sort_by_key(|problem| problem.line);
        (asked, problems)
    }
}

impl Stranger {
    fn explain(&self, asked: &BTreeSet<String>) -> Wrong {
        let what = "is not a known key";
        let elsewhere = asked.iter().find(|path| {
            let (_, key) = path.rsplit_once('.').unwrap_or(("", path));
            key == self.key
        });
        let fix = if let Some(near) = nearest(&self.key, self.known.iter().copied()) {
            format!("did you mean `{near}`?")
        } else if let Some(path) = elsewhere {
            match path.rsplit_once('.') {
                Some((table, key)) => format!("`{key}` belongs into [{table}]"),
                None => format!("`{path}` belongs to the top of the file, before the first table"),
            }
        } else {
            format!("remove it; known here: {}", self.known.join(", "))
        };
        Wrong::new(what, fix)
    }
}

/// The one of `known` words that `word` was likely meant to be.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // Beyond this, no key is meant, and comparing takes time that grows with the square.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_ascii_lowercase().replace('-', "_");
    known
        .map(|one| {
            let folded = one.replace('-', "_");
            (strsim::damerau_levenshtein(&word, &folded), one)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, one)| *distance <= one.len().div_ceil(3))
        .map(|(_, one)| one)
}

/// A key with its tables.
pub(super) fn join(table: &str, key: &str) -> String {
    if table.is_empty() {
        key.to_owned()
    } else {
        format!("{table}.{key}")
    }
}

/// Opens a regular file; a pipe would hold up the start for ever.
fn open(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"))
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Wrong {
    Wrong::new(
        format!("`{}` cannot be read: {error}", path.display()),
        "name a file that is there and that this user may read",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_in_the_line_that_began_before_it() {
        let notes = Notes::new(Path::new("f"), "ab\nc\n\nd", Files::LeftAlone);
        let lines: Vec<_> = (0..7).map(|offset| notes.at(offset).line).collect();
        assert_eq!(lines, [1, 1, 1, 2, 2, 3, 4]);
    }

    #[test]
    fn the_nearest_word_is_near() {
        let known = || ["weight", "name", "url", "redirect_to_https"].into_iter();
        assert_eq!(nearest("wieght", known()), Some("weight"));
        assert_eq!(
            nearest("redirect-to-https", known()),
            Some("redirect_to_https")
        );
        assert_eq!(nearest("URL", known()), Some("url"));
        assert_eq!(nearest("colour", known()), None);
    }

    #[test]
    fn files_lie_beside_the_configuration() {
        let notes = Notes::new(Path::new("/etc/seawall/seawall.toml"), "", Files::LeftAlone);
        assert_eq!(
            notes.locate("certs/a.pem"),
            Path::new("/etc/seawall/certs/a.pem")
        );
        assert_eq!(notes.locate("/srv/a.pem"), Path::new("/srv/a.pem"));
    }
}
