//! One line of a keepalived.conf as words and braces.
//!
//! As keepalived has it: double quotes may begin inside a word, single ones at the start of one; a backslash takes
//! the special sense from the next character or gives it one, as in the shell; `#` and `!` begin a comment anywhere
//! but in quotes.

use std::iter::Peekable;
use std::str::Chars;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Open,
    Close,
}

/// A quote that begins and does not end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclosed;

/// The line without its comment.
pub(super) fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    let mut fresh = true;
    for (at, c) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if let Some(open) = quote {
            quote = (c != open).then_some(open);
        } else if c == '#' || c == '!' {
            return line.get(..at).unwrap_or(line);
        } else if c == '"' || (c == '\'' && fresh && closes_later(line, at)) {
            quote = Some(c);
        }
        fresh = c.is_whitespace();
    }
    line
}

/// Whether the single quote at `at` has a partner; an apostrophe has none.
fn closes_later(line: &str, at: usize) -> bool {
    line.get(at + 1..).is_some_and(|rest| rest.contains('\''))
}

/// Splits a line that has no comment.
pub(super) fn split(line: &str) -> Result<Vec<Token>, Unclosed> {
    let mut tokens = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        match chars.peek() {
            None => return Ok(tokens),
            Some(c) if c.is_whitespace() => {
                chars.next();
            }
            Some('{') => {
                chars.next();
                tokens.push(Token::Open);
            }
            Some('}') => {
                chars.next();
                tokens.push(Token::Close);
            }
            Some(_) => tokens.push(Token::Word(word(&mut chars)?)),
        }
    }
}

fn word(chars: &mut Peekable<Chars<'_>>) -> Result<String, Unclosed> {
    let mut word = String::new();
    if chars.peek() == Some(&'\'') && chars.clone().skip(1).any(|c| c == '\'') {
        chars.next();
        quoted(chars, '\'', &mut word)?;
    }
    while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !matches!(c, '{' | '}')) {
        match c {
            '"' => quoted(chars, '"', &mut word)?,
            '\\' => word.extend(escape(chars)),
            '$' if chars.peek() == Some(&'{') => {
                // A parameter that nobody defined stays in the text.
                word.push(c);
                for inner in chars.by_ref() {
                    word.push(inner);
                    if inner == '}' {
                        break;
                    }
                }
            }
            _ => word.push(c),
        }
    }
    Ok(word)
}

fn quoted(chars: &mut Peekable<Chars<'_>>, quote: char, word: &mut String) -> Result<(), Unclosed> {
    while let Some(c) = chars.next() {
        match c {
            _ if c == quote => return Ok(()),
            '\\' => word.extend(escape(chars)),
            _ => word.push(c),
        }
    }
    Err(Unclosed)
}

/// What a backslash and the characters behind it stand for.
fn escape(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    let digits = |chars: &mut Peekable<Chars<'_>>, radix, most, first: u32| {
        let mut value = first;
        for _ in 0..most {
            let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else {
                break;
            };
            chars.next();
            value = value * radix + digit;
        }
        char::from_u32(value)
    };
    match chars.next()? {
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'E' => Some('\u{1b}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        'x' => digits(chars, 16, 2, 0),
        'c' => chars
            .next()
            .and_then(|c| char::from_u32(u32::from(c) & 0x1f)),
        c => match c.to_digit(8) {
            Some(first) => digits(chars, 8, 2, first),
            None => Some(c),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let tokens = split(line).unwrap_or_default();
        tokens
            .into_iter()
            .map(|token| match token {
                Token::Word(word) => word,
                Token::Open => "{".into(),
                Token::Close => "}".into(),
            })
            .collect()
    }

    #[test]
    fn quotes_keep_what_is_between_them() {
        assert_eq!(words(r#"abcd" efg h jkl "mnop"#), ["abcd efg h jkl mnop"]);
        assert_eq!(
            words(r#"abcd "efg h jkl" mnop"#),
            ["abcd", "efg h jkl", "mnop"]
        );
        assert_eq!(
            words("misc_path 'a {b} \"c\"' d"),
            ["misc_path", "a {b} \"c\"", "d"]
        );
        assert_eq!(split("a \"b"), Err(Unclosed));
    }

    #[test]
    fn an_apostrophe_is_no_quote() {
        assert_eq!(words("router_id it's"), ["router_id", "it's"]);
        assert_eq!(words("router_id 't"), ["router_id", "'t"]);
    }

    #[test]
    fn escapes_are_those_of_the_shell() {
        assert_eq!(
            words(r#""a\"b" \x41\101 \\ \q a\ b"#),
            ["a\"b", "AA", "\\", "q", "a b"]
        );
    }

    #[test]
    fn braces_stand_alone_wherever_they_are() {
        assert_eq!(words("VI_1{a}"), ["VI_1", "{", "a", "}"]);
        assert_eq!(words("${X}y {"), ["${X}y", "{"]);
    }

    #[test]
    fn comments_begin_anywhere_but_in_quotes() {
        assert_eq!(without_comment("a # b"), "a ");
        assert_eq!(without_comment("a!b"), "a");
        assert_eq!(without_comment("a \"#\" !"), "a \"#\" ");
        assert_eq!(without_comment("a '#' \\# #"), "a '#' \\# ");
        assert_eq!(without_comment("it's # don't"), "it's ");
    }
}
