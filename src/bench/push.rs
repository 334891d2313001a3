//! One push of a whole image, as docker does it: what is there is left out, what another repository has is taken over,
//! the rest is sent, five layers at a time; the manifest comes last.

use std::sync::Arc;

use super::client::Client;
use super::failure::Failure;
use super::image::{Image, Named};
use super::repository::Repository;
use super::side_by_side;
use super::trace::Trace;

/// Where an image goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    /// The repository, the project included.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The repository that has the shared layers already.
    pub base: Option<String>,
}

/// Pushes an image.
pub async fn push(
    client: &Arc<Client>,
    image: &Image,
    aim: &Aim,
    trace: &Trace,
) -> Result<(), Failure> {
    let scope = match &aim.base {
        Some(base) => format!(
            "repository:{}:pull,push repository:{base}:pull",
            aim.repository
        ),
        None => format!("repository:{}:pull,push", aim.repository),
    };
    let layers = image.layers.iter().cloned().enumerate();
    side_by_side::run(
        side_by_side::UPLOADS,
        layers.map(|(at, layer)| {
            let (client, trace) = (client.clone(), trace.clone());
            let (name, scope) = (aim.repository.clone(), scope.clone());
            let from = aim.base.clone().filter(|_| at < image.shared);
            async move {
                let repository = Repository {
                    client: &client,
                    name: &name,
                    scope: &scope,
                    trace: &trace,
                };
                send_layer(&repository, &layer, from.as_deref()).await
            }
        }),
    )
    .await?;
    let repository = Repository {
        client,
        name: &aim.repository,
        scope: &scope,
        trace,
    };
    let (config, digest) = &image.config;
    if !repository.has(digest).await?
        && let Some(place) = repository.begin(digest, None).await?
    {
        let place = repository.send_bytes(place, config).await?;
        repository.end(place, digest).await?;
        trace.moved(config.len() as u64);
    }
    let (manifest, digest) = &image.manifest;
    repository.put_manifest(&aim.tag, manifest, digest).await
}

async fn send_layer(
    repository: &Repository<'_>,
    layer: &Named,
    from: Option<&str>,
) -> Result<(), Failure> {
    if repository.has(&layer.digest).await? {
        return Ok(());
    }
    let Some(place) = repository.begin(&layer.digest, from).await? else {
        return Ok(());
    };
    let place = repository.send(place, layer).await?;
    repository.end(place, &layer.digest).await?;
    repository.trace.moved(layer.layer.size());
    Ok(())
}
