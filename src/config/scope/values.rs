//! The values of a table's keys, each with its type and its range.
//!
//! A value that cannot be taken is reported and then treated as absent, so that reading goes on to the next one.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::{Entry, Scope};
use crate::config::notes::nearest;
use crate::config::{Secret, Wrong, duration, size};

/// A secret, where it was read from, and whether it was given at all.
#[derive(Default)]
pub(in crate::config) struct GivenSecret {
    pub(in crate::config) secret: Option<Secret>,
    pub(in crate::config) file: Option<PathBuf>,
}

impl Scope<'_> {
    /// A string that `read` understands.
    pub(in crate::config) fn word<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let Entry { value, .. } = self.entry(key)?;
        let Some(text) = value.as_str() else {
            self.wrong_type(key, value, "a string", "write it in quotes");
            return None;
        };
        read(text).map_err(|wrong| self.wrong(key, wrong)).ok()
    }

    /// A string that is not empty.
    pub(in crate::config) fn text(&mut self, key: &'static str) -> Option<String> {
        self.word(key, |text| {
            if text.is_empty() {
                Err(Wrong::new("is empty", "write a value or remove it"))
            } else {
                Ok(text.to_owned())
            }
        })
    }

    /// A list of strings that `read` understands; empty without one.
    pub(in crate::config) fn words<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        let Some(Entry { value, .. }) = self.entry(key) else {
            return Vec::new();
        };
        let fix = "write it as a list: [\"…\", \"…\"]";
        let Some(list) = value.as_array() else {
            self.wrong_type(key, value, "a list of strings", fix);
            return Vec::new();
        };
        let mut words = Vec::with_capacity(list.len());
        for element in list {
            let Some(text) = element.get_ref().as_str() else {
                self.wrong_type(key, element.get_ref(), "a list of strings", fix);
                continue;
            };
            match read(text) {
                Ok(word) => words.push(word),
                Err(wrong) => {
                    let at = self.notes.at(element.span().start);
                    let path = super::join(&self.path, key);
                    self.notes.problem(at, path, wrong);
                }
            }
        }
        words
    }

    /// One of `choices`.
    pub(in crate::config) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        self.word(key, |text| {
            let found = choices.iter().find(|(name, _)| *name == text);
            found.map(|(_, choice)| *choice).ok_or_else(|| {
                let names = || choices.iter().map(|(name, _)| *name);
                let fix = match nearest(text, names()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("write one of {}", names().collect::<Vec<_>>().join(", ")),
                };
                Wrong::new(format!("cannot be \"{}\"", text.escape_debug()), fix)
            })
        })
    }

    /// True or false.
    pub(in crate::config) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let Entry { value, .. } = self.entry(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, "true or false", "write it without quotes");
        }
        flag
    }

    /// A whole number.
    pub(in crate::config) fn number<T: TryFrom<i128> + Copy + PartialOrd + Display>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let Entry { value, .. } = self.entry(key)?;
        let Some(integer) = value.as_integer() else {
            self.wrong_type(key, value, "a whole number", "write it without quotes");
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix());
        let number = number.ok().and_then(|number| T::try_from(number).ok());
        self.within(key, &range, number, T::to_string, integer.as_str())
    }

    /// A number that may have decimals.
    pub(in crate::config) fn decimal(
        &mut self,
        key: &'static str,
        range: RangeInclusive<f32>,
    ) -> Option<f32> {
        let Entry { value, .. } = self.entry(key)?;
        let text = match value {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => {
                self.wrong_type(key, value, "a number", "write it like 0.2, without quotes");
                return None;
            }
        };
        self.within(key, &range, text.parse().ok(), f32::to_string, text)
    }

    /// A duration such as `"1m30s"`.
    pub(in crate::config) fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Entry { value, .. } = self.entry(key)?;
        let Some(text) = value.as_str() else {
            let fix = "write it in quotes and with its unit, like \"2s\"";
            self.wrong_type(key, value, "a duration", fix);
            return None;
        };
        match duration::parse(text) {
            Ok(found) => self.within(key, &range, Some(found), |d| duration::show(*d), text),
            Err(wrong) => {
                self.wrong(key, wrong);
                None
            }
        }
    }

    /// A size such as `"64KiB"`, in bytes.
    pub(in crate::config) fn size(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        read: fn(&str) -> Result<u64, Wrong>,
    ) -> Option<u64> {
        let Entry { value, .. } = self.entry(key)?;
        let text = match value {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(integer) if integer.as_str() == "0" => "0",
            _ => {
                let fix = "write it in quotes and with its unit, like \"64KiB\"";
                self.wrong_type(key, value, "a size", fix);
                return None;
            }
        };
        match read(text) {
            Ok(found) => self.within(key, &range, Some(found), |s| size::show(*s), text),
            Err(wrong) => {
                self.wrong(key, wrong);
                None
            }
        }
    }

    /// The path of something that need not be there.
    pub(in crate::config) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|path| self.notes.locate(&path))
    }

    /// The path of a file that must be readable.
    pub(in crate::config) fn readable(&mut self, key: &'static str) -> Option<PathBuf> {
        let path = self.path(key)?;
        if let Err(wrong) = self.notes.check_readable(&path) {
            self.wrong(key, wrong);
        }
        Some(path)
    }

    /// A secret in the file itself at `key`, or in a file of its own that `key_file` names.
    pub(in crate::config) fn secret(
        &mut self,
        key: &'static str,
        key_file: &'static str,
    ) -> GivenSecret {
        let here = self.text(key).map(Secret::new);
        let file = self.path(key_file);
        let both = self.has(key) && self.has(key_file);
        if both {
            let what = format!("is given beside `{key}`");
            self.wrong(key_file, Wrong::new(what, "remove one of the two"));
        }
        let read = file.as_deref().filter(|_| !both).and_then(|file| {
            let secret = self.notes.read_secret(file);
            secret.map_err(|wrong| self.wrong(key_file, wrong)).ok()
        });
        GivenSecret {
            secret: here.or(read),
            file,
        }
    }

    /// Reports what is out of range; `None` in `value` is, too.
    fn within<T: PartialOrd>(
        &self,
        key: &str,
        range: &RangeInclusive<T>,
        value: Option<T>,
        show: fn(&T) -> String,
        written: &str,
    ) -> Option<T> {
        let inside = value.filter(|value| range.contains(value));
        if inside.is_none() {
            let (least, most) = (show(range.start()), show(range.end()));
            self.wrong(
                key,
                Wrong::new(
                    format!("is {written}, out of range"),
                    format!("write a value from {least} to {most}"),
                ),
            );
        }
        inside
    }
}
