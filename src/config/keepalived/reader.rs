//! The lines of a keepalived.conf and of all that it includes, with parameters replaced.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::definitions::{Definitions, Expanded, definition};
use super::report::{Place, Report, Verdict, shown};
use super::words::{self, Token};
use crate::config::Problem;

/// Far beyond any configuration, included files together.
const LONGEST: usize = 4 << 20;

/// Far beyond what replacing parameters takes.
const MOST_WORK: usize = 64 << 20;

/// Files inside of files; also lines inside of parameters.
const DEEPEST: usize = 16;

/// Far beyond any configuration; a parameter of many lines that is used many times has more.
const MOST_LINES: usize = 100_000;

/// More files than anybody includes.
const MOST_FILES: usize = 1000;

/// A line with what is left of it; none is left of one that only tells how to read others.
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) tokens: Vec<Token>,
}

/// Reads files.
pub(super) struct Reader<'a> {
    config_id: Option<&'a str>,
    definitions: Definitions,
    lines: Vec<Line>,
    report: &'a mut Report,
    /// The files that are being read, each included by the one before.
    open: Vec<PathBuf>,
    files: usize,
    bytes: usize,
    work: usize,
    /// Whether a virtual server of port 443 is there as a comment.
    hides_https: bool,
}

/// What was read.
pub(super) struct Text {
    pub(super) lines: Vec<Line>,
    pub(super) hides_https: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(config_id: Option<&'a str>, report: &'a mut Report) -> Self {
        let mut definitions = Definitions::default();
        if let Some(id) = config_id {
            definitions.define("_INSTANCE", id);
        }
        Self {
            config_id,
            definitions,
            lines: Vec::new(),
            report,
            open: Vec::new(),
            files: 0,
            bytes: LONGEST,
            work: MOST_WORK,
            hides_https: false,
        }
    }

    pub(super) fn finish(self) -> Text {
        Text {
            lines: self.lines,
            hides_https: self.hides_https,
        }
    }

    /// Reads the file at `path`; `from` is where it is named.
    pub(super) fn file(&mut self, path: &Path, from: &Place) -> Result<(), Problem> {
        let failed = |what: String, fix: &str| from.problem("file", what, fix);
        let unreadable = |error: std::io::Error| {
            let fix = "name a file that is there and that this user may read";
            failed(format!("`{}` cannot be read: {error}", path.display()), fix)
        };
        let real = path.canonicalize().map_err(unreadable)?;
        if !real.is_file() {
            let what = format!("`{}` is not a file", path.display());
            return Err(failed(what, "name a file"));
        }
        if self.open.contains(&real) {
            let what = format!("`{}` includes itself", path.display());
            return Err(failed(what, "remove the include that leads back"));
        }
        self.files += 1;
        if self.open.len() >= DEEPEST || self.files > MOST_FILES {
            let what = format!("`{}` is included too deep or too often", path.display());
            return Err(failed(what, "include fewer files"));
        }
        let mut bytes = Vec::new();
        let limit = u64::try_from(self.bytes + 1).unwrap_or(u64::MAX);
        File::open(&real)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        // Comments are often in an encoding of their own.
        let text = String::from_utf8_lossy(&bytes);
        self.open.push(real);
        self.text(&text, &Arc::from(path))?;
        self.open.pop();
        Ok(())
    }

