//! A path the way the most forgiving reader behind us would see it.

/// Whether cleaning could change the path at all.
pub fn is_unusual(path: &str) -> bool {
    // Looks at every byte, whatever it finds: that way the compiler looks at many of them at once.
    let bytes = path.as_bytes();
    let odd = |odd: bool, byte: &u8| odd | matches!(byte, b'%' | b'\\');
    let pair = |odd: bool, (before, byte): (&u8, &u8)| {
        odd | ((*before == b'/') & matches!(byte, b'/' | b'.'))
    };
    bytes.iter().fold(false, odd) | bytes.iter().zip(bytes.iter().skip(1)).fold(false, pair)
}

/// Whether every `%` begins an encoded byte (RFC 3986 §2.1): if not, a reader that decodes twice sees what nobody wrote.
pub fn is_well_encoded(path: &str) -> bool {
    let mut encoded = path.as_bytes().split(|byte| *byte == b'%').skip(1);
    encoded.all(|rest| {
        let digits = rest.get(..2).unwrap_or_default();
        digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
    })
}

/// Decodes once what needs no encoding (RFC 3986 §2.3) and the separators that a node may decode (`/`, `\`, `:`),
/// merges slashes and resolves dot segments. Everything else stays encoded, line ends above all.
pub fn clean(path: &str) -> String {
    resolve(&decode(path))
}

fn decode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((plain, encoded)) = rest.split_once('%') {
        out.push_str(plain);
        match encoded.get(..2).and_then(byte) {
            Some(decoded) => {
                out.push(decoded);
                rest = encoded.get(2..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = encoded;
            }
        }
    }
    out.push_str(rest);
    out
}

fn byte(digits: &str) -> Option<char> {
    // `from_str_radix` alone would accept a sign.
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = u8::from_str_radix(digits, 16).ok()?;
    let decodes = byte.is_ascii_alphanumeric() || b"-._~/\\:".contains(&byte);
    decodes.then_some(char::from(byte))
}

fn resolve(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut open = false;
    for part in path.split(['/', '\\']) {
        open = matches!(part, "" | "." | "..");
        match part {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let mut out = String::with_capacity(path.len() + 1);
    for part in &kept {
        out.push('/');
        out.push_str(part);
    }
    if open || kept.is_empty() {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cleaning_follows_the_table() {
        for (raw, clean_) in [
            ("/a//b", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/../../a", "/a"),
            ("/a/b/", "/a/b/"),
            ("/a/b/.", "/a/b/"),
            ("/%61%2Fb%2e", "/a/b."),
            ("/a%5cb\\c", "/a/b/c"),
            ("/a%252Fb", "/a%252Fb"),
            ("/a%0d%0Ab", "/a%0d%0Ab"),
            ("/a%c0%afb", "/a%c0%afb"),
            ("/a%", "/a%"),
            ("/a%+1%4", "/a%+1%4"),
            ("/sha256%3Aff", "/sha256:ff"),
            ("/é%e", "/é%e"),
        ] {
            assert_eq!(clean(raw), clean_, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn a_usual_path_is_its_own_clean_form(path in "(/[a-z0-9:_-][a-z0-9.:_-]{0,5}){1,5}/?") {
            prop_assert!(!is_unusual(&path));
            prop_assert_eq!(clean(&path), path);
        }
    }
}
