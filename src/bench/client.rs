//! One client, as one docker daemon is one: connections of its own and a login of its own.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};

use super::exchange::{Answer, Call, Wires};
use super::failure::Failure;
use super::login::{Account, Login};
use super::place;
use super::target::Target;
use super::trace::{Stage, Trace};

/// How many redirects are followed before the last one counts as the answer.
const REDIRECTS: usize = 5;

/// A client of one registry.
pub struct Client {
    wires: Arc<Wires>,
    login: Login,
}

impl Client {
    /// Connects and logs in when it is first used.
    pub fn new(target: Arc<Target>, account: Option<Account>) -> Arc<Self> {
        Arc::new(Client {
            wires: Wires::new(target),
            login: Login::new(account),
        })
    }

    /// The registry.
    pub fn target(&self) -> &Target {
        &self.wires.target
    }

    /// Sends a request with what `scope` asks for. A refused token is replaced once, as docker does; nothing else is
    /// asked twice.
    pub async fn ask(
        &self,
        stage: Stage,
        scope: &str,
        call: &Call,
        trace: &Trace,
    ) -> Result<Answer, Failure> {
        let answer = self.once(stage, scope, call, trace).await?;
        if answer.head.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        answer.hope(&[401]).await?;
        self.login.forget(scope);
        self.once(stage, scope, call, trace).await
    }

    async fn once(
        &self,
        stage: Stage,
        scope: &str,
        call: &Call,
        trace: &Trace,
    ) -> Result<Answer, Failure> {
        let credentials = self.login.header(&self.wires, scope, trace).await?;
        let mut call = call.clone();
        authorize(&mut call, credentials.clone());
        for _ in 0..REDIRECTS {
            let answer = self.wires.send(stage, &call, trace).await?;
            let next = match answer.head.status.as_u16() {
                301 | 302 | 307 | 308 if call.method.is_safe() => answer.header("location"),
                _ => None,
            };
            let Some((origin, path)) = next.and_then(|to| place::resolve(&call.origin, to)) else {
                return Ok(answer);
            };
            answer.hope(&[301, 302, 307, 308]).await?;
            // Storage behind the registry signs its addresses and must not see the token.
            let own = origin == self.target().url;
            authorize(&mut call, credentials.clone().filter(|_| own));
            (call.origin, call.path) = (origin, path);
        }
        self.wires.send(stage, &call, trace).await
    }

    /// Sends a request with the account itself, to Harbor's own API.
    pub async fn ask_harbor(
        &self,
        stage: Stage,
        call: &Call,
        trace: &Trace,
    ) -> Result<Answer, Failure> {
        let mut call = call.clone();
        authorize(&mut call, self.login.basic());
        self.wires.send(stage, &call, trace).await
    }
}

fn authorize(call: &mut Call, credentials: Option<HeaderValue>) {
    match credentials {
        Some(value) => call.headers.insert(header::AUTHORIZATION, value),
        None => call.headers.remove(header::AUTHORIZATION),
    };
}
