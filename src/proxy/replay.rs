//! Reading a small body whole, so that the request can be sent to another node.
//!
//! Only manifests are kept this way: they are named by their digest, small, and the last step of a push, where a node
//! that dies would cost the client everything it sent before.

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::error::Fault;
use crate::upstream::outgoing::{Broken, Outgoing};

/// The largest manifest that is kept; distribution itself takes 4 MiB.
const MOST_BYTES: usize = 8 << 20;

/// The whole of `body`.
///
/// # Errors
/// [`Fault::TooLarge`] beyond 8 MiB, and the client's own failures.
pub async fn whole(body: Outgoing) -> Result<Bytes, Fault> {
    match Limited::new(body, MOST_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::TooLarge),
        Err(error) => Err(match error.downcast_ref::<Broken>() {
            Some(Broken::TooSlow) => Fault::ClientSlow,
            _ => Fault::ClientGone,
        }),
    }
}
