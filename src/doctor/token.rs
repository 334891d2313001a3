//! Tokens: who takes the account, and whether a token of one node is good on the others.
//!
//! Which key signed a token is written in its head (`kid`, in every Harbor from 1.5 on). Whether another node accepts it is
//! tried where that proves something: Harbor 2 wants a token with a user for that, the registries of 1.x any.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::clock::{Ahead, LEEWAY};
use super::finding::{Code, Finding, Severity, clean};
use super::greeting::Greeting;
use super::group::{Pair, compare, partners, split};
use super::node::Node;
use super::remedy;
use crate::harbor::component::Component;
use crate::harbor::dialect::Dialect;

/// What became of asking one node for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Here it is.
    Token(Token),
    /// It does not take the account.
    Refused,
    /// Nothing can be concluded, and why.
    Unclear(String),
}

/// A bearer token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// As a header.
    pub bearer: HeaderValue,
    /// The name of the key that signed it.
    pub key: Option<String>,
    /// Whose it is.
    pub user: Option<String>,
}

/// All that was seen of tokens.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Each node's own token, for the account or for nobody.
    pub own: Vec<Option<Asked>>,
    /// Whether the token of one was accepted by the other.
    pub accepted: BTreeMap<Pair, bool>,
}

impl Seen {
    /// The token of a node.
    pub fn of(&self, node: usize) -> Option<&Token> {
        match self.own.get(node)?.as_ref()? {
            Asked::Token(token) => Some(token),
            _ => None,
        }
    }
}

/// What may be wished for, in the words of that Harbor.
const fn actions(dialect: Option<Dialect>) -> &'static str {
    match dialect {
        // Its registry deletes for `*` (distribution 2.6).
        Some(Dialect::Harbor15) => "pull,push,*",
        _ => "pull,push,delete",
    }
}

/// Asks every node for a token for `repository`. A wrong password locks the account for 1.5 s on the node that hears it,
/// so once the first node refuses, no other one is asked.
pub async fn ask(
    nodes: &[Node],
    repository: &str,
    account: Option<&HeaderValue>,
) -> Vec<Option<Asked>> {
    let mut own = Vec::new();
    let mut refused_everywhere = false;
    for node in nodes {
        let known = matches!(
            node.dialect,
            Some(Dialect::Harbor2 | Dialect::Harbor1 | Dialect::Harbor15)
        );
        if !known || refused_everywhere {
            own.push(None);
            continue;
        }
        let asked = ask_one(node, repository, account).await;
        let accepted = own
            .iter()
            .any(|asked| matches!(asked, Some(Asked::Token(_))));
        refused_everywhere = asked == Asked::Refused && !accepted;
        own.push(Some(asked));
    }
    own
}

async fn ask_one(node: &Node, repository: &str, account: Option<&HeaderValue>) -> Asked {
    let encoded = utf8_percent_encode(repository, NON_ALPHANUMERIC);
    let wish = utf8_percent_encode(actions(node.dialect), NON_ALPHANUMERIC);
    let path =
        format!("/service/token?service=harbor-registry&scope=repository%3A{encoded}%3A{wish}");
    let received = match node.get(&path, account).await {
        Ok(received) => received,
        Err(error) => return Asked::Unclear(error.to_string()),
    };
    match received.status.as_u16() {
        200 => match read(&received.body) {
            // A database that is down makes Harbor 2 forget who asked.
            Some(token) if account.is_some() && token.user.is_none() => {
                Asked::Unclear("the token is nobody's: the database cannot be asked".to_owned())
            }
            Some(token) => Asked::Token(token),
            None => Asked::Unclear("what it hands out is no token".to_owned()),
        },
        401 if account.is_some() => Asked::Refused,
        status => Asked::Unclear(format!("it answers {status} to a wish for a token")),
    }
}

fn read(body: &[u8]) -> Option<Token> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let field = |name: &str| document.get(name)?.as_str().filter(|text| !text.is_empty());
    let token = field("token").or_else(|| field("access_token"))?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    bearer.set_sensitive(true);
    let mut parts = token.split('.').map(|part| {
        let json = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
        serde_json::from_slice::<Value>(&json).ok()
    });
    let (head, claims) = (parts.next().flatten(), parts.next().flatten());
    let text = |of: Option<Value>, name: &str| {
        let text = clean(of?.get(name)?.as_str()?);
        (!text.is_empty()).then_some(text)
    };
    Some(Token {
        bearer,
        key: text(head, "kid"),
        user: text(claims, "sub"),
    })
}

/// Shows every token to every node, its own first: what that does not accept proves nothing elsewhere.
pub async fn exchange(nodes: &[Node], own: Vec<Option<Asked>>) -> Seen {
    let mut seen = Seen {
        own,
        accepted: BTreeMap::new(),
    };
    for from in 0..nodes.len() {
        let Some(token) = seen.of(from).cloned() else {
            continue;
        };
        if accepts(nodes, from, &token).await != Some(true) {
            continue;
        }
        for to in partners(nodes.len(), from) {
            if let Some(accepted) = accepts(nodes, to, &token).await {
                seen.accepted.insert((from, to), accepted);
            }
        }
    }
    seen
}

async fn accepts(nodes: &[Node], at: usize, token: &Token) -> Option<bool> {
    let node = nodes.get(at)?;
    node.dialect?;
    // Without a session: one that is logged in would be let in whatever the token.
    let request = Request::get("/v2/").header(AUTHORIZATION, token.bearer.clone());
    let received = node.send(request, Bytes::new()).await.ok()?;
    match received.status.as_u16() {
        200 => Some(true),
        401 => Some(false),
        _ => None,
    }
}

