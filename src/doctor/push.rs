//! The steps of a push, each on the node of one's choice. Each notes there what has to be deleted in the end.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Request};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::finding::clean;
use super::node::Node;
use crate::upstream::exchange::Received;

/// What follows the project's name in everything that the doctor pushes.
const OWN: &str = "seawall-doctor";

/// Where the doctor pushes to.
pub fn repository(project: &str) -> String {
    format!("{project}/{OWN}")
}

/// Some bytes that nobody pushed before, and their digest.
pub struct Blob {
    /// The bytes.
    pub content: Bytes,
    /// `sha256:…`.
    pub digest: String,
}

impl Blob {
    /// A small blob of random content.
    pub fn random() -> Self {
        Self::of(format!(
            "{{\"seawall-doctor\":\"{:032x}\"}}",
            fastrand::u128(..)
        ))
    }

    /// A blob of this content.
    pub fn of(content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let hash = Sha256::digest(&content);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Blob {
            content,
            digest: format!("sha256:{hex}"),
        }
    }
}

/// An upload under way.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its address, as the node wrote it.
    pub location: String,
    /// The same without scheme and host.
    target: String,
}

/// How an upload that one node began looks to another.
#[derive(Clone, Debug)]
pub enum Sight {
    /// It can go on there, at the address that the node names.
    Continues(Option<Upload>),
    /// Its storage does not have it (`BLOB_UPLOAD_UNKNOWN`).
    Unknown,
    /// Its state is not signed with the secret there (`BLOB_UPLOAD_INVALID`).
    Invalid,
}

fn located(received: &Received) -> Option<Upload> {
    let location = received.headers.get(LOCATION)?.to_str().ok()?.to_owned();
    let target = match location.split_once("://") {
        Some((_, rest)) => format!("/{}", rest.split_once('/')?.1),
        None => location.clone(),
    };
    Some(Upload { location, target })
}

/// The code of the first error of a registry's answer.
fn code(received: &Received) -> Option<String> {
    let document: Value = serde_json::from_slice(&received.body).ok()?;
    let code = document.pointer("/errors/0/code")?.as_str()?;
    Some(code.to_owned())
}

/// What an answer is, for people: its status, and the registry's code and message.
fn words(received: &Received) -> String {
    let status = received.status.as_u16();
    let Some(code) = code(received) else {
        return status.to_string();
    };
    let document: Value = serde_json::from_slice(&received.body).unwrap_or_default();
    let message = document
        .pointer("/errors/0/message")
        .and_then(Value::as_str);
    let message = message.unwrap_or_default();
    clean(format!("{status} {code} {message}").trim_end())
}

/// Begins an upload.
///
/// # Errors
/// Why not, in words.
pub async fn begin(node: &Node, repository: &str, bearer: &HeaderValue) -> Result<Upload, String> {
    let request =
        Request::post(format!("/v2/{repository}/blobs/uploads/")).header(AUTHORIZATION, bearer);
    let answer = node
        .send(request, Bytes::new())
        .await
        .map_err(|error| error.to_string())?;
    if answer.status != 202 {
        return Err(format!(
            "an upload to {repository} is answered {}",
            words(&answer)
        ));
    }
    let upload = located(&answer).ok_or_else(|| "an upload has no address".to_owned())?;
    node.made(&upload.target, bearer);
    Ok(upload)
}

/// Looks at an upload. `None` when the answer proves nothing. Safe as long as nothing was sent to it: the registry destroys
/// an upload whose size is not what its state says.
pub async fn look(node: &Node, upload: &Upload, bearer: &HeaderValue) -> Option<Sight> {
    let request = Request::get(&upload.target).header(AUTHORIZATION, bearer);
    let answer = node.send(request, Bytes::new()).await.ok()?;
    match (answer.status.as_u16(), code(&answer).as_deref()) {
        (204, _) => Some(Sight::Continues(located(&answer))),
        (404, Some("BLOB_UPLOAD_UNKNOWN")) => Some(Sight::Unknown),
        (404 | 400, Some("BLOB_UPLOAD_INVALID")) => Some(Sight::Invalid),
        _ => None,
    }
}