    /// Reads a text that stands in `file`.
    pub(super) fn text(&mut self, text: &str, file: &Arc<Path>) -> Result<(), Problem> {
        let mut lines = text.lines().zip(1..).peekable();
        if self.bytes < text.len() {
            let place = Place {
                file: file.clone(),
                line: 1,
            };
            let what = format!("is longer than {} MiB with what it includes", LONGEST >> 20);
            return Err(place.problem("file", what, "name a keepalived.conf"));
        }
        self.bytes -= text.len();
        while let Some((first, number)) = lines.next() {
            let place = Place {
                file: file.clone(),
                line: number,
            };
            let mut line = first.to_owned();
            let defines = definition(first.trim_start().trim_end_matches('\\')).is_some();
            while !is_comment(first) && line.ends_with('\\') {
                line.pop();
                // Between the lines of a definition, empty ones do not count.
                while defines && lines.next_if(|(next, _)| next.trim().is_empty()).is_some() {}
                let Some((next, _)) = lines.next() else { break };
                line.push('\n');
                line.push_str(next.trim_end());
            }
            self.line(&line, &place, 0)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &str, place: &Place, depth: usize) -> Result<(), Problem> {
        if depth > DEEPEST {
            return Err(endless(place));
        }
        if self.lines.len() >= MOST_LINES {
            let what = format!("is longer than {MOST_LINES} lines with what it includes");
            return Err(place.problem("file", what, "import a part of it at a time"));
        }
        let lead = line.trim_start();
        if let Some((name, value)) = definition(lead) {
            let value = if value.contains('\n') {
                value.trim()
            } else {
                words::without_comment(value).trim()
            };
            self.definitions.define(name, value);
            let why = "its value is put in where it is used";
            self.note(place, &format!("${name}"), Verdict::Translated, why);
            return Ok(());
        }
        let plain = line.replace('\n', " ");
        let plain = words::without_comment(&plain).trim();
        if plain.is_empty() {
            self.comment(lead, place);
            return Ok(());
        }
        if plain.starts_with("~SEQ") || plain.starts_with("~LST") {
            let why = "sequences and lists are not read; write out the lines that it stands for";
            self.note(place, "~", Verdict::Dropped, why);
            return Ok(());
        }
        let (first, rest) = plain.split_once(char::is_whitespace).unwrap_or((plain, ""));
        if first.starts_with('@') {
            return self.conditional(first, rest, place, depth);
        }
        if let "include" | "includer" | "includem" | "includew" | "includeb" | "includea" = first {
            return self.include(first, rest, place);
        }
        match self.definitions.expand(plain, &place.file, &mut self.work) {
            Expanded::Endless => Err(endless(place)),
            Expanded::Lines(text) => {
                for line in text.lines() {
                    let line = line.trim_end().trim_end_matches('\\');
                    self.line(line, place, depth + 1)?;
                }
                Ok(())
            }
            Expanded::Line(text) if text.starts_with('@') => self.line(&text, place, depth + 1),
            Expanded::Line(text) => {
                let tokens = words::split(&text).map_err(|words::Unclosed| {
                    let what = "begins a quote that does not end in this line";
                    place.problem(&shown(first), what, "close the quote")
                })?;
                self.lines.push(Line {
                    place: place.clone(),
                    tokens,
                });
                Ok(())
            }
        }
    }

    fn conditional(
        &mut self,
        first: &str,
        rest: &str,
        place: &Place,
        depth: usize,
    ) -> Result<(), Problem> {
        let condition = first.trim_start_matches('@');
        let (host, wanted) = match condition.strip_prefix('^') {
            Some(host) => (host, false),
            None => (condition, true),
        };
        let Some(id) = self.config_id else {
            let why = "counts on some hosts only; import again with --config-id and the name of this host, or write it by hand";
            self.note(place, first, Verdict::Dropped, why);
            return Ok(());
        };
        if (host == id) == wanted {
            return self.line(rest, place, depth + 1);
        }
        let why = format!("does not count on `{}`", shown(id));
        self.note(place, first, Verdict::Dropped, why);
        Ok(())
    }

    fn include(&mut self, keyword: &str, rest: &str, place: &Place) -> Result<(), Problem> {
        let name = match words::split(rest).unwrap_or_default().into_iter().next() {
            Some(Token::Word(name)) => name,
            _ => {
                let why = "names no file; left out";
                self.note(place, keyword, Verdict::Mended, why);
                return Ok(());
            }
        };
        let found = found(&name, place.file.parent().unwrap_or(Path::new("")));
        let number = self.lines.len();
        self.note(place, keyword, Verdict::Dropped, "");
        let before = self.files;
        for path in found {
            self.file(&path, place)?;
        }
        let (verdict, why) = match self.files - before {
            0 => {
                let why = format!(
                    "no file is `{}`, so nothing was included; see whether it should be there",
                    shown(&name)
                );
                (Verdict::Dropped, why)
            }
            1 => (Verdict::Kept, "the file was read in its place".to_owned()),
            n => (Verdict::Kept, format!("{n} files were read in its place")),
        };
        self.report.note((number, 0), place, keyword, verdict, why);
        Ok(())
    }

    /// Servers that were put out of action by comments are easily forgotten.
    fn comment(&mut self, lead: &str, place: &Place) {
        let text = lead.trim_start_matches(|c: char| matches!(c, '#' | '!') || c.is_whitespace());
        let mut words = text.split_whitespace();
        let server = words.next().filter(|word| *word == "virtual_server");
        let port = words.nth(1).map(|port| port.trim_end_matches('{'));
        if let (Some(server), Some(port)) = (server, port)
            && text.contains('{')
        {
            self.hides_https |= port == "443";
            let why = format!(
                "is commented out, so port {} is not served; if it should be, uncomment the block and import again, and bring the certificate of the nodes as that report says",
                shown(port)
            );
            self.note(place, &format!("#{server}"), Verdict::Dropped, why);
        }
    }

    /// Notes take the number of a line, so that the report has them in their place.
    fn note(&mut self, place: &Place, word: &str, verdict: Verdict, why: impl Into<String>) {
        let order = (self.lines.len(), 0);
        self.report.note(order, place, word, verdict, why);
        self.lines.push(Line {
            place: place.clone(),
            tokens: Vec::new(),
        });
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with(['#', '!'])
}

fn endless(place: &Place) -> Problem {
    let what = "stands for a text without end";
    place.problem(
        "$",
        what,
        "remove the parameter that contains itself or is used too often",
    )
}

/// The files that a pattern beside the including file names, in order.
fn found(pattern: &str, beside: &Path) -> Vec<PathBuf> {
    // keepalived's patterns do not go down into folders, and looking through a whole disk takes long.
    let pattern = pattern.replace("**", "*");
    let whole = if pattern.starts_with('/') {
        pattern
    } else {
        let folder = glob::Pattern::escape(&beside.display().to_string());
        Path::new(&folder).join(pattern).display().to_string()
    };
    glob::glob(&whole)
        .map(|paths| {
            let files = paths.flatten().filter(|path| path.is_file());
            files.take(MOST_FILES + 1).collect()
        })
        .unwrap_or_default()
}
