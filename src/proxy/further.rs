//! Answers that are not the last word where nodes have data of their own: what one has not, another may have; what one
//! must not write, another may.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::Carried;
use super::body::Reply;
use super::trial::Answer;
use crate::harbor::class::Class;
use crate::placement::demand::Asks;
use crate::placement::gone;
use crate::session::Sessions;
use crate::upstream::lease::Failing;

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Harbor's refusals are shorter.
const MOST_BYTES: usize = 4096;
/// What every version says in read-only mode (`src/server/middleware/readonly`, `src/core/filter/readonly.go`).
const READ_ONLY: &[u8] = b"read only mode";

/// Weighs an answer to a request that may be asked of nodes with other data. `Some`: it is for the client, as far as
/// this goes. `None`: the next one shall be asked, and the first answer that nothing is there is kept in `unknown`.
pub(super) async fn weigh(
    sessions: &Sessions,
    class: Class,
    asks: &Asks,
    mut answer: Answer,
    unknown: &mut Option<Answer>,
) -> Option<Answer> {
    let status = answer.response.status();
    let image = asks.image.as_ref();
    if unknown.is_none() {
        // Nor may a token be good where it was not made. A password is never tried twice: it may be locked for it.
        let stranger = status == StatusCode::UNAUTHORIZED && asks.bears;
        if status != StatusCode::NOT_FOUND && !stranger {
            return Some(answer);
        }
        // Deleted on purpose: copies elsewhere have only not heard of it.
        if let Some(image) = image
            && gone::is_gone(sessions, &image.repository, &image.reference).await
        {
            return Some(answer);
        }
        answer.lease.went_well();
        answer.lease.rest();
        *unknown = Some(answer);
        return None;
    }
    let found = status.is_success() || status.is_redirection();
    if !found {
        match answer.fails(class) {
            true => answer.lease.failed(Failing::Answer),
            false => answer.lease.went_well(),
        }
        return None;
    }
    let digest = answer.response.headers().get(DIGEST);
    if let Some(image) = image
        && let Some(digest) = digest.and_then(|value| value.to_str().ok())
        && gone::is_gone(sessions, &image.repository, digest).await
    {
        return None;
    }
    Some(answer)
}

/// Whether an answer may be a node's word that it only reads, which its text alone tells.
pub(super) fn may_be_read_only(class: Class, answer: &Answer) -> bool {
    let status = answer.response.status();
    let small = || {
        let length = answer.response.headers().get(CONTENT_LENGTH)?;
        let length: usize = length.to_str().ok()?.parse().ok()?;
        Some(length <= MOST_BYTES)
    };
    matches!(
        status,
        StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE
    ) && class != Class::BlobHead
        && small().unwrap_or(false)
}

/// Reads a refusal whole. True when it says that the node only reads.
pub(super) async fn read(carried: Carried) -> (Carried, bool) {
    let (head, body) = carried.response.into_parts();
    let text = Limited::new(body, MOST_BYTES).collect().await;
    let text = text.map_or_else(|_| Bytes::new(), |text| text.to_bytes());
    let only_reads = text.windows(READ_ONLY.len()).any(|part| part == READ_ONLY);
    let response = Response::from_parts(head, Reply::local(text));
    let carried = Carried {
        response,
        tunnel: None,
    };
    (carried, only_reads)
}
