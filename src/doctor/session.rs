//! Sessions of the pages: what one node began is shown to the others. A node that does not know a session hands out another
//! one, a node that cannot open the partner cookie against forgery replaces it: plain `GET`s tell.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, ORIGIN, REFERER, SET_COOKIE};
use http::{HeaderMap, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::finding::{Code, Finding, Severity};
use super::group::{Pair, partners, split};
use super::node::Node;
use super::remedy;
use crate::config::Secret;
use crate::harbor::dialect::{Check, Dialect};
use crate::harbor::session;

/// A login to the pages.
pub struct Login<'a> {
    /// Who.
    pub user: &'a str,
    /// The secret.
    pub password: &'a Secret,
}

/// What was seen of sessions.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Whether the session of one was known to the other.
    pub known: BTreeMap<Pair, bool>,
    /// Whether whoever logged in on one was logged in on the other.
    pub logged_in: BTreeMap<Pair, bool>,
    /// Whether the other could open the cookie against forgery of the one.
    pub opened: BTreeMap<Pair, bool>,
    /// What went wrong with logging in.
    pub trouble: Option<String>,
}

/// A browser's cookies and its token against forgery.
#[derive(Clone, Debug, Default)]
struct Browser {
    session: Option<String>,
    partner: Option<String>,
    token: Option<String>,
}

const PARTNERS: [&str; 2] = ["_gorilla_csrf", "_xsrf"];

fn partner(headers: &HeaderMap) -> Option<String> {
    headers.get_all(SET_COOKIE).iter().find_map(|line| {
        let pair = line.to_str().ok()?.split(';').next()?.trim();
        let (name, _) = pair.split_once('=')?;
        PARTNERS.contains(&name).then(|| pair.to_owned())
    })
}

fn issued(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(SET_COOKIE).iter();
    lines
        .filter_map(session::issued)
        .next_back()
        .map(str::to_owned)
}

impl Browser {
    fn cookies(&self) -> String {
        let all: Vec<&str> = self
            .session
            .iter()
            .chain(&self.partner)
            .map(String::as_str)
            .collect();
        all.join("; ")
    }

    fn learn(&mut self, headers: &HeaderMap) {
        if let Some(session) = issued(headers) {
            self.session = Some(session);
        }
        if let Some(partner) = partner(headers) {
            self.token = xsrf(&partner);
            self.partner = Some(partner);
        }
        if let Some(token) = headers
            .get("x-harbor-csrf-token")
            .and_then(|value| value.to_str().ok())
        {
            self.token = Some(token.to_owned());
        }
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        let cookies = self.cookies();
        if cookies.is_empty() {
            request
        } else {
            request.header(COOKIE, cookies)
        }
    }
}

/// The token inside the cookie of 1.10: `base64|time|signature`.
fn xsrf(pair: &str) -> Option<String> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let inner = pair.strip_prefix("_xsrf=")?.split('|').next()?;
    String::from_utf8(STANDARD.decode(inner).ok()?).ok()
}

/// Begins a session on every node and shows it to the others, logged in where there is a login.
pub async fn observe(nodes: &[Node], login: Option<Login<'_>>) -> Seen {
    let mut seen = Seen::default();
    let mut browsers = Vec::new();
    for node in nodes {
        browsers.push(begin(node).await);
    }
    let mut login = login;
    for (from, browser) in browsers.iter().enumerate() {
        let Some(browser) = browser else {
            continue;
        };
        let others = || {
            let all = partners(nodes.len(), from);
            all.filter(|to| browsers.get(*to).is_some_and(Option::is_some))
        };
        for to in others() {
            let Some(node) = nodes.get(to) else { continue };
            if let Some((known, opened)) = show(node, browser).await {
                seen.known.insert((from, to), known);
                if browser.partner.is_some() {
                    seen.opened.insert((from, to), opened);
                }
            }
        }
        let (Some(origin), Some(who)) = (nodes.get(from), &login) else {
            continue;
        };
        match log_in(origin, who).await {
            Ok(browser) => {
                for to in others() {
                    let Some(node) = nodes.get(to) else { continue };
                    if let Some(logged_in) = current(node, &browser).await {
                        seen.logged_in.insert((from, to), logged_in);
                    }
                }
            }
            Err(why) => {
                // Whoever is refused once is locked; no other node hears of it.
                seen.trouble = Some(format!("{}: {why}", origin.name));
                login = None;
            }
        }
    }
    seen
}

/// A session that its own node knows again, with a partner cookie that it can open. `None` where that fails: there is
/// nothing to show to others then.
async fn begin(node: &Node) -> Option<Browser> {
    let ping = ping(node)?;
    let mut browser = Browser::default();
    for _ in 0..2 {
        let answer = node
            .send(browser.request("GET", ping), Bytes::new())
            .await
            .ok()?;
        browser.learn(&answer.headers);
    }
    let (known, opened) = show(node, &browser).await?;
    if !opened {
        browser.partner = None;
    }
    (browser.session.is_some() && known).then_some(browser)
}

fn ping(node: &Node) -> Option<&'static str> {
    let dialect = node
        .dialect
        .filter(|dialect| *dialect != Dialect::Registry)?;
    Some(dialect.path(Check::Ping))
}

