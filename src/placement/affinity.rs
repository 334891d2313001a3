//! What ties a request to a node, and what an answer teaches about the next ones.
//!
//! Clients carry nothing of ours. An upload is known by the uuid that its node gave it, a session of the pages by
//! Harbor's own cookie. What is only claimed is never learnt: a key is written when a node's answer proves it.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::harbor::class::{Class, Lane};
use crate::harbor::path::Target;
use crate::harbor::session::{self as cookies, Change};
use crate::harbor::upload;
use crate::session::entry::Entry;
use crate::session::key::{Key, Kind};
use crate::session::{Recalled, Sessions};
use crate::upstream::backend::Backend;
use crate::upstream::cluster::{Tied, Want};

/// What a request has to do with stickiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// Nothing.
    None,
    /// It opens an upload.
    Opens,
    /// It goes on with an upload, or ends it.
    Upload(Key),
    /// It is a browser's or an API client's, with the session that it names.
    Ui(Option<Key>),
    /// It pushes to a repository.
    Pushes(Key),
}

impl Tie {
    /// Reads it off a request whose headers are cleaned already. `cookie`: there is a `Cookie` header.
    pub fn of(target: &Target<'_>, headers: &HeaderMap, cookie: bool, sessions: &Sessions) -> Self {
        let terms = sessions.terms();
        match target.class {
            Class::UploadStart if terms.sticks(Kind::Upload) => Tie::Opens,
            Class::UploadChunk
            | Class::UploadFinish
            | Class::UploadStatus
            | Class::UploadCancel
                if terms.sticks(Kind::Upload) =>
            {
                let uuid = target.upload.filter(|uuid| upload::is_uuid(uuid));
                uuid.map_or(Tie::None, |uuid| Tie::Upload(Key::new(Kind::Upload, uuid)))
            }
            Class::ManifestWrite if terms.sticks(Kind::Push) => match &target.repository {
                Some(repository) => Tie::Pushes(Key::new(Kind::Push, repository)),
                None => Tie::None,
            },
            class if class.lane() != Lane::Registry && terms.sticks(Kind::Ui) => {
                let named = cookie.then(|| cookies::named(headers)).flatten();
                match named {
                    Some(id) => Tie::Ui(Some(Key::new(Kind::Ui, id))),
                    None if class == Class::UiSession => Tie::Ui(None),
                    None => Tie::None,
                }
            }
            _ => Tie::None,
        }
    }

    const fn key(&self) -> Option<Key> {
        match self {
            Tie::Upload(key) | Tie::Ui(Some(key)) | Tie::Pushes(key) => Some(*key),
            Tie::None | Tie::Opens | Tie::Ui(None) => None,
        }
    }
}

/// A tie with what is known of it.
pub struct Bond {
    tie: Tie,
    known: Option<Arc<Entry>>,
    /// The store did not answer in time: it is not waited for again.
    unsure: bool,
    /// What the choice of a node shall heed.
    pub want: Want,
}

impl Bond {
    /// For a request that nothing ties; `key` is what rendezvous hashes.
    pub const fn loose(key: Option<u64>) -> Self {
        Bond {
            tie: Tie::None,
            known: None,
            unsure: false,
            want: Want::any(key),
        }
    }
}

/// Finds out what `tie` means for the choice of a node, within the store's budget; `key` is the request's own. Where nodes
/// are `apart`, with databases of their own, a session of the pages is good at its own node alone.
pub async fn recall(sessions: &Sessions, tie: Tie, key: Option<u64>, apart: bool) -> Bond {
    let mut bond = Bond::loose(key);
    bond.tie = tie;
    let found = match tie {
        Tie::None | Tie::Pushes(_) | Tie::Ui(None) => return bond,
        Tie::Opens => {
            bond.want.by_key = true;
            return bond;
        }
        Tie::Upload(key) => {
            // Where its node is gone or unknown, all doors still choose alike, as they did when it was opened.
            bond.want.by_key = true;
            sessions.recall(key).await
        }
        Tie::Ui(Some(key)) => {
            bond.want.by_key = true;
            bond.want.key = Some(key.hash());
            sessions.recall(key).await
        }
    };
    if let Recalled::Known(entry) = &found {
        bond.want.tied = Some(match entry.kind {
            Kind::Upload => Tied::ToFinish(entry.seed),
            Kind::Ui if apart => Tied::ToFinish(entry.seed),
            Kind::Ui | Kind::Push | Kind::Writer | Kind::Gone => Tied::WhileFit(entry.seed),
        });
        bond.known = Some(entry.clone());
    } else if let Some(key) = tie.key() {
        let outcome = match found {
            Recalled::Unsure => "unsure",
            _ => "unknown",
        };
        bond.unsure = matches!(found, Recalled::Unsure);
        sessions.metrics().affinity(key.kind.index(), outcome);
    }
    bond
}

