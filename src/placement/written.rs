//! What an accepted change means for the requests that follow: told to the journal, to readers and to other doors before
//! its answer is released.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, StatusCode};

use super::Placement;
use super::demand::first;
use super::gone;
use super::journal::{Change, Deed};
use crate::harbor::class::Class;
use crate::harbor::removal::Removal;
use crate::session::key::{Key, Kind};
use crate::session::{Sessions, entry};

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Something that a node did at a client's word.
pub struct News {
    /// What was done.
    pub deed: Deed,
    /// To which image.
    pub image: Removal,
    /// The name of the node, and its place.
    pub node: (Arc<str>, usize),
    /// Who asked for it.
    pub client: IpAddr,
}

/// What an answer to a request of `class` says was done, if anything was.
pub fn deed(class: Class, status: StatusCode, headers: &HeaderMap) -> Option<Deed> {
    match (class, status.as_u16()) {
        (Class::ManifestWrite, 201) => {
            let digest = headers.get(DIGEST).and_then(|value| value.to_str().ok());
            Some(Deed::Push(digest.unwrap_or_default().to_owned()))
        }
        (Class::ManifestDelete | Class::ApiWrite, 200 | 202 | 204) => Some(Deed::Delete),
        _ => None,
    }
}

/// Tells it to whoever has to know. Takes what it needs for itself, so that it can go on when the client goes away.
pub async fn tell(placement: Arc<Placement>, sessions: Arc<Sessions>, news: News) {
    let Removal {
        repository,
        reference,
    } = &news.image;
    let (node, index) = &news.node;
    match &news.deed {
        Deed::Push(digest) => {
            for reference in [reference, digest] {
                gone::dig_up(&sessions, repository, reference);
            }
        }
        Deed::Delete => gone::bury(&sessions, repository, reference, node).await,
    }
    let kept = placement.journal.keep(Change {
        deed: news.deed,
        repository: repository.clone(),
        reference: reference.clone(),
        node: node.as_ref().to_owned(),
        at: entry::now(),
    });
    if let Err(error) = kept.await {
        tracing::error!(
            repository, %error,
            "the journal cannot be written: a node that is away now may stay without this change; free the disk under state_dir"
        );
    }
    let layout = placement.layout().clone();
    if let Some(place) = layout.store_of(*index) {
        let project = first(repository);
        placement
            .writers
            .wrote(&layout, &sessions, project, place)
            .await;
    }
    let key = Key::new(Kind::Push, repository);
    sessions.bind(key, node, news.client, true).await;
}
