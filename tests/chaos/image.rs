//! Images out of a seed: what a hand pushes, and what has to come back.

use bytes::Bytes;
use fastrand::Rng;
use serde_json::json;

use crate::support::clients::image::sha256;

pub const KIND: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A blob of an image that is about to be pushed.
#[derive(Clone)]
pub struct Blob {
    pub digest: String,
    pub bytes: Bytes,
}

impl Blob {
    pub fn new(bytes: impl Into<Bytes>) -> Blob {
        let bytes = bytes.into();
        Blob {
            digest: digest(&bytes),
            bytes,
        }
    }

    /// One of random bytes: most are small, some take a client seconds.
    pub fn random(rng: &mut Rng) -> Blob {
        let kibibytes = match rng.u8(..20) {
            0 => rng.usize(8 << 10..20 << 10),
            1 => rng.usize(4 << 10..8 << 10),
            2..8 => rng.usize(512..2 << 10),
            _ => rng.usize(10..200),
        };
        let mut bytes = vec![0; kibibytes << 10];
        rng.fill(&mut bytes);
        Blob::new(bytes)
    }
}

/// An image: its name, its manifest, and the digests of its blobs.
#[derive(Clone)]
pub struct Image {
    pub repository: String,
    pub tag: String,
    /// Whether the tag stays at it: whoever pulls by a tag that moves may get another image.
    pub fixed: bool,
    pub manifest: Bytes,
    pub digest: String,
    pub blobs: Vec<String>,
}

impl Image {
    /// An image of these layers, and its configuration, which is the last of its blobs.
    pub fn of(repository: &str, tag: &str, fixed: bool, layers: &[Blob]) -> (Image, Vec<Blob>) {
        let digests: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {"Labels": {"name": format!("{repository}:{tag}")}},
            "rootfs": {"type": "layers", "diff_ids": digests},
        });
        let config = Blob::new(config.to_string());
        let part = |blob: &Blob, kind: &str| {
            let kind = format!("application/vnd.docker.{kind}");
            json!({"mediaType": kind, "size": blob.bytes.len(), "digest": blob.digest})
        };
        let parts: Vec<_> = (layers.iter())
            .map(|layer| part(layer, "image.rootfs.diff.tar.gzip"))
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": KIND,
            "config": part(&config, "container.image.v1+json"), "layers": parts,
        });
        let manifest = Bytes::from(manifest.to_string());
        let mut blobs = layers.to_vec();
        blobs.push(config);
        let image = Image {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            fixed,
            digest: digest(&manifest),
            manifest,
            blobs: blobs.iter().map(|blob| blob.digest.clone()).collect(),
        };
        (image, blobs)
    }
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}
