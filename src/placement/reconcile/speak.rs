//! One node, asked directly and with the account: no cookies, nothing of a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, LOCATION, USER_AGENT};
use http::{HeaderValue, Request};

use super::judge::TOLERANCE;
use crate::harbor::dialect::Dialect;
use crate::harbor::replication::content::{self, Artifact, Project};
use crate::harbor::replication::{self, Call, PAGE};
use crate::session::entry;
use crate::upstream::backend::Backend;
use crate::upstream::exchange;

/// For one answer: lists of a large Harbor take their time.
const LIMIT: Duration = Duration::from_secs(30);
/// Pages of a list that are read.
const MOST_PAGES: usize = 100;

/// Why a node did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It could not be asked.
    #[error("{0} cannot be asked: {1}")]
    Away(String, String),
    /// It does not take the account for this.
    #[error(
        "{0} refused the account ({1}): it must be a system administrator, or a robot with rights on replication, registries and repositories"
    )]
    Refused(String, String),
    /// It said something else than was hoped for.
    #[error("{0} said {1} to {2}")]
    Said(String, String, String),
}

/// What a node answered.
pub struct Heard {
    /// The body.
    pub body: Bytes,
    /// The number in its `Location`.
    pub made: Option<u64>,
}

/// One node and how it is spoken to.
#[derive(Clone)]
pub struct Speaker {
    /// The node.
    pub node: Arc<Backend>,
    /// Which Harbor it is.
    pub dialect: Dialect,
    credentials: HeaderValue,
    public: Option<(HeaderValue, bool)>,
    /// How far its clock is ahead, in milliseconds.
    ahead: Arc<AtomicI64>,
}

impl Speaker {
    /// For a node whose dialect is known.
    pub fn new(
        node: Arc<Backend>,
        credentials: HeaderValue,
        public: Option<(HeaderValue, bool)>,
    ) -> Option<Self> {
        let dialect = node
            .standing
            .dialect()
            .filter(|it| *it != Dialect::Registry)?;
        Some(Speaker {
            node,
            dialect,
            credentials,
            public,
            ahead: Arc::default(),
        })
    }

    /// What the node answers to `call`; `None` for 404.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn ask(&self, call: &Call) -> Result<Option<Heard>, Trouble> {
        let name = || self.node.name.to_string();
        let endpoint = self.node.endpoint(true);
        let request = Request::builder()
            .method(call.method.clone())
            .uri(&call.path);
        let mut request = exchange::addressed(request, endpoint, self.public.as_ref())
            .header(USER_AGENT, concat!("seawall/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, &self.credentials);
        let body = match &call.body {
            Some(document) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(document.to_string())
            }
            None => Bytes::new(),
        };
        let away = |why: &dyn std::fmt::Display| Trouble::Away(name(), why.to_string());
        let request = request.body(body).map_err(|error| away(&error))?;
        let received = exchange::send(endpoint, request, LIMIT)
            .await
            .map_err(|error| away(&error))?;
        self.note_clock(received.headers.get(DATE));
        let status = received.status.as_u16();
        match status {
            404 => Ok(None),
            200..300 => Ok(Some(Heard {
                made: received
                    .headers
                    .get(LOCATION)
                    .and_then(|value| replication::made(value.to_str().ok()?)),
                body: received.body,
            })),
            _ => {
                let said = replication::complaint(status, &received.body);
                Err(match status {
                    401 | 403 => Trouble::Refused(name(), said),
                    502..=504 => Trouble::Away(name(), said),
                    _ => Trouble::Said(name(), said, format!("{} {}", call.method, call.path)),
                })
            }
        }
    }

