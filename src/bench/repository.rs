//! The verbs of a registry (OCI distribution specification 1.1) on one repository, each with its proof.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};

use super::client::Client;
use super::content;
use super::exchange::{Answer, Call};
use super::failure::{Failure, Kind};
use super::image::{MANIFEST, Named};
use super::payload::Payload;
use super::place;
use super::trace::{Stage, Trace};
use crate::config::Url;

/// The longest manifest that is read, as in distribution.
const LONGEST_MANIFEST: usize = 4 << 20;

/// A repository as one operation sees it.
pub struct Repository<'a> {
    /// Who asks.
    pub client: &'a Client,
    /// Its name, the project included.
    pub name: &'a str,
    /// What the token must allow, scopes separated by blanks.
    pub scope: &'a str,
    /// Where times are noted.
    pub trace: &'a Trace,
}

impl Repository<'_> {
    fn call(&self, method: Method, rest: &str) -> Call {
        let path = format!("/v2/{}/{rest}", self.name);
        Call::new(method, &self.client.target().url, path)
    }

    async fn ask(&self, stage: Stage, call: &Call) -> Result<Answer, Failure> {
        self.client.ask(stage, self.scope, call, self.trace).await
    }

    /// The digest that a tag leads to, if the registry tells it.
    pub async fn look_up(&self, tag: &str) -> Result<Option<String>, Failure> {
        let mut call = self.call(Method::HEAD, &format!("manifests/{tag}"));
        accept(&mut call);
        let answer = self.ask(Stage::Manifest, &call).await?;
        let digest = told_digest(&answer);
        answer.hope(&[200]).await?;
        Ok(digest)
    }

    /// The bytes of a manifest, proved by its digest.
    pub async fn manifest(&self, digest: &str) -> Result<Bytes, Failure> {
        let mut call = self.call(Method::GET, &format!("manifests/{digest}"));
        accept(&mut call);
        let answer = self.ask(Stage::Manifest, &call).await?;
        let (asked, told) = (answer.asked.clone(), told_digest(&answer));
        let (head, body) = answer.whole(LONGEST_MANIFEST).await?;
        if head.status != StatusCode::OK {
            return Err(Failure::status(&asked, head.status, &body));
        }
        same(&asked, &content::digest(&body), digest)?;
        same(&asked, told.as_deref().unwrap_or(digest), digest)?;
        self.trace.moved(body.len() as u64);
        Ok(body)
    }

    /// Reads a blob to its end and proves it by its digest and size.
    pub async fn blob(&self, digest: &str, size: u64) -> Result<(), Failure> {
        let call = self.call(Method::GET, &format!("blobs/{digest}"));
        let answer = self.ask(Stage::Blob, &call).await?;
        if answer.head.status != StatusCode::OK {
            return answer.hope(&[200]).await.map(drop);
        }
        let (asked, told) = (answer.asked.clone(), told_digest(&answer));
        let (mut hash, mut read) = (Sha256::new(), 0);
        answer
            .each(|piece| {
                hash.update(piece);
                read += piece.len() as u64;
                Ok(())
            })
            .await?;
        same(&asked, &content::name(hash), digest)?;
        same(&asked, told.as_deref().unwrap_or(digest), digest)?;
        if read != size {
            let what = format!("{asked}: {read} bytes, but its manifest says {size}");
            return Err(Failure::new(Kind::Digest, what));
        }
        self.trace.moved(read);
        Ok(())
    }

    /// Whether a blob is there already.
    pub async fn has(&self, digest: &str) -> Result<bool, Failure> {
        let call = self.call(Method::HEAD, &format!("blobs/{digest}"));
        let answer = self.ask(Stage::Check, &call).await?;
        let head = answer.hope(&[200, 404]).await?;
        Ok(head.status == StatusCode::OK)
    }

    /// Begins an upload; with `from`, asks to take the blob over from there. `None`: it was.
    pub async fn begin(
        &self,
        digest: &str,
        from: Option<&str>,
    ) -> Result<Option<(Url, String)>, Failure> {
        let mut call = self.call(Method::POST, "blobs/uploads/");
        if let Some(from) = from {
            call.path = place::with(&call.path, "mount", digest);
            call.path = place::with(&call.path, "from", from);
        }
        let answer = self.ask(Stage::Upload, &call).await?;
        let place = self.next(&answer, &call);
        let head = answer.hope(&[201, 202]).await?;
        match head.status {
            StatusCode::CREATED => Ok(None),
            _ => place.map(Some),
        }
    }

    /// Sends the bytes of a layer; returns where the upload is ended.
    pub async fn send(&self, to: (Url, String), layer: &Named) -> Result<(Url, String), Failure> {
        self.patch(to, Payload::Layer(layer.layer)).await
    }

    /// Sends bytes that are there; returns where the upload is ended.
    pub async fn send_bytes(
        &self,
        to: (Url, String),
        bytes: &Bytes,
    ) -> Result<(Url, String), Failure> {
        self.patch(to, Payload::Bytes(bytes.clone())).await
    }

    async fn patch(&self, to: (Url, String), payload: Payload) -> Result<(Url, String), Failure> {
        let mut call = Call::new(Method::PATCH, &to.0, to.1);
        let octets = HeaderValue::from_static("application/octet-stream");
        call.headers.insert(header::CONTENT_TYPE, octets);
        call.payload = payload;
        let answer = self.ask(Stage::Upload, &call).await?;
        let place = self.next(&answer, &call);
        // 202 by the specification; 204 in early registries.
        answer.hope(&[202, 204]).await?;
        place
    }

    /// Ends an upload with what its bytes must hash to.
    pub async fn end(&self, at: (Url, String), digest: &str) -> Result<(), Failure> {
        let path = place::with(&at.1, "digest", digest);
        let call = Call::new(Method::PUT, &at.0, path);
        let answer = self.ask(Stage::Upload, &call).await?;
        let (asked, told) = (answer.asked.clone(), told_digest(&answer));
        answer.hope(&[201]).await?;
        same(&asked, told.as_deref().unwrap_or(digest), digest)
    }

    /// Stores a manifest under a tag.
    pub async fn put_manifest(
        &self,
        tag: &str,
        bytes: &Bytes,
        digest: &str,
    ) -> Result<(), Failure> {
        let mut call = self.call(Method::PUT, &format!("manifests/{tag}"));
        let kind = HeaderValue::from_static(MANIFEST);
        call.headers.insert(header::CONTENT_TYPE, kind);
        call.payload = Payload::Bytes(bytes.clone());
        let answer = self.ask(Stage::Manifest, &call).await?;
        let (asked, told) = (answer.asked.clone(), told_digest(&answer));
        answer.hope(&[201]).await?;
        self.trace.moved(bytes.len() as u64);
        same(&asked, told.as_deref().unwrap_or(digest), digest)
    }

    /// Removes a manifest; one that is gone already is fine.
    pub async fn remove(&self, digest: &str) -> Result<(), Failure> {
        let call = self.call(Method::DELETE, &format!("manifests/{digest}"));
        let answer = self.ask(Stage::Manifest, &call).await?;
        answer.hope(&[200, 202, 404]).await.map(drop)
    }

    fn next(&self, answer: &Answer, call: &Call) -> Result<(Url, String), Failure> {
        let location = answer.header("location").unwrap_or_default();
        let wrong =
            |what: String| Failure::new(Kind::Malformed, format!("{}: {what}", answer.asked));
        let (origin, path) = place::resolve(&call.origin, location)
            .ok_or_else(|| wrong("no usable Location in the answer".to_owned()))?;
        let own = &self.client.target().url;
        if origin != *own {
            return Err(wrong(format!(
                "its Location is at {origin}; credentials are sent to {own} alone"
            )));
        }
        Ok((origin, path))
    }
}

fn accept(call: &mut Call) {
    for kind in [
        MANIFEST,
        "application/vnd.docker.distribution.manifest.v2+json",
    ] {
        let value = HeaderValue::from_static(kind);
        call.headers.append(header::ACCEPT, value);
    }
}

fn told_digest(answer: &Answer) -> Option<String> {
    answer.header("docker-content-digest").map(str::to_owned)
}

/// A digest that is not the expected one is a failure.
pub fn same(asked: &str, found: &str, expected: &str) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    let what = format!(
        "{asked}: expected {expected}, found {}",
        found.escape_debug()
    );
    Err(Failure::new(Kind::Digest, what))
}
