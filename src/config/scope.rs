//! One table of the file while it is read.
//!
//! Reading a key makes it known; whatever was not read when the table is finished is reported as unknown. So the
//! code that fills a structure is also the list of its keys, and the two cannot disagree.

mod values;

use toml::de::{DeTable, DeValue};

use super::notes::{Notes, join};
use super::{At, Wrong, unserved};

pub(super) struct Scope<'a> {
    notes: &'a Notes<'a>,
    /// None when the file has no such table; reading it makes its keys known all the same.
    table: Option<&'a DeTable<'a>>,
    path: String,
    at: At,
    known: Vec<&'static str>,
}

/// A value and where it stands.
struct Entry<'a> {
    value: &'a DeValue<'a>,
    at: At,
}

impl<'a> Scope<'a> {
    /// The whole file.
    pub(super) fn top(notes: &'a Notes<'a>, table: &'a DeTable<'a>) -> Self {
        Self {
            notes,
            table: Some(table),
            path: String::new(),
            at: At { line: 1 },
            known: Vec::new(),
        }
    }

    fn inner(&self, key: &str, table: Option<&'a DeTable<'a>>, at: At) -> Self {
        Self {
            notes: self.notes,
            table,
            path: join(&self.path, key),
            at,
            known: Vec::new(),
        }
    }

    /// What the whole reading found out.
    pub(super) fn notes(&self) -> &'a Notes<'a> {
        self.notes
    }

    /// Whether the file has this table.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Where the table begins.
    pub(super) fn at(&self) -> At {
        self.at
    }

    /// Where the value of `key` stands; where the table begins without one.
    pub(super) fn at_key(&self, key: &str) -> At {
        self.find(key).map_or(self.at, |entry| entry.at)
    }

    /// Whether the table has `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Reports that the value of `key` cannot be taken.
    pub(super) fn wrong(&self, key: &str, wrong: Wrong) {
        self.wrong_at(self.at_key(key), key, wrong);
    }

    /// Reports what is wrong with `key` at a place of its own.
    pub(super) fn wrong_at(&self, at: At, key: &str, wrong: Wrong) {
        self.notes.problem(at, join(&self.path, key), wrong);
    }

    /// Reports that a table that is there lacks `key`.
    pub(super) fn need(&self, key: &str, fix: &str) {
        if self.is_present() && !self.has(key) {
            self.wrong(key, Wrong::new("is missing", fix));
        }
    }

    /// Reports `key`, if it is there, as meaningless for the reason `what`.
    pub(super) fn useless(&self, key: &str, what: &str) {
        if self.has(key) {
            self.wrong(key, Wrong::new(what, "remove it"));
        }
    }

    /// The table at `key`; an absent one when there is none.
    pub(super) fn table(&mut self, key: &'static str) -> Scope<'a> {
        let Some(Entry { value, at }) = self.entry(key) else {
            return self.inner(key, None, self.at);
        };
        let path = join(&self.path, key);
        let table = value.as_table();
        if table.is_none() {
            let fix = match value {
                DeValue::Array(_) => format!("write [{path}] once, with single brackets"),
                _ => format!("write it as a table: [{path}]"),
            };
            self.wrong_type(key, value, "a table", &fix);
        }
        self.inner(key, table, at)
    }

    /// The tables of the list at `key`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Scope<'a>> {
        let Some(Entry { value, .. }) = self.entry(key) else {
            return Vec::new();
        };
        let path = join(&self.path, key);
        let fix = format!("write it with double brackets: [[{path}]]");
        let Some(list) = value.as_array() else {
            self.wrong_type(key, value, "a list of tables", &fix);
            return Vec::new();
        };
        let mut scopes = Vec::with_capacity(list.len());
        for element in list {
            match element.get_ref().as_table() {
                Some(table) => {
                    let at = self.notes.at(element.span().start);
                    scopes.push(self.inner(key, Some(table), at));
                }
                None => self.wrong_type(key, element.get_ref(), "a table", &fix),
            }
        }
        scopes
    }

    /// Reports every key that was not read.
    pub(super) fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let at = self.notes.at(key.span().start);
            // One problem is one line, and a quoted key may hold a line end.
            let name = &name.escape_debug().to_string();
            let path = join(&self.path, name);
            match unserved::feature(&path) {
                Some(feature) => self.notes.problem(at, path, not_served(feature)),
                None => self.notes.stranger(at, &self.path, name, &self.known),
            }
        }
    }

    /// Makes `key` known and finds it.
    fn entry(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.known.push(key);
        self.notes.ask(join(&self.path, key));
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<Entry<'a>> {
        let table = self.table?;
        let (key, value) = table.iter().find(|(k, _)| k.get_ref() == key)?;
        Some(Entry {
            value: value.get_ref(),
            at: self.notes.at(key.span().start),
        })
    }

    fn wrong_type(&self, key: &str, value: &DeValue<'_>, must: &str, fix: &str) {
        let what = format!("is {}, but must be {must}", kind(value));
        self.wrong(key, Wrong::new(what, fix));
    }
}

/// Why a key of a feature that is not there cannot be taken.
pub(super) fn not_served(feature: &str) -> Wrong {
    Wrong::new(
        format!("configures {feature}, which this version does not serve"),
        "remove it",
    )
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