/// Whether a node knows a browser's session, and can open its partner cookie.
async fn show(node: &Node, browser: &Browser) -> Option<(bool, bool)> {
    let answer = node
        .send(browser.request("GET", ping(node)?), Bytes::new())
        .await
        .ok()?;
    (answer.status == 200).then(|| {
        (
            issued(&answer.headers).is_none(),
            partner(&answer.headers).is_none(),
        )
    })
}

async fn log_in(node: &Node, login: &Login<'_>) -> Result<Browser, String> {
    let mut browser = begin(node).await.ok_or("no session begins there")?;
    let path = match node.dialect {
        Some(Dialect::Harbor15) => "/login",
        _ => "/c/login",
    };
    let text = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let form = format!(
        "principal={}&password={}",
        text(login.user),
        text(login.password.expose())
    );
    let origin = node.origin();
    let mut request = browser
        .request("POST", path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(REFERER, format!("{origin}/account/sign-in"))
        .header(ORIGIN, origin);
    if let Some(token) = &browser.token {
        let name = match node.dialect {
            Some(Dialect::Harbor1) => "x-xsrftoken",
            _ => "x-harbor-csrf-token",
        };
        request = request.header(name, token);
    }
    let answer = node
        .send(request, Bytes::from(form))
        .await
        .map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!(
            "logging in to the pages is answered {}",
            answer.status.as_u16()
        ));
    }
    browser.learn(&answer.headers);
    match current(node, &browser).await {
        Some(true) => Ok(browser),
        _ => Err("whoever logs in to the pages is not logged in there".to_owned()),
    }
}

/// Whether a browser is logged in on a node.
async fn current(node: &Node, browser: &Browser) -> Option<bool> {
    let path = match node.dialect? {
        Dialect::Harbor2 => "/api/v2.0/users/current",
        _ => "/api/users/current",
    };
    let answer = node
        .send(browser.request("GET", path), Bytes::new())
        .await
        .ok()?;
    match answer.status.as_u16() {
        200 => Some(true),
        401 => Some(false),
        _ => None,
    }
}

/// Who keeps sessions elsewhere, and who seals cookies with another key. `one_database`: a session that is known and yet
/// not logged in says something of Redis.
pub fn judge(
    names: &[String],
    seen: &Seen,
    dialect: Option<Dialect>,
    one_database: bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sessions = seen.known.iter().map(|(pair, known)| {
        let logged_in = seen.logged_in.get(pair).copied().unwrap_or(true);
        (*pair, *known && (logged_in || !one_database))
    });
    if let Some(split) = split(sessions) {
        let who = super::finding::list(&remedy::names(names, &split.odd));
        findings.push(Finding {
            code: Code::RedisNotShared,
            severity: Severity::Error,
            nodes: remedy::names(names, &split.odd),
            what: match split.model {
                Some(_) => format!("sessions of the other nodes are not known on {who}, nor its own there"),
                None => format!("a session that begins on one of {who} is not known on the other"),
            },
            symptom: "users of the pages are logged out whenever they reach another node; 2.x records pushes with wrong sizes".to_owned(),
            fix: remedy::copy(names, &split, remedy::redis(dialect), "run ./prepare and restart Harbor"),
        });
    }
    if let Some(split) = split(seen.opened.iter().map(|(pair, opened)| (*pair, *opened))) {
        let who = super::finding::list(&remedy::names(names, &split.odd));
        findings.push(Finding {
            code: Code::CsrfKeyDiffers,
            severity: Severity::Error,
            nodes: remedy::names(names, &split.odd),
            what: format!("{who} cannot open the cookie against forgery of another node"),
            symptom: match dialect {
                Some(Dialect::Harbor1) => "the pages fail with 417 on whatever changes something, at random",
                _ => "logging in to the pages fails with 403 `CSRF token invalid`, shown as a wrong password",
            }
            .to_owned(),
            fix: remedy::copy(names, &split, remedy::csrf_key(dialect), "restart core"),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_token_of_1_10_is_inside_its_cookie() {
        let pair = "_xsrf=NVRRdUdZS3dKUUxXQUdYcDlqOUVPcG1ubndvdDI5c0g=|1795359744950670138|fda6";
        assert_eq!(
            xsrf(pair).as_deref(),
            Some("5TQuGYKwJQLWAGXp9j9EOpmnnwot29sH")
        );
    }

    #[test]
    fn a_session_that_is_known_and_not_logged_in_says_nothing_beside_another_database() {
        let seen = Seen {
            known: BTreeMap::from([((0, 1), true)]),
            logged_in: BTreeMap::from([((0, 1), false)]),
            ..Seen::default()
        };
        let names = ["a".to_owned(), "b".to_owned()];
        assert!(judge(&names, &seen, None, false).is_empty());
        let found: Vec<_> = judge(&names, &seen, None, true)
            .into_iter()
            .map(|one| one.code)
            .collect();
        assert_eq!(found, [Code::RedisNotShared]);
    }

    proptest! {
        #[test]
        fn no_cookie_makes_it_panic(line in "\\PC*") {
            let _ = xsrf(&line);
            if let Ok(value) = http::HeaderValue::from_str(&line) {
                let headers = HeaderMap::from_iter([(SET_COOKIE, value)]);
                let _ = (partner(&headers), issued(&headers));
            }
        }
    }
}
