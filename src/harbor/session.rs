//! Harbor's session cookies. Nodes take the cookie's value for a key of their Redis without looking at it: one that
//! cannot be decoded makes a healthy node answer 503, and one that names another key may overwrite it. So only what
//! a Harbor would have issued is passed on.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Whether Harbor keeps its session in a cookie of that name: `sid` since 1.7, `beegosessionID` before.
pub fn is_session_cookie(name: &str) -> bool {
    matches!(name, "sid" | "beegosessionID")
}

/// The `Cookie` lines to send instead, when a malformed session cookie had to be dropped; lines that become empty
/// are left out. `None`: nothing is wrong, and nothing was allocated.
pub fn clean_cookies(headers: &HeaderMap) -> Option<Vec<HeaderValue>> {
    let lines = || headers.get_all(COOKIE).iter();
    if lines().all(|line| crumbs(line).all(is_sound)) {
        return None;
    }
    let cleaned = lines().filter_map(|line| {
        if !line.is_empty() && crumbs(line).all(is_sound) {
            return Some(line.clone());
        }
        let kept: Vec<&[u8]> = crumbs(line)
            .filter(|crumb| is_sound(crumb) && !crumb.is_empty())
            .collect();
        if kept.is_empty() {
            return None;
        }
        let mut value = HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()?;
        value.set_sensitive(line.is_sensitive());
        Some(value)
    });
    Some(cleaned.collect())
}

fn crumbs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes()
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
}

fn is_sound(crumb: impl AsRef<[u8]>) -> bool {
    let crumb = crumb.as_ref();
    let mut parts = crumb.splitn(2, |byte| *byte == b'=');
    let name = parts.next().unwrap_or_default().trim_ascii();
    let is_session = std::str::from_utf8(name).is_ok_and(is_session_cookie);
    !is_session || parts.next().is_some_and(is_issued)
}

/// Sixteen random bytes in lower-case hexadecimal: the only form that any Harbor issues.
fn is_issued(value: &[u8]) -> bool {
    value.len() == 32 && value.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The id of the session that a request names, if it has the form that Harbor gives out. The first one counts, as it
/// does for Harbor.
pub fn named(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter();
    let mut found = lines.flat_map(crumbs).filter_map(session_of);
    found.next()
}

/// The value of a crumb or `Set-Cookie` pair that holds a session, as long as it is one that a Harbor issued.
fn session_of(pair: &[u8]) -> Option<&str> {
    let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
    (is_session_cookie(name.trim()) && is_issued(value.as_bytes())).then_some(value)
}

/// What an answer does to the session of whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// It goes on as it is, if there is one.
    None,
    /// From here on it has this id.
    Issued(&'a str),
    /// It is over.
    Ended,
}

/// What `headers` of an answer do to the session. Where several lines speak of it, the last one counts, as it does for
/// browsers: logging out without a session sets one and ends it.
pub fn change(headers: &HeaderMap) -> Change<'_> {
    let mut change = Change::None;
    for line in headers.get_all(SET_COOKIE) {
        let pair = crumbs(line).next().unwrap_or_default();
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        if std::str::from_utf8(name.trim_ascii()).is_ok_and(is_session_cookie) {
            change = session_of(pair).map_or(Change::Ended, Change::Issued);
        }
    }
    change
}

/// Whether a `Set-Cookie` line is one of Harbor's own: its session, or the partner of its session against forgery.
pub fn is_harbor_cookie(set_cookie: &HeaderValue) -> bool {
    let name = set_cookie
        .to_str()
        .ok()
        .and_then(|line| line.split_once('='))
        .map(|(name, _)| name.trim());
    name.is_some_and(|name| is_session_cookie(name) || matches!(name, "_xsrf" | "_gorilla_csrf"))
}

/// The `name=value` of a session that a `Set-Cookie` line hands out.
pub fn issued(set_cookie: &HeaderValue) -> Option<&str> {
    let pair = set_cookie.to_str().ok()?.split(';').next()?.trim();
    let (name, value) = pair.split_once('=')?;
    (is_session_cookie(name) && !value.is_empty()).then_some(pair)
}

