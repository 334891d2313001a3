//! Patterns of filters: `*`, `**`, `?` and `{a,b}`, as the doublestar library of Harbor reads them.

/// Whether all of `text` is as `pattern` says. An empty pattern lets everything through.
pub fn matches(pattern: &str, text: &str) -> bool {
    pattern.is_empty()
        || alternatives(pattern)
            .iter()
            .any(|one| glob(one.as_bytes(), text.as_bytes()))
}

/// The same as 1.5 does it, which knows only `*` and `?` (Go's `filepath.Match`).
pub fn matches15(pattern: &str, text: &str) -> bool {
    let mut single = pattern.to_owned();
    while single.contains("**") {
        single = single.replace("**", "*");
    }
    pattern.is_empty() || glob(single.as_bytes(), text.as_bytes())
}

/// The patterns that braces stand for.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some(open) = pattern.find('{') else {
        return vec![pattern.to_owned()];
    };
    let (mut depth, mut cuts) = (0, vec![open]);
    for (at, letter) in pattern.char_indices().skip_while(|(at, _)| *at < open) {
        match letter {
            '{' => depth += 1,
            ',' if depth == 1 => cuts.push(at),
            '}' if depth == 1 => {
                cuts.push(at);
                let (before, after) = (&pattern[..open], &pattern[at + 1..]);
                let inner = cuts.windows(2).map(|cut| &pattern[cut[0] + 1..cut[1]]);
                return inner
                    .flat_map(|one| alternatives(&format!("{before}{one}{after}")))
                    .collect();
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    // Nothing closes the brace, and the library calls that no pattern.
    Vec::new()
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        // `a/**` matches `a` as well.
        [b'/', b'*', b'*'] => text.is_empty() || text[0] == b'/',
        [b'*', b'*', b'/', rest @ ..] => {
            glob(rest, text)
                || (0..text.len()).any(|at| text[at] == b'/' && glob(pattern, &text[at + 1..]))
        }
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        [b'*', rest @ ..] => {
            let end = text
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(text.len());
            (0..=end).any(|at| glob(rest, &text[at..]))
        }
        [b'?', rest @ ..] => matches!(text, [byte, more @ ..] if *byte != b'/' && glob(rest, more)),
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
            matches!(text, [first, more @ ..] if first == byte && glob(rest, more))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{matches, matches15};

    #[test]
    fn patterns_of_1_5_know_neither_braces_nor_many_levels() {
        assert!(matches15("", "a/b") && matches15("v*", "v1") && matches15("**", "a"));
        assert!(!matches15("{a,b}", "a") && !matches15("**", "a/b"));
    }

    #[test]
    fn patterns_read_as_harbor_reads_them() {
        let yes = [
            ("", "library/x"),
            ("**", "library/x"),
            ("**", ""),
            ("library/**", "library/a/b"),
            ("library/*", "library/x"),
            ("{library,team}/**", "team/x"),
            ("library/{a,b/c}", "library/b/c"),
            ("**/x", "x"),
            ("**/x", "a/b/x"),
            ("{1,v{2,3}}", "v3"),
            ("{only}", "only"),
            ("v?.*", "v1.2"),
        ];
        for (pattern, text) in yes {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        let no = [
            ("library/*", "library/a/b"),
            ("library/x", "library/xy"),
            ("{a,b}", "c"),
            ("{a,b", "a"),
            ("*", "a/b"),
            ("v?", "v"),
            ("lib/**", "library"),
        ];
        for (pattern, text) in no {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
