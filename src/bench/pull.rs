//! One pull of a whole image, as docker does it: the tag, the manifest, the configuration, three layers at a time.

use std::sync::Arc;

use serde::Deserialize;

use super::client::Client;
use super::failure::{Failure, Kind};
use super::repository::{self, Repository};
use super::side_by_side;
use super::trace::Trace;

/// An image that is in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its repository, the project included.
    pub repository: String,
    /// Its tag.
    pub tag: String,
    /// The digest of its manifest.
    pub digest: String,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
}

/// Pulls an image and proves every byte of it.
pub async fn pull(client: &Arc<Client>, image: &Stored, trace: &Trace) -> Result<(), Failure> {
    let scope = format!("repository:{}:pull", image.repository);
    let repository = Repository {
        client,
        name: &image.repository,
        scope: &scope,
        trace,
    };
    let told = repository.look_up(&image.tag).await?;
    let asked = format!("HEAD /v2/{}/manifests/{}", image.repository, image.tag);
    repository::same(
        &asked,
        told.as_deref().unwrap_or(&image.digest),
        &image.digest,
    )?;
    let bytes = repository.manifest(&image.digest).await?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::new(
            Kind::Malformed,
            format!("the manifest of {}: {error}", image.repository),
        )
    })?;
    let blobs = std::iter::once(manifest.config).chain(manifest.layers);
    side_by_side::run(
        side_by_side::DOWNLOADS,
        blobs.map(|blob| {
            let (client, trace) = (client.clone(), trace.clone());
            let (name, scope) = (image.repository.clone(), scope.clone());
            async move {
                let repository = Repository {
                    client: &client,
                    name: &name,
                    scope: &scope,
                    trace: &trace,
                };
                repository.blob(&blob.digest, blob.size).await
            }
        }),
    )
    .await
}
