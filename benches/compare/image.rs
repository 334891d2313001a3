//! What docker does with an image: pulls one and pushes another, on new connections as a new command does.

use anyhow::{Context, Result};

use crate::line::{Line, Way};
use crate::papers::NAME;
use crate::request;

/// Layers of an image from a public registry: many small ones, few large ones. Bytes.
const PULLED: [u64; 8] = [
    1_472, 7_023, 32, 4_810, 186_345, 2_806_054, 9_331_008, 29_124_992,
];
/// Layers that a build made on top of it.
const PUSHED: [u64; 5] = [131, 3_627, 200_267, 1_048_576, 12_582_912];
/// docker pulls so many layers at once.
const PULLS: usize = 3;
const TOKEN: &str =
    "/service/token?account=admin&scope=repository%3Alibrary%2Fapp%3Apull&service=harbor-registry";

/// Requests and bytes of one round.
pub type Sum = (u64, u64);

/// One image pulled and one pushed.
pub async fn trip(way: &Way, piece: &[u8]) -> Result<Sum> {
    let (pulled, pushed) = (pull(way).await?, push(way, piece).await?);
    Ok((pulled.0 + pushed.0, pulled.1 + pushed.1))
}

async fn greet(way: &Way) -> Result<(Line, u64)> {
    let mut line = Line::open(way).await?;
    let ping = line
        .ask(&request::text("GET", "/v2/", ""))
        .await?
        .expect(401, Some(76))?;
    let token = line
        .ask(&request::text("GET", TOKEN, ""))
        .await?
        .expect(200, None)?;
    Ok((line, ping.bytes + token.bytes))
}

async fn pull(way: &Way) -> Result<Sum> {
    let (mut line, mut bytes) = greet(way).await?;
    let accept = "Accept: application/vnd.oci.image.index.v1+json\r\n\
                  Accept: application/vnd.oci.image.manifest.v1+json\r\n\
                  Accept: application/vnd.docker.distribution.manifest.v2+json\r\n";
    let manifest = "/v2/library/app/manifests/1";
    line.ask(&request::text("HEAD", manifest, accept))
        .await?
        .expect(200, Some(0))?;
    let answer = line.ask(&request::text("GET", manifest, accept)).await?;
    bytes += answer.expect(200, Some(946))?.bytes;
    let mut lanes: Vec<Vec<u64>> = vec![Vec::new(); PULLS];
    for (place, layer) in PULLED.into_iter().enumerate() {
        lanes[place % PULLS].push(layer);
    }
    let mut lines = vec![line];
    while lines.len() < PULLS {
        lines.push(Line::open(way).await?);
    }
    let lanes = lines
        .into_iter()
        .zip(lanes)
        .map(|(mut line, layers)| async move {
            let mut bytes = 0;
            for layer in layers {
                let answer = line
                    .ask(&request::text("GET", &request::blob(layer), ""))
                    .await?;
                bytes += answer.expect(200, Some(layer))?.bytes;
            }
            anyhow::Ok(bytes)
        });
    bytes += together(lanes).await?;
    Ok((4 + PULLED.len() as u64, bytes))
}

async fn push(way: &Way, piece: &[u8]) -> Result<Sum> {
    let (first, mut bytes) = greet(way).await?;
    let mut lines = vec![first];
    while lines.len() < PUSHED.len() {
        lines.push(Line::open(way).await?);
    }
    // The uploads run side by side; the manifest follows when all are there.
    let piece: std::sync::Arc<[u8]> = piece.into();
    let lanes = lines.into_iter().zip(PUSHED).map(|(mut line, layer)| {
        let piece = piece.clone();
        async move {
            upload(&mut line, layer, &piece).await?;
            anyhow::Ok(layer)
        }
    });
    bytes += together(lanes).await?;
    let mut line = Line::open(way).await?;
    let kind = "Content-Type: application/vnd.docker.distribution.manifest.v2+json\r\nContent-Length: 946\r\n";
    let mut manifest = request::text("PUT", "/v2/library/app/manifests/1", kind);
    manifest.extend(std::iter::repeat_n(b' ', 946));
    line.ask(&manifest).await?.expect(201, Some(0))?;
    Ok((3 + 4 * PUSHED.len() as u64, bytes + 946))
}

async fn upload(line: &mut Line, layer: u64, piece: &[u8]) -> Result<()> {
    line.ask(&request::text("HEAD", &request::blob(layer), ""))
        .await?
        .expect(200, Some(0))?;
    let start = request::text("POST", request::UPLOADS, "Content-Length: 0\r\n");
    let answer = line.ask(&start).await?.expect(202, Some(0))?;
    let location = answer.location.context("an upload without a place")?;
    let host = format!("https://{NAME}");
    let path = location.strip_prefix(&host).unwrap_or(&location).to_owned();
    line.push(&path, layer, false, piece)
        .await?
        .expect(202, Some(0))?;
    let end = format!("{path}&digest={}", crate::origin::digest(layer));
    let finish = request::text("PUT", &end, "Content-Length: 0\r\n");
    line.ask(&finish).await?.expect(201, Some(0))?;
    Ok(())
}

async fn together<F>(lanes: impl Iterator<Item = F>) -> Result<u64>
where
    F: Future<Output = Result<u64>> + Send + 'static,
{
    let mut set: tokio::task::JoinSet<Result<u64>> = lanes.collect();
    let mut bytes = 0;
    while let Some(lane) = set.join_next().await {
        bytes += lane??;
    }
    Ok(bytes)
}
