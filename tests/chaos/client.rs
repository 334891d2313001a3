//! A registry client as docker is one, step by step.

use std::collections::BTreeSet;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::image::{self, Blob, Image};
use super::wire::{Answer, Fault, Wire};
use crate::support::clients::raw::{finish, path};

/// What skopeo pushes, and what the others do.
const KINDS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// No body.
static NONE: Bytes = Bytes::new();

/// How an attempt failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Method and target.
    pub step: String,
    pub begun: Instant,
    pub ended: Instant,
    /// Whether the request had a body, which cannot be sent again by a door that did not keep it.
    pub flowing: bool,
    /// Whether it was a step of an upload with bytes.
    pub chunk: bool,
    pub fault: Fault,
}

/// How a blob is pushed.
#[derive(Clone, Copy, Debug)]
pub enum Style {
    /// POST, PATCH with everything, PUT.
    Docker,
    /// POST, PUT with everything.
    Containerd,
}

/// One client.
pub struct Client {
    pub wire: Wire,
    style: Style,
    /// Scope and value of the last token.
    token: (String, String),
}

impl Client {
    pub fn new(wire: Wire, style: Style) -> Client {
        let token = Default::default();
        Client { wire, style, token }
    }

    /// One request whose answer must have one of these statuses.
    pub async fn ask(
        &mut self,
        (method, target): (Method, &str),
        lines: &[(&str, &str)],
        body: &Bytes,
        good: &[u16],
    ) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let answer = self.wire.ask(&method, target, lines, body).await;
        let fault = match answer {
            Ok(answer) if good.contains(&answer.status.as_u16()) => return Ok(answer),
            Ok(answer) => {
                let said = String::from_utf8_lossy(&answer.body).into_owned();
                Fault::Status(answer.status.as_u16(), said)
            }
            Err(fault) => fault,
        };
        Err(Failure {
            step: format!("{method} {target}"),
            begun,
            ended: Instant::now(),
            flowing: !body.is_empty(),
            chunk: target.contains("/blobs/uploads/") && method != Method::POST,
            fault,
        })
    }

    /// The same with a token for a repository.
    async fn bearing(
        &mut self,
        repository: &str,
        what: (Method, &str),
        lines: &[(&str, &str)],
        body: &Bytes,
        good: &[u16],
    ) -> Result<Answer, Failure> {
        if self.token.0 != repository {
            let pair = STANDARD.encode("admin:Harbor12345");
            let target = format!(
                "/service/token?service=harbor-registry&scope=repository:{repository}:pull,push"
            );
            let basic = format!("Basic {pair}");
            let lines = [("authorization", basic.as_str())];
            let what = (Method::GET, target.as_str());
            let answer = self.ask(what, &lines, &NONE, &[200]).await?;
            let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let token = document["token"].as_str().unwrap_or_default();
            self.token = (repository.to_owned(), format!("Bearer {token}"));
        }
        let token = self.token.1.clone();
        let mut all = vec![("authorization", token.as_str())];
        all.extend_from_slice(lines);
        self.ask(what, &all, body, good).await
    }

    /// Pushes the blobs that `sent` does not name yet and that are not there, and the manifest.
    pub async fn push(
        &mut self,
        image: &Image,
        blobs: &[Blob],
        sent: &mut BTreeSet<String>,
    ) -> Result<(), Failure> {
        let repository = image.repository.as_str();
        for blob in blobs {
            if sent.contains(&blob.digest) {
                continue;
            }
            let target = format!("/v2/{repository}/blobs/{}", blob.digest);
            let what = (Method::HEAD, target.as_str());
            let good = [200, 404];
            let answer = self.bearing(repository, what, &[], &NONE, &good);
            if answer.await?.status == 404 {
                self.upload(repository, blob).await?;
            }
            sent.insert(blob.digest.clone());
        }
        let target = format!("/v2/{repository}/manifests/{}", image.tag);
        let lines = [("content-type", image::KIND)];
        let what = (Method::PUT, target.as_str());
        let answer = self.bearing(repository, what, &lines, &image.manifest, &[201]);
        answer.await.map(drop)
    }

    async fn upload(&mut self, repository: &str, blob: &Blob) -> Result<(), Failure> {
        let target = format!("/v2/{repository}/blobs/uploads/");
        let kind = [("content-type", "application/octet-stream")];
        let what = (Method::POST, target.as_str());
        let answer = self.bearing(repository, what, &[], &NONE, &[202]).await?;
        let mut next = path(&answer.headers);
        let mut rest = &blob.bytes;
        if matches!(self.style, Style::Docker) {
            let what = (Method::PATCH, next.as_str());
            let answer = self.bearing(repository, what, &kind, rest, &[202]);
            next = path(&answer.await?.headers);
            rest = &NONE;
        }
        let target = finish(&next, &blob.digest);
        let what = (Method::PUT, target.as_str());
        let answer = self.bearing(repository, what, &kind, rest, &[201]);
        answer.await.map(drop)
    }

    /// Pulls what `have` does not name yet, and compares every byte with its digest.
    pub async fn pull(
        &mut self,
        image: &Image,
        reference: &str,
        have: &mut BTreeSet<String>,
    ) -> Result<(), Failure> {
        let manifest = format!("manifests/{reference}");
        self.verified(image, &manifest, &image.digest).await?;
        for blob in &image.blobs {
            if !have.contains(blob) {
                self.verified(image, &format!("blobs/{blob}"), blob).await?;
                have.insert(blob.clone());
            }
        }
        Ok(())
    }

    async fn verified(&mut self, image: &Image, what: &str, digest: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        let target = format!("/v2/{}/{what}", image.repository);
        let lines = [("accept", KINDS)];
        let what = (Method::GET, target.as_str());
        let answer = self.bearing(&image.repository, what, &lines, &NONE, &[200]);
        let answer = answer.await?;
        let found = image::digest(&answer.body);
        if found == digest {
            return Ok(());
        }
        let length = answer.body.len();
        let fault = Fault::Wrong(format!("{found} of {length} bytes instead of {digest}"));
        Err(Failure {
            step: format!("GET {target}"),
            begun,
            ended: Instant::now(),
            flowing: false,
            chunk: false,
            fault,
        })
    }

    /// Asks for what is there by HEAD: the manifest and one blob.
    pub async fn look(&mut self, image: &Image) -> Result<(), Failure> {
        let repository = image.repository.as_str();
        let (manifest, blob) = (&image.digest, &image.blobs[0]);
        for what in [format!("manifests/{manifest}"), format!("blobs/{blob}")] {
            let target = format!("/v2/{repository}/{what}");
            let lines = [("accept", KINDS)];
            let what = (Method::HEAD, target.as_str());
            let answer = self.bearing(repository, what, &lines, &NONE, &[200]);
            answer.await?;
        }
        Ok(())
    }
}
