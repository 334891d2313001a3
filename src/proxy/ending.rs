//! Endings that nobody saw: a node had the last byte of a push and died before its answer.
//!
//! What a push leaves behind is named by its digest, so that any node with the same data can say whether it is there, to
//! this client and with its own credentials. Then the client gets the answer that was lost; else it is told to try again.

use std::time::{Duration, Instant};

use http::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use sha2::{Digest as _, Sha256};

use super::attempt::Shipment;
use super::body::Reply;
use super::finish::Record;
use super::response::Dress;
use super::trial::Trial;
use crate::harbor::class::Class;
use crate::harbor::upload;
use crate::placement::course::Course;
use crate::state::snapshot::Snapshot;
use crate::upstream::cluster::Want;
use crate::upstream::lease::Failing;
use crate::upstream::nodes::Nodes;
use crate::upstream::outgoing::Outgoing;

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// When it is looked for a blob whose upload was to end: parts of a node may outlive the one that failed, and still be at
/// it.
const LOOKS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_millis(1200),
];

/// A request whose answer was lost, or says only that it is too late.
pub(super) struct Lost<'a> {
    pub snapshot: &'a Snapshot,
    pub record: &'a mut Record,
    pub dress: &'a Dress,
    pub to_core: bool,
    /// What the client said.
    pub headers: HeaderMap,
    /// The place of the node that failed.
    pub at: usize,
}

impl Lost<'_> {
    /// The answer to the end of an upload, if its blob is there.
    pub async fn blob(mut self) -> Option<Response<Reply>> {
        let (path, digest) = upload::blob(self.record.target()?.as_str())?;
        for name in [CONTENT_TYPE, CONTENT_RANGE, RANGE] {
            self.headers.remove(name);
        }
        for wait in LOOKS {
            tokio::time::sleep(wait).await;
            match self.look(Class::BlobHead, path.parse().ok()?).await? {
                Some(found) if found == digest => {
                    self.tell(&path);
                    let mut response = Response::new(Reply::local(Default::default()));
                    *response.status_mut() = StatusCode::CREATED;
                    *response.headers_mut() = self.created(&path, &digest)?;
                    return Some(response);
                }
                _ => {}
            }
        }
        None
    }

    /// The head of the answer to a manifest that was sent twice and refused the second time: if what stands there is what
    /// was sent, it was taken the first time.
    pub async fn manifest(mut self, sent: &[u8]) -> Option<HeaderMap> {
        let digest = format!("sha256:{:x}", Sha256::digest(sent));
        let target = self.record.target()?.clone();
        // Any other kind, and the registry might make another manifest of it.
        let kind = self.headers.remove(CONTENT_TYPE)?;
        self.headers.insert(ACCEPT, kind);
        let found = self.look(Class::ManifestRead, Uri::from(target.clone()));
        if found.await?? != digest {
            return None;
        }
        self.tell(target.path());
        let (manifests, _) = target.path().rsplit_once('/')?;
        self.created(&format!("{manifests}/{digest}"), &digest)
    }

    /// The digest of what a node with the same data has there; `Some(None)`: it has no such thing.
    async fn look(&mut self, class: Class, uri: Uri) -> Option<Option<String>> {
        let itself = Nodes::only(self.at);
        let siblings = self.snapshot.placement.sharing(self.at).without(itself);
        // It may be back, and is the only one where nobody shares its data.
        let course = Course::new(&[siblings, itself], false, |_| true);
        let trial = Trial::new(class, self.to_core, Want::any(None), course);
        let mut trial = trial.promised();
        let mut headers = self.headers.clone();
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        let mut shipment = Shipment {
            method: Method::HEAD,
            uri,
            prefix: "",
            headers,
            body: Outgoing::Empty,
            progress: None,
            repeatable: true,
            careful: false,
        };
        let limit = self.snapshot.patience.stall;
        let mut now = Instant::now();
        for _ in 0..self.snapshot.attempts {
            let tried = trial.next(self.snapshot, &mut shipment, limit, &mut now, self.record);
            let Ok(answer) = tried.await? else { continue };
            if answer.fails(class) {
                self.record.metrics().attempt("failing_answer");
                answer.lease.failed(Failing::Answer);
                continue;
            }
            self.record.metrics().attempt("answered");
            answer.lease.went_well();
            let digest = answer.response.headers().get(DIGEST);
            return match answer.response.status() {
                StatusCode::OK => Some(Some(digest?.to_str().ok()?.to_owned())),
                StatusCode::NOT_FOUND => Some(None),
                _ => None,
            };
        }
        None
    }

    /// As the registry says that something was made.
    fn created(&self, path: &str, digest: &str) -> Option<HeaderMap> {
        Some(HeaderMap::from_iter([
            (CONTENT_LENGTH, HeaderValue::from_static("0")),
            (DIGEST, HeaderValue::from_str(digest).ok()?),
            (VERSION, HeaderValue::from_static("registry/2.0")),
            (LOCATION, self.dress.url(path)?),
        ]))
    }

    fn tell(&self, path: &str) {
        let node = self.record.node.as_ref().map_or("", |node| &*node.name);
        tracing::info!(
            node,
            path,
            "a node failed after it had all of a push and before it answered; another look shows that it was taken"
        );
    }
}
