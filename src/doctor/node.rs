//! One node as the doctor meets it: asked directly, with what Seawall itself would send, and left as it was.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, COOKIE, DATE, HOST, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::clock::Sample;
use crate::config::{self, Config, Problem};
use crate::harbor::dialect::Dialect;
use crate::harbor::session;
use crate::tls::Pair;
use crate::tls::client::LiveClient;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::exchange::{self, Received, Unanswered};

/// The most that one question may take.
const LIMIT: Duration = Duration::from_secs(10);
/// After so many questions without an answer nothing more is asked: a part that hangs would hold everything up.
const PATIENCE: u32 = 3;

/// One node.
pub struct Node {
    /// Its name in the configuration.
    pub name: String,
    /// Which Harbor it is, once it is known.
    pub dialect: Option<Dialect>,
    endpoint: Endpoint,
    direct: bool,
    host: HeaderValue,
    proto: &'static str,
    unanswered: AtomicU32,
    samples: Mutex<Vec<Sample>>,
    sessions: Mutex<Vec<String>>,
    made: Mutex<Vec<(String, HeaderValue)>>,
}

/// How clients reach the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// `host[:port]`, where it is configured.
    pub authority: Option<String>,
    /// Whether they speak TLS.
    pub https: bool,
}

impl Public {
    /// What the configuration says of it: its public URL, or else whether any listener speaks TLS.
    pub fn of(config: &Config) -> Self {
        let url = config.cluster.public_url.as_ref();
        Public {
            authority: url.map(config::Url::authority),
            https: url.map_or_else(
                || config.listen.iter().any(config::Listen::tls),
                |url| url.https,
            ),
        }
    }
}

impl Node {
    /// Every node of a configuration.
    ///
    /// # Errors
    /// Certificate files that cannot be used.
    pub fn all(config: &Config) -> Result<Vec<Node>, Vec<Problem>> {
        let public = Public::of(config);
        let mut problems = Vec::new();
        let mut nodes = Vec::new();
        for node in &config.cluster.node {
            match Node::new(node, &public) {
                Ok(node) => nodes.push(node),
                Err(what) => problems.push(config.problem(
                    node.at,
                    format!("cluster.node.{}", node.name),
                    what,
                    "put readable PEM files and a sound address there",
                )),
            }
        }
        if problems.is_empty() {
            Ok(nodes)
        } else {
            Err(problems)
        }
    }

    fn new(node: &config::Node, public: &Public) -> Result<Self, String> {
        let identity = node.client_certificate.as_ref().map(|pair| Pair {
            chain: pair.chain.clone(),
            key: pair.key.clone(),
        });
        let tls = LiveClient::load(node.ca.clone(), identity);
        let tls = tls.map_err(|error| error.to_string())?;
        let endpoint = Endpoint::new(node.endpoints.main().clone(), tls.into())?;
        let host = match &public.authority {
            Some(authority) => {
                HeaderValue::from_str(authority).map_err(|error| error.to_string())?
            }
            None => endpoint.authority().clone(),
        };
        Ok(Node {
            name: node.name.clone(),
            dialect: None,
            endpoint,
            direct: matches!(node.endpoints, config::Endpoints::Parts { .. }),
            host,
            proto: if public.https { "https" } else { "http" },
            unanswered: AtomicU32::new(0),
            samples: Mutex::default(),
            sessions: Mutex::default(),
            made: Mutex::default(),
        })
    }

    /// Whether Harbor's own nginx is in between.
    pub fn has_nginx(&self) -> bool {
        !self.direct
    }

    /// What it was sent as `Host`.
    pub fn host(&self) -> &str {
        self.host.to_str().unwrap_or_default()
    }