/// The upload that a request goes on with is lost with its node: what comes next begins anew.
pub fn lose(sessions: &Sessions, bond: &Bond) {
    if let Tie::Upload(key) = &bond.tie {
        sessions.forget(key);
        sessions.metrics().affinity(key.kind.index(), "lost");
    }
}

/// An answer, as far as it teaches anything.
pub struct Lesson<'a> {
    /// Of the request.
    pub class: Class,
    /// Whether Harbor's core answered, and not the files of its pages.
    pub from_core: bool,
    /// Of the answer.
    pub status: StatusCode,
    /// Of the answer, as the node sent them.
    pub headers: &'a HeaderMap,
    /// Who answered.
    pub node: &'a Backend,
    /// Who asked.
    pub client: IpAddr,
}

/// Takes in what an answer teaches. Waits for the store only where the very next request may come through another door
/// and would be lost there: when an upload was opened or moved, and when a session began.
pub async fn learn(sessions: &Sessions, bond: &Bond, lesson: Lesson<'_>) {
    let next = match bond.tie {
        Tie::None => return,
        Tie::Opens => upload::opened(lesson.status, lesson.headers).map_or(Next::Nothing, |uuid| {
            Next::Begins(Key::new(Kind::Upload, uuid))
        }),
        Tie::Upload(_) => after_upload(lesson.class, lesson.status),
        Tie::Ui(_) => after_page(
            lesson.class,
            lesson.from_core,
            lesson.status,
            lesson.headers,
        ),
        Tie::Pushes(key) if lesson.status == StatusCode::CREATED => Next::Begins(key),
        Tie::Pushes(_) => Next::Nothing,
    };
    let old = bond.tie.key();
    match next {
        Next::Nothing => {}
        Next::Begins(key) => {
            if let Some(old) = old.filter(|old| *old != key) {
                sessions.forget(&old);
            }
            // A push is looked for later, by readers.
            let wait = key.kind != Kind::Push;
            bind(sessions, key, "learned", &lesson, wait).await;
        }
        Next::GoesOn => match (&bond.known, old) {
            (Some(known), Some(key)) if known.seed == lesson.node.seed => {
                sessions.touch(key, known);
                sessions.metrics().affinity(key.kind.index(), "kept");
            }
            (Some(_), Some(key)) => {
                bind(sessions, key, "moved", &lesson, key.kind == Kind::Upload).await;
            }
            (None, Some(key)) => {
                let wait = key.kind == Kind::Upload && !bond.unsure;
                bind(sessions, key, "learned", &lesson, wait).await;
            }
            (_, None) => {}
        },
        Next::Ends => {
            if let Some(key) = old {
                sessions.forget(&key);
            }
        }
    }
}

async fn bind(
    sessions: &Sessions,
    key: Key,
    outcome: &'static str,
    lesson: &Lesson<'_>,
    wait: bool,
) {
    sessions.metrics().affinity(key.kind.index(), outcome);
    sessions
        .bind(key, &lesson.node.name, lesson.client, wait)
        .await;
}

/// What becomes of a session after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The answer says nothing of it.
    Nothing,
    /// One begins under this key, in place of the one that the request named.
    Begins(Key),
    /// The one that the request named goes on at the node that answered.
    GoesOn,
    /// It is over.
    Ends,
}

fn after_upload(class: Class, status: StatusCode) -> Next {
    match (class, status.as_u16()) {
        (Class::UploadFinish, 201 | 204) | (Class::UploadCancel, 200..300) => Next::Ends,
        // The node knows no such upload: nor will another, since its bytes are in one place.
        (_, 404) => Next::Ends,
        (Class::UploadChunk, 202) | (Class::UploadStatus, 204) => Next::GoesOn,
        _ => Next::Nothing,
    }
}

