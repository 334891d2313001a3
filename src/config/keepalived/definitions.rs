//! `$NAME=value`, and what `$NAME` and `${NAME}` become.

use std::collections::HashMap;
use std::path::Path;

/// More than any line needs; a parameter that contains itself needs more.
const MOST_REPLACEMENTS: usize = 1000;

/// Longer than any line.
const LONGEST_LINE: usize = 64 << 10;

/// The parameters that were defined so far.
#[derive(Default)]
pub(super) struct Definitions {
    values: HashMap<String, String>,
}

/// What a line is with its parameters replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expanded {
    /// One line that has no known parameter any more.
    Line(String),
    /// Several lines, which may have more of them.
    Lines(String),
    /// It has no end.
    Endless,
}

/// The name and the value, when a line defines a parameter.
pub(super) fn definition(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('$')?.split_once('=')?;
    let sound = name.chars().all(is_of_name) && !name.starts_with(|c: char| c.is_ascii_digit());
    (sound && !name.is_empty()).then_some((name, value))
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl Definitions {
    pub(super) fn define(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// Replaces the parameters of a line in `file`. `work` counts down the characters that were gone through.
    pub(super) fn expand(&self, line: &str, file: &Path, work: &mut usize) -> Expanded {
        let mut text = line.to_owned();
        let mut from = 0;
        let mut replacements = 0;
        while let Some(found) = text.get(from..).and_then(|rest| rest.find('$')) {
            let start = from + found;
            let rest = text.get(start + 1..).unwrap_or_default();
            let value = reference(rest).and_then(|(name, length)| {
                let value = self.value(name, file)?;
                Some((start + 1 + length, value))
            });
            let Some((end, value)) = value else {
                from = start + 1;
                continue;
            };
            replacements += 1;
            *work = work.saturating_sub(text.len() + value.len());
            if *work == 0 || replacements > MOST_REPLACEMENTS || text.len() > LONGEST_LINE {
                return Expanded::Endless;
            }
            text.replace_range(start..end, &value);
            if value.contains('\n') {
                return Expanded::Lines(text);
            }
            from = start;
        }
        Expanded::Line(text)
    }

    fn value(&self, name: &str, file: &Path) -> Option<String> {
        match name {
            "_HASH" => Some("#".into()),
            "_BANG" => Some("!".into()),
            "_PWD" => Some(file.parent()?.display().to_string()),
            _ => self.values.get(name).cloned(),
        }
    }
}

/// The name behind a `$`, and how many bytes it takes with its braces.
fn reference(rest: &str) -> Option<(&str, usize)> {
    if let Some(inner) = rest.strip_prefix('{') {
        let (name, _) = inner.split_once('}')?;
        return Some((name, name.len() + 2));
    }
    let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
    let (name, after) = rest.split_at_checked(end)?;
    let ended = after.chars().next().is_none_or(char::is_whitespace);
    ended.then_some((name, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(definitions: &Definitions, line: &str) -> Expanded {
        definitions.expand(line, Path::new("/etc/k/k.conf"), &mut 1_000_000)
    }

    #[test]
    fn parameters_are_replaced_at_their_use() {
        let mut definitions = Definitions::default();
        definitions.define("BASE", "10.2.${SUB}");
        assert_eq!(
            expand(&definitions, "${BASE}.1"),
            Expanded::Line("10.2.${SUB}.1".into())
        );
        definitions.define("SUB", "7");
        assert_eq!(
            expand(&definitions, "${BASE}.1 $SUB $SUBS $SUB, ${_PWD}/a"),
            Expanded::Line("10.2.7.1 7 $SUBS $SUB, /etc/k/a".into())
        );
    }

    #[test]
    fn a_parameter_of_several_lines_becomes_them() {
        let mut definitions = Definitions::default();
        definitions.define("RS", "a {\n b $X\n}");
        definitions.define("X", "1");
        assert_eq!(
            expand(&definitions, "$RS"),
            Expanded::Lines("a {\n b $X\n}".into())
        );
    }

    #[test]
    fn a_parameter_in_itself_has_no_end() {
        let mut definitions = Definitions::default();
        definitions.define("A", "$B x");
        definitions.define("B", "$A y");
        assert_eq!(expand(&definitions, "$A"), Expanded::Endless);
    }

    #[test]
    fn only_a_name_before_the_sign_is_a_definition() {
        assert_eq!(definition("$A_1=b=c"), Some(("A_1", "b=c")));
        assert_eq!(definition("$A="), Some(("A", "")));
        for line in ["$A = b", "$1A=b", "$=b", "A=b", "$A"] {
            assert_eq!(definition(line), None, "{line}");
        }
    }
}
