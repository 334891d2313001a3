//! One log line as names and values, in JSON or as text.
//!
//! Values come from clients. JSON escapes whatever could end a string or steer a terminal; text drops it, so that
//! no client can forge a line or hide one (CWE-117).

use super::log::Format;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

/// The most bytes of one value that are kept.
pub const LONGEST: usize = 2048;

/// A line in the making. Values are cut at [`LONGEST`] bytes; names are words of the code and are written as they are.
pub struct Fields<'a> {
    out: &'a mut String,
    format: Format,
    first: bool,
}

impl<'a> Fields<'a> {
    /// Begins a line at the end of `out`.
    pub fn begin(out: &'a mut String, format: Format) -> Fields<'a> {
        if format == Format::Json {
            out.push('{');
        }
        Fields {
            out,
            format,
            first: true,
        }
    }

    /// Ends the line.
    pub fn end(self) {
        self.out.push_str(match self.format {
            Format::Json => "}\n",
            Format::Text => "\n",
        });
    }

    /// A value that needs no escaping, such as a time that we wrote ourselves. In text it stands without its name.
    pub fn bare(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        match self.format {
            Format::Json => {
                self.name(name);
                self.out.push('"');
                write(self.out);
                self.out.push('"');
            }
            Format::Text => {
                self.space();
                write(self.out);
            }
        }
    }

    /// An address.
    pub fn address(&mut self, name: &str, ip: IpAddr) {
        self.name(name);
        let quote = if self.format == Format::Json {
            "\""
        } else {
            ""
        };
        self.out.push_str(quote);
        match ip {
            IpAddr::V4(ip) => {
                for (place, octet) in ip.octets().into_iter().enumerate() {
                    if place > 0 {
                        self.out.push('.');
                    }
                    digits(self.out, octet);
                }
            }
            // Writing to a String cannot fail.
            IpAddr::V6(ip) => drop(write!(self.out, "{ip}")),
        }
        self.out.push_str(quote);
    }

    /// The sentence of an event: in text it stands without its name.
    pub fn message(&mut self, text: &str) {
        match self.format {
            Format::Json => self.text("message", text),
            Format::Text => {
                self.space();
                plain(self.out, cut(text));
            }
        }
    }

    /// A string.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        let value = cut(value);
        match self.format {
            Format::Json => json(self.out, value),
            Format::Text if value.is_empty() || value.contains([' ', '"', '=', ',']) => {
                self.out.push('"');
                plain(self.out, value);
                self.out.push('"');
            }
            Format::Text => plain(self.out, value),
        }
    }

    /// A string that may be missing: `null`, or `-` in text.
    pub fn maybe(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.missing(name),
        }
    }

    /// Something whose text is a valid JSON number or word as it stands.
    pub fn number(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }

    /// A whole number.
    pub fn count(&mut self, name: &str, value: impl itoa::Integer) {
        self.name(name);
        digits(self.out, value);
    }

    /// Milliseconds with a precision of one microsecond.
    pub fn millis(&mut self, name: &str, value: Option<Duration>) {
        let Some(value) = value else {
            return self.missing(name);
        };
        self.name(name);
        digits(
            self.out,
            value.as_secs() * 1000 + u64::from(value.subsec_millis()),
        );
        self.out.push('.');
        thousandths(self.out, value.subsec_micros() % 1000);
    }

    fn missing(&mut self, name: &str) {
        self.name(name);
        self.out.push_str(match self.format {
            Format::Json => "null",
            Format::Text => "-",
        });
    }

    fn name(&mut self, name: &str) {
        match self.format {
            Format::Json => {
                let quote = if std::mem::take(&mut self.first) {
                    "\""
                } else {
                    ",\""
                };
                self.out.push_str(quote);
                self.out.push_str(name);
                self.out.push_str("\":");
            }
            Format::Text => {
                self.space();
                self.out.push_str(name);
                self.out.push('=');
            }
        }
    }

    fn space(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(' ');
        }
    }
}

fn cut(value: &str) -> &str {
    if value.len() <= LONGEST {
        return value;
    }
    let end = (0..=LONGEST)
        .rev()
        .find(|end| value.is_char_boundary(*end))
        .unwrap_or(0);
    value.get(..end).unwrap_or_default()
}

/// C0, DEL, C1, and the characters that reorder or hide what a terminal shows.
fn steers_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Whether a value can be copied as it is: the usual case, found without decoding characters.
fn harmless(value: &str) -> bool {
    // Looks at every byte, whatever it finds: that way the compiler looks at many of them at once.
    value.bytes().fold(true, |so_far, byte| {
        so_far & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\')
    })
}

fn digits(out: &mut String, value: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Three digits.
pub(super) fn thousandths(out: &mut String, value: u32) {
    out.push_str(match value {
        0..10 => "00",
        10..100 => "0",
        _ => "",
    });
    digits(out, value);
}

fn json(out: &mut String, value: &str) {
    out.push('"');
    if harmless(value) {
        out.push_str(value);
    } else {
        for c in value.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                // All of them are below U+10000, so that one escape is enough.
                c if steers_a_terminal(c) => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
    }
    out.push('"');
}

fn plain(out: &mut String, value: &str) {
    if harmless(value) {
        out.push_str(value);
        return;
    }
    for c in value.chars().filter(|c| !steers_a_terminal(*c)) {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn line(format: Format, value: &str) -> String {
        let mut out = String::new();
        let mut fields = Fields::begin(&mut out, format);
        fields.text("key", value);
        fields.end();
        out
    }

    #[test]
    fn text_drops_what_could_forge_a_line_or_steer_a_terminal() {
        assert_eq!(
            line(Format::Text, "a\r\nb\u{1b}[2Jc\u{9b}d\u{202e}e"),
            "key=ab[2Jcde\n"
        );
    }

    #[test]
    fn text_quotes_what_could_pass_for_another_field() {
        assert_eq!(
            line(Format::Text, "a user=\"root\""),
            "key=\"a user=\\\"root\\\"\"\n"
        );
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = "é".repeat(LONGEST);
        let line = line(Format::Json, &long);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["key"].as_str().unwrap().len(), LONGEST);
    }

    proptest! {
        #[test]
        fn any_value_survives_json(value in ".{0,300}") {
            let line = line(Format::Json, &value);
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read["key"].as_str().unwrap(), &value);
            prop_assert!(!line.trim_end_matches('\n').contains(steers_a_terminal));
        }

        #[test]
        fn no_value_makes_a_second_line_of_text(value in any::<String>()) {
            let line = line(Format::Text, &value);
            prop_assert_eq!(line.lines().count(), 1);
            prop_assert!(!line.trim_end_matches('\n').contains(steers_a_terminal));
        }
    }
}