    /// The same where 404 is as good as any other refusal.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn need(&self, call: &Call) -> Result<Heard, Trouble> {
        self.ask(call)
            .await?
            .ok_or_else(|| self.odd("404 not found", call))
    }

    /// It said something that cannot be understood.
    pub fn odd(&self, what: &str, call: &Call) -> Trouble {
        let asked = format!("{} {}", call.method, call.path);
        Trouble::Said(self.node.name.to_string(), what.to_owned(), asked)
    }

    fn note_clock(&self, date: Option<&HeaderValue>) {
        let date = date.and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok());
        let since = date.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok());
        if let Some(since) = since {
            // A date has whole seconds: it was half a second later, on the average.
            let theirs = i64::try_from(since.as_millis()).unwrap_or(i64::MAX) + 500;
            let ours = i64::try_from(entry::now()).unwrap_or(i64::MAX);
            let ahead = theirs - ours;
            let near = ahead.unsigned_abs() < TOLERANCE;
            self.ahead.store(if near { 0 } else { ahead }, Relaxed);
        }
    }

    /// A time of the node by our clock.
    fn by_our_clock(&self, at: &mut Option<u64>) {
        let ahead = self.ahead.load(Relaxed);
        *at = at.map(|at| at.saturating_add_signed(-ahead));
    }

    fn mend_times(&self, artifact: &mut Artifact) {
        self.by_our_clock(&mut artifact.pushed);
        for tag in &mut artifact.tags {
            self.by_our_clock(&mut tag.pushed);
        }
    }

    /// What `reference` is there, with times by our clock.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn look_up(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<Artifact>, Trouble> {
        let call = content::look_up(self.dialect, repository, reference);
        let Some(heard) = self.ask(&call).await? else {
            return Ok(None);
        };
        let found = content::looked_up(self.dialect, reference, &heard.body);
        let mut found = found.ok_or_else(|| self.odd("nothing of Harbor", &call))?;
        if let Some(artifact) = &mut found {
            self.mend_times(artifact);
        }
        Ok(found)
    }

    /// The artifacts of a repository, the latest first, those that were pushed before `since` left out where the node tells.
    /// `None`: there is no such repository.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn artifacts(
        &self,
        repository: &str,
        since: u64,
    ) -> Result<Option<Vec<Artifact>>, Trouble> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let call = content::artifacts(self.dialect, repository, page);
            let Some(heard) = self.ask(&call).await? else {
                return Ok(None);
            };
            let listed = content::listed(self.dialect, &heard.body);
            let mut listed = listed.ok_or_else(|| self.odd("nothing of Harbor", &call))?;
            listed.iter_mut().for_each(|one| self.mend_times(one));
            let last = listed.len() < PAGE || self.dialect != Dialect::Harbor2;
            // A tag may have moved to an older artifact.
            let late = |at: Option<u64>| at.is_none_or(|at| at >= since);
            let old = listed.iter().all(|one| !late(one.pushed));
            let changed =
                |one: &Artifact| late(one.pushed) || one.tags.iter().any(|tag| late(tag.pushed));
            all.extend(listed.into_iter().filter(changed));
            if last || old {
                break;
            }
        }
        Ok(Some(all))
    }

    /// All pages of a list.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn pages<T>(
        &self,
        call: impl Fn(usize) -> Call,
        read: impl Fn(&[u8]) -> Option<Vec<T>>,
    ) -> Result<Vec<T>, Trouble> {
        let mut all = Vec::new();
        let mut before = String::new();
        for page in 1..=MOST_PAGES {
            let call = call(page);
            // A list without pages is the same each time.
            if call.path == before {
                break;
            }
            let Some(heard) = self.ask(&call).await? else {
                break;
            };
            let listed = read(&heard.body).ok_or_else(|| self.odd("nothing of Harbor", &call))?;
            let last = listed.len() < PAGE;
            all.extend(listed);
            if last {
                break;
            }
            before = call.path;
        }
        Ok(all)
    }

    /// All projects.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn projects(&self) -> Result<Vec<Project>, Trouble> {
        let call = |page| content::projects(self.dialect, page);
        self.pages(call, content::projects_listed).await
    }
}