/// Whose account is not taken, and whose tokens are worth nothing elsewhere.
pub fn judge(
    names: &[String],
    seen: &Seen,
    greetings: &[Greeting],
    clocks: &[Option<Ahead>],
    shares_data: bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let dialect = greetings.iter().find_map(|greeting| greeting.dialect);
    let keys: Vec<Option<&String>> = (0..names.len())
        .map(|node| seen.of(node).and_then(|token| token.key.as_ref()))
        .collect();
    let named = compare(&keys);
    let unlike = |(a, b): Pair| {
        named
            .iter()
            .find(|((c, d), _)| (*c, *d) == (a, b) || (*c, *d) == (b, a))
            .map(|(_, same)| !same)
    };
    let tried = seen.accepted.iter().filter_map(|(pair, accepted)| {
        match unlike(*pair) {
            // The names of keys say whether they are the same; a refusal beside equal names has another reason.
            Some(true) => Some((*pair, false)),
            _ if *accepted => Some((*pair, true)),
            _ if early(clocks, *pair) => None,
            _ => Some((*pair, false)),
        }
    });
    let evidence: Vec<(Pair, bool)> = if seen.accepted.is_empty() {
        named.clone()
    } else {
        // A node whose tokens could not be tried is still known by its key.
        let also = named.iter().filter(|((a, b), _)| {
            !seen.accepted.contains_key(&(*a, *b)) && !seen.accepted.contains_key(&(*b, *a))
        });
        tried.chain(also.copied()).collect()
    };
    if let Some(split) = split(evidence.iter().copied()) {
        let trust_only = keys
            .iter()
            .flatten()
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            == 1;
        let what = if trust_only {
            format!(
                "all nodes sign tokens with one key, but {} do not accept those of the others: the certificate there is another",
                super::finding::list(&remedy::names(names, &split.odd))
            )
        } else {
            let said: Vec<String> = names
                .iter()
                .zip(&keys)
                .filter_map(|(name, key)| Some(format!("{name}: {}", key.as_ref()?.get(..9)?)))
                .collect();
            format!(
                "tokens are signed with different keys ({})",
                said.join(", ")
            )
        };
        findings.push(Finding {
            code: Code::TokenKeyDiffers,
            severity: if shares_data { Severity::Error } else { Severity::Warning },
            nodes: remedy::names(names, &split.odd),
            what,
            symptom: "docker login and pushes fail with 401 at random: a token works only on the node that made it".to_owned(),
            fix: remedy::copy(names, &split, remedy::token_key(dialect), "restart core and registry"),
        });
    }
    findings.extend(accounts(names, seen, greetings));
    findings
}

/// Whether the token may be refused because it is not valid yet where it is shown.
fn early(clocks: &[Option<Ahead>], (from, to): Pair) -> bool {
    let clock = |at: usize| clocks.get(at).copied().flatten();
    match (clock(from), clock(to)) {
        (Some(from), Some(to)) => (from.middle() - to.middle()).abs() > LEEWAY / 2.0,
        _ => false,
    }
}

fn accounts(names: &[String], seen: &Seen, greetings: &[Greeting]) -> Option<Finding> {
    let those = |wanted: &dyn Fn(&Asked) -> bool| -> Vec<usize> {
        let all = seen.own.iter().enumerate();
        all.filter(|(_, asked)| asked.as_ref().is_some_and(wanted))
            .map(|(at, _)| at)
            .collect()
    };
    let taken = those(&|asked| matches!(asked, Asked::Token(_)));
    let mut refused = those(&|asked| *asked == Asked::Refused);
    // 1.x says the same when it cannot ask its database.
    refused.retain(|at| {
        greetings
            .get(*at)
            .is_none_or(|greeting| !greeting.lacks(Component::Database))
    });
    if refused.is_empty() {
        return None;
    }
    let nodes = remedy::names(names, &refused);
    let who = super::finding::list(&nodes);
    Some(match taken.first() {
        None => Finding {
            code: Code::AccountRefused,
            severity: Severity::Error,
            what: format!("{who} does not take the account, so no other node was asked"),
            symptom: "what needs an account could not be tried".to_owned(),
            fix: "write the right user and password file, or try again if somebody else just mistyped it: every wrong try \
                  locks the user for 1.5 s"
                .to_owned(),
            nodes,
        },
        Some(model) => Finding {
            code: Code::AccountDiffers,
            severity: Severity::Error,
            what: format!(
                "{} takes the account, {who} does not",
                remedy::name(names, *model)
            ),
            symptom: "logins with a right password fail at random".to_owned(),
            fix: format!("make the same users and robots with the same secrets on {who}"),
            nodes,
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(head: &str, claims: &str) -> String {
        let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!(r#"{{"token":"{head}.{claims}.c2ln"}}"#)
    }

    #[test]
    fn key_and_user_are_read_off_the_token() {
        let read = read(token(r#"{"kid":"AAAA:BBBB"}"#, r#"{"sub":"ann"}"#).as_bytes()).unwrap();
        assert_eq!(read.key.as_deref(), Some("AAAA:BBBB"));
        assert_eq!(read.user.as_deref(), Some("ann"));
        assert!(read.bearer.is_sensitive());
    }

    #[test]
    fn a_token_of_nobody_has_no_user_and_an_opaque_one_neither() {
        let anonymous = read(token("{}", r#"{"access":null}"#).as_bytes()).unwrap();
        assert_eq!((anonymous.key, anonymous.user), (None, None));
        let opaque = read(br#"{"access_token":"x"}"#).unwrap();
        assert_eq!((opaque.key, opaque.user), (None, None));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(body in "\\PC*", head in "\\PC*", claims in "\\PC*") {
            let _ = read(body.as_bytes());
            let _ = read(token(&head, &claims).as_bytes());
        }
    }
}
