//! Images: their layers, their configuration, their manifest.

use bytes::Bytes;
use serde_json::json;

use super::content::{self, Layer};

/// The manifest's media type.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What every image of a run looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Layers of an image.
    pub layers: u32,
    /// Bytes of each.
    pub layer_size: u64,
    /// How many of them all images share.
    pub shared: u32,
    /// Decides every byte.
    pub seed: u64,
}

/// A layer with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its bytes.
    pub layer: Layer,
    /// `sha256:…` of them.
    pub digest: String,
}

/// An image, ready to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The shared layers first.
    pub layers: Vec<Named>,
    /// How many of them all images share.
    pub shared: usize,
    /// The configuration and its digest.
    pub config: (Bytes, String),
    /// The manifest and its digest.
    pub manifest: (Bytes, String),
}

impl Shape {
    /// The layers that all images share, hashed.
    pub fn base(&self) -> Vec<Named> {
        (0..self.shared.min(self.layers))
            .map(|at| self.named(0, at))
            .collect()
    }

    /// The `number`th image on `base`, the layers that [`Shape::base`] made. Hashes every layer of its own, so it
    /// takes a while and belongs on a thread that may block.
    pub fn image(&self, base: &[Named], number: u64) -> Image {
        let own = (self.shared.min(self.layers)..self.layers)
            .map(|at| self.named(number.wrapping_add(1), at));
        let layers: Vec<Named> = base.iter().cloned().chain(own).collect();
        let diffs: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "author": "seawall bench",
            // Tells images without layers of their own apart.
            "config": {"Labels": {"seawall.image": number.to_string()}},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        });
        let config = Bytes::from(config.to_string());
        let config_digest = content::digest(&config);
        let described: Vec<_> = layers
            .iter()
            .map(|named| json!({"mediaType": LAYER, "digest": named.digest, "size": named.layer.size()}))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": config_digest, "size": config.len()},
            "layers": described,
        });
        let manifest = Bytes::from(manifest.to_string());
        let manifest_digest = content::digest(&manifest);
        Image {
            shared: base.len(),
            layers,
            config: (config, config_digest),
            manifest: (manifest, manifest_digest),
        }
    }

    fn named(&self, which: u64, part: u32) -> Named {
        let seed = content::derive(self.seed, which, u64::from(part));
        let layer = Layer::new(seed, self.layer_size);
        Named {
            layer,
            digest: layer.digest(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        layers: 3,
        layer_size: 4096,
        shared: 2,
        seed: 42,
    };

    fn digests(image: &Image) -> Vec<&str> {
        image
            .layers
            .iter()
            .map(|named| named.digest.as_str())
            .collect()
    }

    #[test]
    fn images_share_their_base_and_nothing_else() {
        let base = SHAPE.base();
        let (one, two) = (SHAPE.image(&base, 0), SHAPE.image(&base, 1));
        assert_eq!(digests(&one)[..2], digests(&two)[..2]);
        assert_ne!(digests(&one)[2], digests(&two)[2]);
        assert_ne!(one.manifest.1, two.manifest.1);
    }

    #[test]
    fn a_seed_always_makes_the_same_image() {
        assert_eq!(SHAPE.image(&SHAPE.base(), 5), SHAPE.image(&SHAPE.base(), 5));
        let other = Shape { seed: 43, ..SHAPE };
        assert_ne!(SHAPE.base(), other.base());
    }

    #[test]
    fn images_that_share_everything_still_differ() {
        let shape = Shape { shared: 3, ..SHAPE };
        let base = shape.base();
        assert_ne!(
            shape.image(&base, 0).manifest.1,
            shape.image(&base, 1).manifest.1
        );
    }

    #[test]
    fn the_manifest_names_config_and_layers_with_their_sizes() {
        let image = SHAPE.image(&SHAPE.base(), 0);
        let manifest: serde_json::Value = serde_json::from_slice(&image.manifest.0).unwrap();
        assert_eq!(manifest["config"]["digest"], image.config.1);
        assert_eq!(manifest["config"]["size"], image.config.0.len());
        let layers = manifest["layers"].as_array().unwrap();
        for (described, named) in layers.iter().zip(&image.layers) {
            assert_eq!(described["digest"], named.digest);
            assert_eq!(described["size"], named.layer.size());
        }
        assert_eq!(layers.len(), 3);
    }
}