/// Sends the whole blob and ends the upload, which another node than this may have begun. The bytes of the blob stay until
/// Harbor's own garbage collection.
///
/// # Errors
/// Why not, in words.
pub async fn finish(
    node: &Node,
    upload: &Upload,
    blob: &Blob,
    bearer: &HeaderValue,
) -> Result<(), String> {
    let mark = if upload.target.contains('?') {
        '&'
    } else {
        '?'
    };
    let request = Request::put(format!("{}{mark}digest={}", upload.target, blob.digest))
        .header(AUTHORIZATION, bearer)
        .header(CONTENT_TYPE, "application/octet-stream");
    if let Some((root, _)) = upload.target.split_once("/blobs/uploads/") {
        node.made(&format!("{root}/blobs/{}", blob.digest), bearer);
    }
    let answer = node
        .send(request, blob.content.clone())
        .await
        .map_err(|error| error.to_string())?;
    if answer.status == 201 {
        ended(node, upload);
        Ok(())
    } else {
        Err(format!(
            "the end of an upload is answered {}",
            words(&answer)
        ))
    }
}

/// Notes that an upload has ended, at the node that began it.
pub fn ended(node: &Node, upload: &Upload) {
    node.gone(&upload.target);
}

/// Whether a node's registry has a blob. `None` when the answer proves nothing.
pub async fn reads(
    node: &Node,
    repository: &str,
    blob: &Blob,
    bearer: &HeaderValue,
) -> Option<bool> {
    let request = Request::get(blob_path(repository, blob)).header(AUTHORIZATION, bearer);
    let answer = node.send(request, Bytes::new()).await.ok()?;
    match (answer.status.as_u16(), code(&answer).as_deref()) {
        // Object storage is named in a redirect.
        (200 | 307, _) => Some(true),
        (404, Some("BLOB_UNKNOWN" | "NAME_UNKNOWN")) => Some(false),
        _ => None,
    }
}

/// Whether Harbor 2 itself knows a blob: it looks into its database before it asks the registry.
pub async fn knows(
    node: &Node,
    repository: &str,
    blob: &Blob,
    bearer: &HeaderValue,
) -> Option<bool> {
    let request = Request::head(blob_path(repository, blob)).header(AUTHORIZATION, bearer);
    let answer = node.send(request, Bytes::new()).await.ok()?;
    match answer.status.as_u16() {
        200 | 307 => Some(true),
        404 => Some(false),
        _ => None,
    }
}

fn blob_path(repository: &str, blob: &Blob) -> String {
    format!("/v2/{repository}/blobs/{}", blob.digest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    fn answer(status: u16, location: Option<&str>, body: &'static str) -> Received {
        let headers = location.map(|location| (LOCATION, location.parse().unwrap()));
        Received {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter(headers),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn an_upload_goes_on_at_its_path_whatever_host_it_names() {
        let upload = located(&answer(
            202,
            Some("http://other:8080/v2/a/b?_state=x/y"),
            "",
        ))
        .unwrap();
        assert_eq!(upload.target, "/v2/a/b?_state=x/y");
        let upload = located(&answer(202, Some("/v2/a/b"), "")).unwrap();
        assert_eq!(upload.target, "/v2/a/b");
        assert!(located(&answer(202, Some("http://nothing"), "")).is_none());
    }

    #[test]
    fn a_refusal_is_told_with_its_code() {
        let refused = answer(404, None, r#"{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}"#);
        assert_eq!(words(&refused), "404 BLOB_UPLOAD_INVALID");
        let refused = answer(
            403,
            None,
            r#"{"errors":[{"code":"DENIED","message":"read\nonly"}]}"#,
        );
        assert_eq!(words(&refused), "403 DENIED read only");
        assert_eq!(words(&answer(502, None, "<html>")), "502");
    }
}
