//! Logging in as docker does: knock, read the challenge, fetch a token for what is wanted, keep it while it is good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use super::exchange::{Call, Wires};
use super::failure::{Failure, Kind};
use super::place;
use super::trace::{Stage, Trace};
use crate::config::{Secret, Url};
use crate::harbor::auth::{Challenge, basic};

/// How long a token without `expires_in` is good (distribution's token specification).
const USUAL: Duration = Duration::from_secs(60);
/// Tokens are replaced this long before their end, or at nine tenths of their life if that is later.
const EARLY: Duration = Duration::from_secs(10);
/// The longest answer of a token service.
const LONGEST: usize = 256 << 10;

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// What the registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    Nothing,
    Basic,
    Bearer {
        origin: Url,
        realm: String,
        service: Option<String>,
    },
}

struct Token {
    value: HeaderValue,
    until: Instant,
}

/// One client's login. Every client has its own, as every docker has.
pub struct Login {
    account: Option<Account>,
    way: Mutex<Option<Arc<Way>>>,
    tokens: Mutex<HashMap<String, Token>>,
}

#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Login {
    /// Nothing is asked before the first request.
    pub fn new(account: Option<Account>) -> Self {
        Login {
            account,
            way: Mutex::default(),
            tokens: Mutex::default(),
        }
    }

    /// The `Authorization` for `scope`, scopes separated by blanks; `None` when the registry wants none.
    pub async fn header(
        &self,
        wires: &Arc<Wires>,
        scope: &str,
        trace: &Trace,
    ) -> Result<Option<HeaderValue>, Failure> {
        let known = lock(&self.way).clone();
        let way = match known {
            Some(way) => way,
            None => {
                let way = Arc::new(knock(wires, trace).await?);
                *lock(&self.way) = Some(way.clone());
                way
            }
        };
        match way.as_ref() {
            Way::Nothing => Ok(None),
            Way::Basic => Ok(self.basic()),
            Way::Bearer {
                origin,
                realm,
                service,
            } => {
                if let Some(token) = lock(&self.tokens).get(scope)
                    && token.until > Instant::now()
                {
                    return Ok(Some(token.value.clone()));
                }
                if self.account.is_some() && wires.target.url.https && !origin.https {
                    let what = format!("{origin} would get the password in the clear");
                    return Err(Failure::new(Kind::Login, what));
                }
                let mut path = realm.clone();
                if let Some(service) = service {
                    path = place::with(&path, "service", service);
                }
                for scope in scope.split(' ').filter(|scope| !scope.is_empty()) {
                    path = place::with(&path, "scope", scope);
                }
                if let Some(account) = &self.account {
                    path = place::with(&path, "account", &account.user);
                }
                let mut call = Call::new(Method::GET, origin, path);
                if let Some(value) = self.basic() {
                    call.headers.insert(header::AUTHORIZATION, value);
                }
                let token = fetch(wires, &call, trace).await?;
                let value = token.value.clone();
                lock(&self.tokens).insert(scope.to_owned(), token);
                Ok(Some(value))
            }
        }
    }

    /// The registry refused what it gave: the next request fetches anew.
    pub fn forget(&self, scope: &str) {
        lock(&self.tokens).remove(scope);
    }

    /// The account itself, which Harbor's own API asks for.
    pub fn basic(&self) -> Option<HeaderValue> {
        let account = self.account.as_ref()?;
        Some(basic(&account.user, account.password.expose()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn knock(wires: &Arc<Wires>, trace: &Trace) -> Result<Way, Failure> {
    let base = wires.target.url.clone();
    let call = Call::new(Method::GET, &base, "/v2/");
    let answer = wires.send(Stage::Token, &call, trace).await?;
    let challenges: Vec<String> = answer
        .head
        .headers
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    let head = answer.hope(&[200, 401]).await?;
    if head.status == StatusCode::OK {
        return Ok(Way::Nothing);
    }
    way(&base, &challenges).ok_or_else(|| {
        let what = "GET /v2/: 401 without a challenge that names a token service or Basic";
        Failure::new(Kind::Login, what)
    })
}

fn way(base: &Url, challenges: &[String]) -> Option<Way> {
    let bearer = challenges.iter().find_map(|text| Challenge::parse(text));
    if let Some(bearer) = bearer {
        let (origin, realm) = place::resolve(base, bearer.realm)?;
        let service = bearer.service.map(str::to_owned);
        return Some(Way::Bearer {
            origin,
            realm,
            service,
        });
    }
    let is_basic = |text: &String| {
        text.get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"))
    };
    challenges.iter().any(is_basic).then_some(Way::Basic)
}

async fn fetch(wires: &Arc<Wires>, call: &Call, trace: &Trace) -> Result<Token, Failure> {
    let asked = Instant::now();
    let answer = wires.send(Stage::Token, call, trace).await?;
    let (head, body) = answer.whole(LONGEST).await?;
    if head.status != StatusCode::OK {
        // Without the body: what was sent to this service is in no output.
        return Err(Failure::status(&call.shown(), head.status, &[]));
    }
    let none = |why: &str| Failure::new(Kind::Login, format!("{}: {why}", call.shown()));
    let granted: Granted =
        serde_json::from_slice(&body).map_err(|_| none("the answer is not JSON with a token"))?;
    let token = granted.token.or(granted.access_token);
    let token = token.filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| none("the answer holds no token"))?;
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| none("the token does not fit into a header"))?;
    value.set_sensitive(true);
    let life = granted.expires_in.map_or(USUAL, Duration::from_secs);
    Ok(Token {
        value,
        until: asked + useful(life),
    })
}

fn useful(life: Duration) -> Duration {
    life.saturating_sub(EARLY)
        .max(life * 9 / 10)
        .min(Duration::from_secs(86_400))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(challenges: &[&str]) -> Option<Way> {
        let base = "https://registry.example".parse().unwrap();
        let challenges: Vec<String> = challenges.iter().map(|c| (*c).to_owned()).collect();
        way(&base, &challenges)
    }

    #[test]
    fn a_bearer_challenge_names_the_token_service() {
        let told = r#"Bearer realm="https://auth.example/token?x=1",service="r""#;
        let expected = Way::Bearer {
            origin: "https://auth.example".parse().unwrap(),
            realm: "/token?x=1".to_owned(),
            service: Some("r".to_owned()),
        };
        assert_eq!(read(&[told]), Some(expected.clone()));
        assert_eq!(read(&["Basic realm=\"r\"", told]), Some(expected));
    }

    #[test]
    fn basic_is_understood_and_other_schemes_are_not() {
        assert_eq!(read(&["basic realm=\"r\""]), Some(Way::Basic));
        assert_eq!(read(&["Negotiate"]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn tokens_are_replaced_before_they_end() {
        let seconds = Duration::from_secs;
        assert_eq!(useful(seconds(1800)), seconds(1790));
        assert_eq!(useful(seconds(60)), seconds(54));
        assert_eq!(useful(seconds(0)), seconds(0));
    }
}
