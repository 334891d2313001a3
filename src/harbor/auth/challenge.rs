//! `WWW-Authenticate: Bearer realm="…",service="…",scope="…"` (RFC 9110 §11.6.1): the address where a registry
//! client fetches its token.

use http::HeaderValue;
use std::ops::Range;

/// A bearer challenge, read in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// The address of the token service.
    pub realm: &'a str,
    /// Whom the token is for; `harbor-registry` in every Harbor.
    pub service: Option<&'a str>,
    /// What is asked for, scopes separated by spaces.
    pub scope: Option<&'a str>,
}

impl<'a> Challenge<'a> {
    /// Reads the first bearer challenge of a header value; `None` when there is none with a realm. Quoted pairs
    /// are left as they are written.
    pub fn parse(value: &'a str) -> Option<Challenge<'a>> {
        let mut realm = None;
        let mut service = None;
        let mut scope = None;
        for (name, at) in Parameters::of_bearer(value)? {
            let text = value.get(at)?;
            let slot = match name {
                name if name.eq_ignore_ascii_case("realm") => &mut realm,
                name if name.eq_ignore_ascii_case("service") => &mut service,
                name if name.eq_ignore_ascii_case("scope") => &mut scope,
                _ => continue,
            };
            slot.get_or_insert(text);
        }
        Some(Challenge {
            realm: realm?,
            service,
            scope,
        })
    }
}

/// Replaces the realm of a bearer challenge by what `f` makes of it and leaves every other byte alone. `None`: there
/// is nothing to replace (not a bearer challenge, `f` declined, nothing changes, or the new realm would not fit
/// between quotes).
pub fn rewrite_realm(
    value: &HeaderValue,
    f: impl Fn(&str) -> Option<String>,
) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let (_, at) = Parameters::of_bearer(text)?.find(|(n, _)| n.eq_ignore_ascii_case("realm"))?;
    let old = text.get(at.clone())?;
    let new = f(old)?;
    if new == old || new.contains(['"', '\\']) {
        return None;
    }
    let (before, after) = (text.get(..at.start)?, text.get(at.end..)?);
    HeaderValue::from_str(&format!("{before}{new}{after}")).ok()
}

/// The parameters of one challenge as (name, where its value stands, without quotes).
struct Parameters<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parameters<'a> {
    /// Positioned after the scheme of the first bearer challenge. The scheme must open the value or follow a comma
    /// outside quotes.
    fn of_bearer(text: &'a str) -> Option<Parameters<'a>> {
        const SCHEME: &str = "bearer ";
        let mut quoted = false;
        let mut escaped = false;
        let mut opens = true;
        for (at, c) in text.char_indices() {
            if opens && !quoted {
                let head = text.get(at..at + SCHEME.len());
                if head.is_some_and(|head| head.eq_ignore_ascii_case(SCHEME)) {
                    let at = at + SCHEME.len();
                    return Some(Parameters { text, at });
                }
            }
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => {}
            }
            opens = !quoted && (c == ',' || (opens && c == ' '));
        }
        None
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..)?;
        let skipped = rest.len() - rest.trim_start_matches([' ', '\t', ',']).len();
        let start = self.at + skipped;
        let rest = self.text.get(start..)?;
        let (name, _) = rest.split_once('=')?;
        let bare = name.trim();
        // A space inside means that another challenge has begun.
        if bare.is_empty() || bare.contains([' ', ',', '"']) {
            return None;
        }
        let after = start + name.len() + 1;
        let value = self.text.get(after..)?;
        let from = after + (value.len() - value.trim_start_matches([' ', '\t']).len());
        let value = self.text.get(from..)?;
        let (range, end) = match value.strip_prefix('"') {
            Some(quoted) => {
                let from = from + 1;
                let length = closing(quoted)?;
                (from..from + length, from + length + 1)
            }
            None => {
                let length = value.find([',', ' ']).unwrap_or(value.len());
                (from..from + length, from + length)
            }
        };
        self.at = end;
        Some((bare, range))
    }
}

/// Where the quote that closes the text stands.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| match c {
        _ if escaped => {
            escaped = false;
            None
        }
        '\\' => {
            escaped = true;
            None
        }
        '"' => Some(at),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HARBOR: &str = r#"Bearer realm="http://node/service/token",service="harbor-registry",scope="repository:library/app:pull,push repository:b/c:pull""#;

    fn rewritten(value: &str) -> Option<String> {
        let value = HeaderValue::from_str(value).unwrap();
        let new = rewrite_realm(&value, |realm| {
            realm
                .strip_prefix("http://node/")
                .map(|p| format!("https://door/{p}"))
        });
        new.map(|v| v.to_str().unwrap().to_owned())
    }

    #[test]
    fn all_three_parts_are_read() {
        let challenge = Challenge::parse(HARBOR).unwrap();
        assert_eq!(challenge.realm, "http://node/service/token");
        assert_eq!(challenge.service, Some("harbor-registry"));
        assert_eq!(
            challenge.scope,
            Some("repository:library/app:pull,push repository:b/c:pull")
        );
    }

    #[test]
    fn only_the_realm_changes() {
        let expected = HARBOR.replace("http://node/", "https://door/");
        assert_eq!(rewritten(HARBOR), Some(expected));
    }

    #[test]
    fn other_challenges_are_left_alone() {
        assert_eq!(rewritten(r#"Basic realm="http://node/x""#), None);
        assert_eq!(rewritten(r#"Bearer realm="http://elsewhere/x""#), None);
        assert_eq!(rewritten(r#"Bearer service="realm=http://node/x""#), None);
        assert_eq!(rewritten(""), None);
        assert_eq!(Challenge::parse(r#"Basic realm="harbor""#), None);
    }

    #[test]
    fn a_bearer_challenge_after_a_basic_one_is_found() {
        let value = r#"Basic realm="a, Bearer b", bearer scope="s", Realm="http://node/t""#;
        assert_eq!(
            rewritten(value),
            Some(value.replace("http://node/", "https://door/"))
        );
        let value = r#"Bearer scope="s", Basic realm="http://node/t""#;
        assert_eq!(rewritten(value), None);
    }

    #[test]
    fn a_realm_cannot_break_out_of_its_quotes() {
        let value = HeaderValue::from_static(HARBOR);
        assert_eq!(rewrite_realm(&value, |_| Some("x\",a=\"".into())), None);
        assert_eq!(rewrite_realm(&value, |_| Some("x\r\ny".into())), None);
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(text in "(Bearer |[ -~]|,|\"|\\\\|é)*") {
            let _ = Challenge::parse(&text);
            if let Ok(value) = HeaderValue::from_str(&text) {
                let _ = rewrite_realm(&value, |r| Some(format!("{r}x")));
            }
        }
    }
}