    /// How pages from it are addressed: `https://host`.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.proto, self.host())
    }

    /// A `GET`, in a session that is kept: without one every answer would leave one more in Redis.
    ///
    /// # Errors
    /// No whole answer.
    pub async fn get(
        &self,
        path: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Received, Unanswered> {
        let mut request = Request::get(path);
        if let Some(session) = lock(&self.sessions).first() {
            request = request.header(COOKIE, session);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.send(request, Bytes::new()).await
    }

    /// Sends a request whose target begins with `/`; what every request needs is added.
    ///
    /// # Errors
    /// No whole answer.
    pub async fn send(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Received, Unanswered> {
        if self.unanswered.load(Ordering::Relaxed) >= PATIENCE {
            return Err(Unanswered::TimedOut(Duration::ZERO));
        }
        let unsound = |error: &dyn std::fmt::Display| Unanswered::Broke(error.to_string());
        let mut request = request.body(body).map_err(|error| unsound(&error))?;
        if self.direct
            && self.dialect == Some(Dialect::Harbor15)
            && request.uri().path().starts_with("/v2/")
        {
            // The registry of 1.5 is elsewhere for whoever speaks to `ui` without its nginx.
            let target = format!("/registryproxy{}", request.uri());
            *request.uri_mut() = target.parse().map_err(|error| unsound(&error))?;
        }
        let writes = request.method() != Method::GET && request.method() != Method::HEAD;
        let empty = request.body().is_empty();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(PROTO, HeaderValue::from_static(self.proto));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json, */*;q=0.5"));
        if writes && empty {
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let sent = SystemTime::now();
        let answered = exchange::send(&self.endpoint, request, LIMIT).await;
        match &answered {
            Ok(received) => self.note(sent, &received.headers),
            Err(Unanswered::TimedOut(_)) => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {}
        }
        answered
    }

    /// Keeps what an answer says beside its content: the time, and a session that has to end again.
    fn note(&self, sent: SystemTime, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|value| value.to_str().ok());
        if let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) {
            lock(&self.samples).push(Sample {
                sent,
                received: SystemTime::now(),
                date,
            });
        }
        let issued = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(session::issued);
        lock(&self.sessions).extend(issued.map(str::to_owned));
    }

    /// What its answers said of its clock.
    pub fn samples(&self) -> Vec<Sample> {
        lock(&self.samples).clone()
    }

    /// Remembers that a `DELETE` of `target` has to follow in the end, however that comes.
    pub fn made(&self, target: &str, authorization: &HeaderValue) {
        lock(&self.made).push((target.to_owned(), authorization.clone()));
    }

    /// There is nothing to delete any more.
    pub fn gone(&self, target: &str) {
        lock(&self.made).retain(|(made, _)| made != target);
    }

    /// Deletes what was made, the latest first, and ends every session that its answers began. Says what stays.
    pub async fn part(&self) -> Vec<String> {
        let mut left = Vec::new();
        let made = std::mem::take(&mut *lock(&self.made));
        for (target, authorization) in made.into_iter().rev() {
            let request = Request::delete(&target).header(AUTHORIZATION, authorization);
            let why = match self.send(request, Bytes::new()).await {
                Ok(answer) if answer.status.is_success() || answer.status == 404 => continue,
                Ok(answer) => answer.status.as_u16().to_string(),
                Err(error) => error.to_string(),
            };
            let path = target.split('?').next().unwrap_or_default();
            left.push(format!(
                "{} keeps {path}, as deleting it was answered {why}; delete it by hand",
                self.name
            ));
        }
        self.end_sessions().await;
        left
    }

    async fn end_sessions(&self) {
        let path = match self.dialect {
            Some(Dialect::Harbor2 | Dialect::Harbor1) => "/c/log_out",
            Some(Dialect::Harbor15) => "/log_out",
            Some(Dialect::Registry) | None => return,
        };
        let sessions = std::mem::take(&mut *lock(&self.sessions));
        for session in sessions {
            let _ = self
                .send(Request::get(path).header(COOKIE, session), Bytes::new())
                .await;
        }
    }
}

const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const AGENT: &str = concat!("seawall-doctor/", env!("CARGO_PKG_VERSION"));

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
