//! The patterns in filters of Harbor 1.8 and later: `*`, `**`, `?` and `{a,b}` (doublestar).

use glob::{MatchOptions, Pattern};

/// Alternatives that are looked at; Harbor's own users write a handful.
const MOST: usize = 256;

/// Whether `text` matches `pattern`. A pattern with more alternatives than anybody writes matches nothing.
pub fn matches(pattern: &str, text: &str) -> bool {
    // Harbor takes no pattern for every name.
    pattern.is_empty() || alternatives(pattern).iter().any(|one| plain(one, text))
}

/// The patterns without braces that a pattern with braces stands for.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(one) = open.pop() {
        // The innermost braces first.
        let close = one.find('}');
        let begin = close.and_then(|close| one.get(..close)?.rfind('{'));
        let (Some(begin), Some(close)) = (begin, close) else {
            done.push(one);
            continue;
        };
        let (head, inside, tail) = (&one[..begin], &one[begin + 1..close], &one[close + 1..]);
        open.extend(inside.split(',').map(|part| format!("{head}{part}{tail}")));
        if open.len() + done.len() > MOST {
            return Vec::new();
        }
    }
    done
}

/// Two stars reach over slashes, one does not. What is no pattern matches nothing.
fn plain(pattern: &str, text: &str) -> bool {
    let options = MatchOptions {
        require_literal_separator: true,
        ..MatchOptions::new()
    };
    Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_with(text, options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_of_policies_match_as_in_harbor() {
        for (pattern, text, expected) in [
            ("", "library/app", true),
            ("**", "library/app", true),
            ("library/**", "library/a/b", true),
            ("library/*", "library/a/b", false),
            ("library/*", "library/a", true),
            ("{library,team}/**", "team/x", true),
            ("{library,team}/**", "other/x", false),
            ("library/app", "library/app", true),
            ("library/app", "library/app2", false),
            ("lib?ary/a*p", "library/app", true),
            ("**/app", "library/app", true),
            ("**/app", "app", true),
            ("{a,{b,c}}/x", "c/x", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(pattern in "[a-c{},*?/\\[\\]é]{0,24}", text in "[a-cé/]{0,24}") {
            let _ = matches(&pattern, &text);
        }

        #[test]
        fn a_name_matches_itself(name in "[a-z0-9._/-]{1,30}") {
            prop_assert!(matches(&name, &name));
        }
    }
}