fn after_page(class: Class, from_core: bool, status: StatusCode, headers: &HeaderMap) -> Next {
    let welcome = matches!(status.as_u16(), 200..300 | 302);
    match cookies::change(headers) {
        // Every anonymous answer of core hands out a session: only one that began something is worth keeping.
        Change::Issued(id) if class == Class::UiSession && welcome => {
            Next::Begins(Key::new(Kind::Ui, id))
        }
        // The node did not know the one that was named.
        Change::Issued(_) | Change::Ended => Next::Ends,
        // Core answered with content and kept it. Files are served to anybody, and refusals may come from nginx alone.
        Change::None if from_core && welcome => Next::GoesOn,
        Change::None => Next::Nothing,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{Affinity, Sessions as Wanted};
    use crate::harbor::path::classify;
    use http::Method;
    use http::header::{COOKIE, SET_COOKIE};

    const SID: &str = "0123456789abcdef0123456789abcdef";
    const UUID: &str = "8c3c2d1e-9f40-4b0a-8a53-1b6d1f0a7c11";

    fn tie(method: Method, target: &str, cookie: &str, affinity: &Affinity) -> Tie {
        let sessions = Sessions::new(&Wanted::default(), affinity, None, Arc::default()).unwrap();
        let headers = HeaderMap::from_iter([(COOKIE, cookie.parse().unwrap())]);
        Tie::of(
            &classify(&method, target).unwrap(),
            &headers,
            true,
            &sessions,
        )
    }

    #[test]
    fn uploads_pages_and_pushes_are_tied_and_nothing_else_is() {
        let tie =
            |method, target: &str| tie(method, target, &format!("sid={SID}"), &Affinity::default());
        let upload = format!("/v2/a/b/blobs/uploads/{UUID}?_state=x");
        let page = Tie::Ui(Some(Key::new(Kind::Ui, SID)));
        assert_eq!(tie(Method::POST, "/v2/a/b/blobs/uploads/"), Tie::Opens);
        for method in [Method::PATCH, Method::PUT, Method::GET, Method::DELETE] {
            assert_eq!(
                tie(method, &upload),
                Tie::Upload(Key::new(Kind::Upload, UUID))
            );
        }
        assert_eq!(
            tie(Method::PATCH, "/v2/a/b/blobs/uploads/made-up"),
            Tie::None
        );
        assert_eq!(tie(Method::GET, "/api/v2.0/projects"), page);
        assert_eq!(tie(Method::GET, "/harbor/projects"), page);
        assert_eq!(tie(Method::GET, "/c/oidc/callback?state=x"), page);
        assert_eq!(
            tie(Method::PUT, "/v2/a/b/manifests/1"),
            Tie::Pushes(Key::new(Kind::Push, "a/b"))
        );
        for target in ["/v2/", "/v2/a/b/manifests/1", "/service/token?scope=x"] {
            assert_eq!(tie(Method::GET, target), Tie::None, "{target}");
        }
    }

    #[test]
    fn what_shall_not_stick_is_not_looked_at() {
        let mut affinity = Affinity::default();
        affinity.ui.enabled = false;
        affinity.upload.enabled = false;
        affinity.push.enabled = false;
        let cookie = format!("sid={SID}");
        for (method, target) in [
            (Method::POST, "/v2/a/b/blobs/uploads/"),
            (Method::PUT, "/v2/a/b/manifests/1"),
            (Method::GET, "/api/v2.0/projects"),
        ] {
            assert_eq!(
                tie(method, target, &cookie, &affinity),
                Tie::None,
                "{target}"
            );
        }
    }

    fn page(class: Class, status: u16, cookies: &[&str]) -> Next {
        let lines = cookies
            .iter()
            .map(|line| (SET_COOKIE, line.parse().unwrap()));
        let headers = HeaderMap::from_iter(lines);
        after_page(class, true, StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_login_and_the_start_of_oidc_begin_a_session() {
        let issued = format!("sid={SID}; Path=/; HttpOnly");
        let begins = Next::Begins(Key::new(Kind::Ui, SID));
        assert_eq!(page(Class::UiSession, 200, &[&issued]), begins);
        assert_eq!(page(Class::UiSession, 302, &[&issued]), begins);
        assert_eq!(page(Class::UiSession, 401, &[&issued]), Next::Ends);
    }

    #[test]
    fn a_session_that_a_node_hands_out_unasked_proves_nothing() {
        let issued = format!("sid={SID}; Path=/; HttpOnly");
        assert_eq!(page(Class::ApiRead, 200, &[&issued]), Next::Ends);
    }

    #[test]
    fn a_session_that_comes_back_and_is_kept_goes_on() {
        assert_eq!(
            page(Class::ApiRead, 200, &["_gorilla_csrf=x; Path=/"]),
            Next::GoesOn
        );
        assert_eq!(page(Class::ApiRead, 503, &[]), Next::Nothing);
        assert_eq!(page(Class::ApiRead, 404, &[]), Next::Nothing);
        let files = after_page(Class::UiAsset, false, StatusCode::OK, &HeaderMap::new());
        assert_eq!(files, Next::Nothing);
    }

    #[test]
    fn an_upload_ends_with_its_last_byte_or_when_its_node_knows_it_no_more() {
        let after = |class, status| after_upload(class, StatusCode::from_u16(status).unwrap());
        assert_eq!(after(Class::UploadFinish, 201), Next::Ends);
        assert_eq!(after(Class::UploadChunk, 404), Next::Ends);
        assert_eq!(after(Class::UploadCancel, 204), Next::Ends);
        assert_eq!(after(Class::UploadChunk, 202), Next::GoesOn);
        assert_eq!(after(Class::UploadChunk, 500), Next::Nothing);
        assert_eq!(after(Class::UploadFinish, 401), Next::Nothing);
    }
}
