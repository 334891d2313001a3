//! What speaks to a registry behind a Harbor: the token of its token service, and blobs and manifests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::dial::{Answer, Dialer};

/// How replication calls itself towards registries.
pub const AGENT: &str = "harbor-registry-client";
/// Every kind of manifest that Harbor copies.
pub const KINDS: &str = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// A registry, and who uses it.
#[derive(Debug)]
pub struct RegistryClient {
    pub dialer: Dialer,
    /// `http://host:port`.
    pub url: String,
    pub user: String,
    pub password: String,
    /// Whether tokens are asked for where the challenge says; else at the registry's own address, which is where
    /// the challenge of a late 2.x sends whoever called it by that address.
    pub follows_realm: bool,
    /// `Authorization` that is known already.
    pub given: Option<String>,
    service: OnceCell<(String, String)>,
}

impl RegistryClient {
    pub fn new(dialer: Dialer, url: &str, user: &str, password: &str) -> Self {
        Self {
            dialer,
            url: url.trim_end_matches('/').to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            follows_realm: false,
            given: None,
            service: OnceCell::new(),
        }
    }

    /// The value of `Authorization` for Harbor's API.
    pub fn basic(&self) -> String {
        let pair = STANDARD.encode(format!("{}:{}", self.user, self.password));
        format!("Basic {pair}")
    }

    /// Token service and service name, as the challenge of `/v2/` gives them.
    async fn service(&self) -> Result<&(String, String), String> {
        self.service
            .get_or_try_init(|| async {
                let url = format!("{}/v2/", self.url);
                let answer = self.dialer.send(Method::GET, &url, &[], "").await?;
                let challenge = answer.among(&[401], "no challenge")?;
                let challenge = challenge.header("www-authenticate").to_owned();
                let realm = quoted(&challenge, "realm");
                let path = realm
                    .split_once("://")
                    .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
                let realm = match path {
                    Some(path) if !self.follows_realm => format!("{}{path}", self.url),
                    _ => realm.clone(),
                };
                Ok((realm, quoted(&challenge, "service")))
            })
            .await
    }

    /// The value of `Authorization` for a repository.
    pub async fn bearer(&self, repository: &str) -> Result<String, String> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let (realm, service) = self.service().await?;
        let url =
            format!("{realm}?service={service}&scope=repository:{repository}:pull,push,delete");
        let lines = [("authorization", self.basic())];
        let lines = lines
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let answer = self.dialer.send(Method::GET, &url, &lines, "").await?;
        let answer = answer.among(&[200], "no token")?;
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(format!(
            "Bearer {}",
            document["token"].as_str().unwrap_or_default()
        ))
    }

    /// Any request about a repository.
    pub async fn send(
        &self,
        method: Method,
        repository: &str,
        target: &str,
        kind: &str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let bearer = self.bearer(repository).await?;
        let url = if target.contains("://") {
            target.to_owned()
        } else {
            format!("{}{target}", self.url)
        };
        let lines = [
            ("authorization", bearer.as_str()),
            ("accept", KINDS),
            ("content-type", kind),
        ];
        let count = if kind.is_empty() { 2 } else { 3 };
        self.dialer.send(method, &url, &lines[..count], body).await
    }

    /// The digest that a tag or digest names there.
    pub async fn digest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<String>, String> {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.send(Method::HEAD, repository, &target, "", "").await?;
        let answer = answer.among(&[200, 404], "cannot ask for the manifest")?;
        let found = answer.status == 200;
        Ok(found.then(|| answer.header("docker-content-digest").to_owned()))
    }

    /// The bytes and the kind of a manifest.
    pub async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<(Bytes, String), String> {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.send(Method::GET, repository, &target, "", "").await?;
        let answer = answer.among(&[200], "cannot pull the manifest")?;
        let kind = answer.header("content-type").to_owned();
        Ok((answer.body, kind))
    }

    /// Deletes what a digest names; the status.
    pub async fn delete(&self, repository: &str, digest: &str) -> Result<u16, String> {
        let target = format!("/v2/{repository}/manifests/{digest}");
        let answer = self
            .send(Method::DELETE, repository, &target, "", "")
            .await?;
        Ok(answer.status.as_u16())
    }

    pub async fn blob(&self, repository: &str, digest: &str) -> Result<Bytes, String> {
        let target = format!("/v2/{repository}/blobs/{digest}");
        let answer = self.send(Method::GET, repository, &target, "", "").await?;
        Ok(answer.among(&[200], "cannot pull the blob")?.body)
    }

    pub async fn has_blob(&self, repository: &str, digest: &str) -> Result<bool, String> {
        let target = format!("/v2/{repository}/blobs/{digest}");
        let answer = self.send(Method::HEAD, repository, &target, "", "").await?;
        Ok(answer.among(&[200, 404], "cannot ask for the blob")?.status == 200)
    }

    /// Pushes a blob in one piece.
    pub async fn push_blob(
        &self,
        repository: &str,
        digest: &str,
        content: Bytes,
    ) -> Result<(), String> {
        let target = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.send(Method::POST, repository, &target, "", "").await?;
        let answer = answer.among(&[202], "cannot begin the upload")?;
        let location = answer.header("location");
        // Nodes name themselves by the Host they were called by, with the scheme of the outside.
        let path = location
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]))
            .unwrap_or(location);
        let mark = if path.contains('?') { '&' } else { '?' };
        let target = format!("{path}{mark}digest={digest}");
        let kind = "application/octet-stream";
        let answer = self
            .send(Method::PUT, repository, &target, kind, content)
            .await?;
        answer.among(&[201], "cannot end the upload").map(drop)
    }

    pub async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        kind: &str,
        content: Bytes,
    ) -> Result<(), String> {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let answer = self
            .send(Method::PUT, repository, &target, kind, content)
            .await?;
        answer.among(&[201], "cannot push the manifest").map(drop)
    }
}

/// The value of one parameter of a challenge.
fn quoted(challenge: &str, name: &str) -> String {
    let start = format!("{name}=\"");
    let value = challenge.split_once(&start).map(|(_, rest)| rest);
    let value = value.and_then(|rest| rest.split('"').next());
    value.unwrap_or_default().to_owned()
}
