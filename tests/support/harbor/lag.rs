//! Storage that tells a node late what another one wrote, as NFS does while it caches attributes.
//!
//! The registry compares the size it sees with the offset in `_state`, for whatever request, and destroys the upload when
//! they differ (distribution 2.8, registry/handlers/blobupload.go).

use std::path::PathBuf;
use std::time::SystemTime;

use super::Harbor;
use super::reply::{self, Reply};

/// Where the nodes of a cluster note who wrote last.
fn note(harbor: &Harbor, upload: &str) -> PathBuf {
    harbor.options.storage.join("writers").join(upload)
}

/// Notes that this node wrote to an upload; `begun`: it made it.
pub fn wrote(harbor: &Harbor, upload: &str, begun: bool) {
    if harbor.options.attribute_cache.is_none() {
        return;
    }
    let note = note(harbor, upload);
    let text = format!("{} {begun}", harbor.options.name);
    std::fs::create_dir_all(note.parent().unwrap()).unwrap();
    std::fs::write(note, text).unwrap();
}

/// The answer of a node that has not seen yet what another wrote.
pub fn stale(harbor: &Harbor, repository: &str, upload: &str) -> Option<Reply> {
    let lag = harbor.options.attribute_cache?;
    let note = note(harbor, upload);
    let text = std::fs::read_to_string(&note).ok()?;
    let written = std::fs::metadata(&note).ok()?.modified().ok()?;
    let age = SystemTime::now()
        .duration_since(written)
        .unwrap_or_default();
    let (writer, begun) = text.split_once(' ')?;
    if writer == harbor.options.name || age >= lag {
        return None;
    }
    if begun == "true" {
        let message = "blob upload unknown to registry";
        return Some(reply::errors(404, "BLOB_UPLOAD_UNKNOWN", message));
    }
    let uploads = format!("docker/registry/v2/repositories/{repository}/_uploads/{upload}");
    let _ = std::fs::remove_dir_all(harbor.options.storage.join(uploads));
    Some(reply::errors(
        404,
        "BLOB_UPLOAD_INVALID",
        "blob upload invalid",
    ))
}
