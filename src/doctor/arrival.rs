//! Where nodes replicate: whether what is pushed through one arrives at the others, and when.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::node::Node;
use super::push::{self, Blob};
use super::token;
use crate::harbor::dialect::Dialect;

/// From one look at a node to the next.
const EVERY: Duration = Duration::from_millis(500);
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// One sentence for each way that was watched.
    pub notes: Vec<String>,
    /// What could not be tried, and why.
    pub trouble: Vec<String>,
}

/// Pushes one small image through the node at `from` and waits for it at the others for at most `wait`.
pub async fn observe(
    nodes: &[Node],
    from: usize,
    repository: &str,
    tokens: &token::Seen,
    account: Option<&HeaderValue>,
    wait: Duration,
) -> Seen {
    let mut seen = Seen::default();
    let (Some(origin), Some(token)) = (nodes.get(from), tokens.of(from)) else {
        return seen;
    };
    let bearer = &token.bearer;
    let (config, layer) = (Blob::random(), Blob::random());
    let manifest = image(&config, &layer);
    let mut pushed = Ok(());
    for blob in [&config, &layer] {
        if pushed.is_ok() {
            pushed = blob_to(origin, repository, blob, bearer).await;
        }
    }
    if pushed.is_ok() {
        for (at, node) in nodes.iter().enumerate() {
            if let Some(token) = tokens.of(at) {
                will_arrive(node, repository, &manifest, &token.bearer, account);
            }
        }
        pushed = put(origin, repository, &manifest, bearer).await;
    }
    match pushed {
        Ok(()) => watch(nodes, from, repository, &manifest, tokens, wait, &mut seen).await,
        Err(why) => seen.trouble.push(format!("{}: {why}", origin.name)),
    }
    seen
}

/// A manifest with one layer, and its digest.
fn image(config: &Blob, layer: &Blob) -> Blob {
    let part = |kind: &str, blob: &Blob| {
        let (size, digest) = (blob.content.len(), &blob.digest);
        format!(
            r#"{{"mediaType":"application/vnd.docker.{kind}","size":{size},"digest":"{digest}"}}"#
        )
    };
    Blob::of(format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
        part("container.image.v1+json", config),
        part("image.rootfs.diff.tar.gzip", layer)
    ))
}

async fn blob_to(
    node: &Node,
    repository: &str,
    blob: &Blob,
    bearer: &HeaderValue,
) -> Result<(), String> {
    let upload = push::begin(node, repository, bearer).await?;
    push::finish(node, &upload, blob, bearer).await
}

fn path(repository: &str, manifest: &Blob) -> String {
    format!("/v2/{repository}/manifests/{}", manifest.digest)
}

fn tag(manifest: &Blob) -> String {
    let hex = manifest.digest.trim_start_matches("sha256:");
    hex.chars().take(12).collect()
}

async fn put(
    node: &Node,
    repository: &str,
    manifest: &Blob,
    bearer: &HeaderValue,
) -> Result<(), String> {
    let request = Request::put(format!("/v2/{repository}/manifests/{}", tag(manifest)))
        .header(AUTHORIZATION, bearer)
        .header(CONTENT_TYPE, MANIFEST);
    let answer = node
        .send(request, manifest.content.clone())
        .await
        .map_err(|error| error.to_string())?;
    match answer.status.as_u16() {
        201 => Ok(()),
        status => Err(format!("a manifest is answered {status}")),
    }
}

async fn watch(
    nodes: &[Node],
    from: usize,
    repository: &str,
    manifest: &Blob,
    tokens: &token::Seen,
    wait: Duration,
    seen: &mut Seen,
) {
    let begun = Instant::now();
    let origin = nodes
        .get(from)
        .map(|node| node.name.as_str())
        .unwrap_or_default();
    let mut missing: Vec<usize> = (0..nodes.len())
        .filter(|to| *to != from && tokens.of(*to).is_some())
        .collect();
    loop {
        let mut still = Vec::new();
        for to in missing {
            let (Some(node), Some(token)) = (nodes.get(to), tokens.of(to)) else {
                continue;
            };
            let request = Request::head(path(repository, manifest))
                .header(AUTHORIZATION, &token.bearer)
                .header(ACCEPT, MANIFEST);
            let answer = node.send(request, Bytes::new()).await;
            if answer.is_ok_and(|answer| answer.status == 200) {
                let took = begun.elapsed().as_secs_f64();
                seen.notes.push(format!(
                    "what was pushed through {origin} arrived at {} after {took:.1} s",
                    node.name
                ));
            } else {
                still.push(to);
            }
        }
        missing = still;
        if missing.is_empty() || begun.elapsed() >= wait {
            break;
        }
        tokio::time::sleep(EVERY.min(wait)).await;
    }
    for to in missing {
        let name = nodes
            .get(to)
            .map(|node| node.name.as_str())
            .unwrap_or_default();
        seen.notes.push(format!(
            "what was pushed through {origin} did not arrive at {name} within {}: no event-based replication of {repository}, or a slow one",
            crate::config::duration::show(wait)
        ));
    }
}

/// Notes what a node will have to delete: the image, and with Harbor's own API the repository that it makes.
fn will_arrive(
    node: &Node,
    repository: &str,
    manifest: &Blob,
    bearer: &HeaderValue,
    account: Option<&HeaderValue>,
) {
    if let (Some((project, name)), Some(account)) = (repository.split_once('/'), account) {
        let path = match node.dialect {
            Some(Dialect::Harbor2) => {
                let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
                format!("/api/v2.0/projects/{project}/repositories/{name}")
            }
            _ => format!("/api/repositories/{repository}"),
        };
        node.gone(&path);
        node.made(&path, account);
    }
    node.made(&path(repository, manifest), bearer);
}
