//! Small answers that are read whole before the client sees anything of them.
//!
//! Nobody can go on in the middle of a token or of what a tag stands for: the next node's answer is another one. But as
//! long as the client has nothing of it, the next node can be asked from the start.

use http::Response;
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};

use super::Carried;
use super::body::Reply;
use crate::harbor::class::Class;

/// Tokens and manifests are rarely larger.
const MOST_BYTES: usize = 64 << 10;

/// Whether an answer to something of this class is one of them: its length is known, and it has a body.
pub(super) fn is_small(class: Class, answer: &Response<Reply>) -> bool {
    let body = answer.body();
    matches!(class, Class::Ping | Class::Token | Class::ManifestRead)
        && !body.is_end_stream()
        && (body.size_hint().exact()).is_some_and(|length| length <= MOST_BYTES as u64)
}

/// Reads one. `None`: its node failed in the middle.
pub(super) async fn read(carried: Carried) -> Option<Carried> {
    let (head, body) = carried.response.into_parts();
    let bytes = Limited::new(body, MOST_BYTES).collect().await.ok()?;
    let response = Response::from_parts(head, Reply::local(bytes.to_bytes()));
    Some(Carried {
        response,
        tunnel: None,
    })
}