/// A `Set-Cookie` value with `Secure` added, and with `http_only` also `HttpOnly`, as Harbor's nginx adds them when it
/// ends TLS itself. `HttpOnly` goes to session cookies alone: scripts of the 1.x pages read `_xsrf`. `None` when
/// nothing is missing.
pub fn secure(set_cookie: &HeaderValue, http_only: bool) -> Option<HeaderValue> {
    let mut crumbs = crumbs(set_cookie);
    let pair = crumbs.next().unwrap_or_default();
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let is_session = std::str::from_utf8(name.trim_ascii()).is_ok_and(is_session_cookie);
    let mut add_secure = true;
    let mut add_http_only = http_only && is_session;
    for attribute in crumbs {
        add_secure &= !attribute.eq_ignore_ascii_case(b"secure");
        add_http_only &= !attribute.eq_ignore_ascii_case(b"httponly");
    }
    if !add_secure && !add_http_only {
        return None;
    }
    let mut value = set_cookie.as_bytes().to_vec();
    if add_http_only {
        value.extend_from_slice(b"; HttpOnly");
    }
    if add_secure {
        value.extend_from_slice(b"; Secure");
    }
    HeaderValue::from_bytes(&value).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SID: &str = "0123456789abcdef0123456789abcdef";

    fn cleaned(lines: &[&str]) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        let text = |v: HeaderValue| v.to_str().unwrap().to_owned();
        clean_cookies(&headers).map(|lines| lines.into_iter().map(text).collect())
    }

    #[test]
    fn sound_cookies_are_left_as_they_are() {
        let sound = format!("a=%zz;sid={SID} ;  b=\"x\"; beegosessionID={SID}");
        assert_eq!(cleaned(&[&sound, "c=d"]), None);
        assert_eq!(cleaned(&[]), None);
    }

    #[test]
    fn only_malformed_session_cookies_go() {
        for bad in [
            "%zz",
            "",
            "cache:cfgs",
            "0123456789ABCDEF0123456789ABCDEF",
            "0123",
            "\"0123456789abcdef0123456789abcdef\"",
        ] {
            let line = format!("a=1; sid={bad}; b=2");
            assert_eq!(cleaned(&[&line, "c=%zz"]).unwrap(), ["a=1; b=2", "c=%zz"]);
        }
        assert_eq!(cleaned(&["a=1; sid; x"]).unwrap(), ["a=1; x"]);
        assert_eq!(
            cleaned(&["sid =bad; sid=", &format!("sid={SID}")]).unwrap(),
            [format!("sid={SID}")]
        );
    }

    #[test]
    fn a_request_names_its_session_by_a_sound_cookie() {
        let named = |line: &str| {
            let headers = HeaderMap::from_iter([(COOKIE, line.parse().unwrap())]);
            super::named(&headers).map(str::to_owned)
        };
        assert_eq!(named(&format!("a=b; sid={SID}")).as_deref(), Some(SID));
        assert_eq!(
            named(&format!("beegosessionID={SID}")).as_deref(),
            Some(SID)
        );
        assert_eq!(named("sid=0123; xsid=1"), None);
        assert_eq!(named(&format!("xsid={SID}")), None);
    }

    #[test]
    fn the_last_line_of_an_answer_decides_about_the_session() {
        let change = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (SET_COOKIE, line.parse().unwrap()));
            let headers = HeaderMap::from_iter(lines);
            match super::change(&headers) {
                Change::None => "none",
                Change::Issued(id) if id == SID => "issued",
                Change::Issued(_) => "?",
                Change::Ended => "ended",
            }
        };
        let issued = format!("sid={SID}; Path=/; HttpOnly");
        let ended = "sid=; Path=/; Max-Age=0";
        assert_eq!(change(&[]), "none");
        assert_eq!(change(&["_xsrf=a; Path=/"]), "none");
        assert_eq!(change(&[&issued, "_gorilla_csrf=x"]), "issued");
        assert_eq!(change(&[&issued, ended]), "ended");
    }

    #[test]
    fn a_line_of_nothing_else_disappears() {
        assert_eq!(cleaned(&["sid=%zz"]), Some(vec![]));
        assert_eq!(cleaned(&["beegosessionID=x; sid=y;"]), Some(vec![]));
    }

    fn secured(line: &str, http_only: bool) -> Option<String> {
        let value = secure(&HeaderValue::from_str(line).unwrap(), http_only)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn secure_is_added_where_it_is_missing() {
        assert_eq!(
            secured("sid=x; Path=/; HttpOnly", true).as_deref(),
            Some("sid=x; Path=/; HttpOnly; Secure")
        );
        assert_eq!(secured("sid=x; path=/; httponly; SECURE", true), None);
        assert_eq!(
            secured("sid=secure; Path=/", true).as_deref(),
            Some("sid=secure; Path=/; HttpOnly; Secure")
        );
    }

    #[test]
    fn scripts_can_still_read_the_token_against_forgery() {
        assert_eq!(
            secured("_xsrf=a|b; Path=/", true).as_deref(),
            Some("_xsrf=a|b; Path=/; Secure")
        );
    }

    proptest! {
        #[test]
        fn what_is_left_is_always_sound(lines in proptest::collection::vec("(sid=|beegosessionID=|[a-f0-9]{32}|;| |=|%|[a-z])*", 0..4)) {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
            }
            if let Some(kept) = clean_cookies(&headers) {
                headers.remove(COOKIE);
                for line in kept {
                    prop_assert!(!line.is_empty());
                    headers.append(COOKIE, line);
                }
            }
            prop_assert_eq!(clean_cookies(&headers), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = secure(&value, true);
                let _ = clean_cookies(&HeaderMap::from_iter([(COOKIE, value)]));
            }
        }
    }
}
