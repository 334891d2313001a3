//! Copying one artifact: what the other side lacks of it, blobs first.

use bytes::Bytes;
use serde_json::Value;

use super::super::dial::Dialer;
use super::super::registry_client::{AGENT, RegistryClient};
use super::super::{Dialect, Harbor};
use super::peer::Peer;
use super::policy::Artifact;

/// Where content is read.
enum Source<'a> {
    /// From the node itself, past its nginx.
    Own(&'a Harbor),
    /// 1.5: through the public address, as any client.
    Public(Box<RegistryClient>),
}

impl Source<'_> {
    async fn manifest(&self, repository: &str, reference: &str) -> Result<(Bytes, String), String> {
        let harbor = match self {
            Self::Own(harbor) => harbor,
            Self::Public(client) => return client.manifest(repository, reference).await,
        };
        let digest = harbor.store.manifest(repository, reference);
        let content = digest.and_then(|digest| harbor.store.blob(&digest));
        let content = content.ok_or_else(|| format!("{repository}: {reference} not found"))?;
        let kind = kind(&content);
        Ok((Bytes::from(content), kind))
    }

    async fn blob(&self, repository: &str, digest: &str) -> Result<Bytes, String> {
        match self {
            Self::Own(harbor) => {
                let content = harbor.store.blob(digest).map(Bytes::from);
                content.ok_or_else(|| format!("{repository}: blob {digest} not found"))
            }
            Self::Public(client) => client.blob(repository, digest).await,
        }
    }
}

fn source<'a>(harbor: &'a Harbor, repository: &str) -> Source<'a> {
    if harbor.options.dialect != Dialect::Harbor15 {
        return Source::Own(harbor);
    }
    let dialer = Dialer {
        from: harbor.options.address.ip(),
        agent: AGENT.to_owned(),
    };
    let mut client = RegistryClient::new(dialer, &harbor.options.external_url, "", "");
    // The job gets its token inside, from its own node.
    let access =
        serde_json::json!([{"type": "repository", "name": repository, "actions": ["pull"]}]);
    let token = harbor.key().sign(Some("harbor-jobservice"), &access);
    client.given = Some(format!("Bearer {token}"));
    Source::Public(Box::new(client))
}

/// Copies an artifact under each of its names.
pub async fn copy(
    harbor: &Harbor,
    peer: &Peer,
    artifact: &Artifact,
    overrides: bool,
) -> Result<(), String> {
    let source = source(harbor, &artifact.repository);
    for reference in artifact.references() {
        one(&source, peer, &artifact.repository, &reference, overrides).await?;
    }
    Ok(())
}

async fn one(
    source: &Source<'_>,
    peer: &Peer,
    repository: &str,
    reference: &str,
    overrides: bool,
) -> Result<(), String> {
    let (content, kind) = source.manifest(repository, reference).await?;
    let digest = super::digest(&content);
    match peer.registry.digest(repository, reference).await? {
        // It is there, or something else is and stays.
        Some(there) if there == digest || !overrides => return Ok(()),
        _ => {}
    }
    let manifest: Value = serde_json::from_slice(&content).unwrap_or_default();
    for child in named(&manifest["manifests"]) {
        Box::pin(one(source, peer, repository, &child, true)).await?;
    }
    let config = manifest["config"]["digest"].as_str().map(str::to_owned);
    for blob in named(&manifest["layers"]).into_iter().chain(config) {
        if !peer.registry.has_blob(repository, &blob).await? {
            let content = source.blob(repository, &blob).await?;
            peer.registry.push_blob(repository, &blob, content).await?;
        }
    }
    peer.registry
        .push_manifest(repository, reference, &kind, content)
        .await
}

fn named(parts: &Value) -> Vec<String> {
    let all = parts.as_array().into_iter().flatten();
    all.filter_map(|part| part["digest"].as_str().map(str::to_owned))
        .collect()
}

/// The media type that a manifest says it has; old ones of OCI say none.
fn kind(content: &[u8]) -> String {
    let manifest: Value = serde_json::from_slice(content).unwrap_or_default();
    let told = manifest["mediaType"].as_str();
    let untold = if manifest["manifests"].is_array() {
        "application/vnd.oci.image.index.v1+json"
    } else {
        "application/vnd.oci.image.manifest.v1+json"
    };
    told.unwrap_or(untold).to_owned()
}
