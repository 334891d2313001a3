//! What layers are made of: bytes that a seed decides, made as they are sent and never kept.
//!
//! A layer is a tar archive of one file, so that docker can unpack what a load test pushed.

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

const BLOCK: u64 = 512;
/// The least that holds a head, a block of content and the end of an archive.
const LEAST: u64 = 4 * BLOCK;
/// The end of an archive: two empty blocks.
const TAIL: u64 = 2 * BLOCK;
/// How much is made at a time.
const PIECE: u64 = 64 << 10;

/// A layer before its bytes: the same seed and size make the same layer on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    seed: u64,
    size: u64,
}

impl Layer {
    /// Of at least `size` bytes: rounded up to whole blocks of an archive.
    pub fn new(seed: u64, size: u64) -> Self {
        let blocks = size.div_ceil(BLOCK).min(u64::MAX / BLOCK);
        let size = (blocks * BLOCK).max(LEAST);
        Layer { seed, size }
    }

    /// Bytes of the whole archive.
    pub fn size(self) -> u64 {
        self.size
    }

    /// The bytes, piece by piece.
    pub fn pieces(self) -> Pieces {
        let file = self.size - BLOCK - TAIL;
        Pieces {
            random: self.seed,
            head: Some(head(file)),
            left: file,
            ended: false,
        }
    }

    /// `sha256:…` of the bytes; takes as long as making and hashing them.
    pub fn digest(self) -> String {
        let mut hash = Sha256::new();
        for piece in self.pieces() {
            hash.update(&piece);
        }
        name(hash)
    }
}

/// The bytes of a layer.
#[derive(Debug)]
pub struct Pieces {
    random: u64,
    head: Option<[u8; BLOCK as usize]>,
    left: u64,
    ended: bool,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(head) = self.head.take() {
            return Some(Bytes::copy_from_slice(&head));
        }
        if self.left == 0 {
            let tail = Bytes::from_static(&[0; TAIL as usize]);
            return (!std::mem::replace(&mut self.ended, true)).then_some(tail);
        }
        let size = self.left.min(PIECE);
        self.left -= size;
        let mut piece = BytesMut::with_capacity(PIECE as usize);
        for _ in 0..size / 8 {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            piece.put_u64_le(scramble(self.random));
        }
        Some(piece.freeze())
    }
}

/// A seed for one of many things that hang on `seed`.
pub fn derive(seed: u64, which: u64, part: u64) -> u64 {
    scramble(scramble(seed ^ scramble(which)) ^ scramble(!part))
}

/// The finish of SplitMix64 (Steele, Lea and Flood, 2014).
fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// `sha256:…` of bytes that are there.
pub fn digest(bytes: &[u8]) -> String {
    name(Sha256::new_with_prefix(bytes))
}

/// `sha256:…` of a finished hash.
pub fn name(hash: Sha256) -> String {
    format!("sha256:{:x}", hash.finalize())
}

/// The head of a file of `size` bytes in a ustar archive (POSIX.1-1988).
fn head(size: u64) -> [u8; BLOCK as usize] {
    let mut head = [0; BLOCK as usize];
    let mut put = |at: usize, text: &str| {
        if let Some(slot) = head.get_mut(at..at + text.len()) {
            slot.copy_from_slice(text.as_bytes());
        }
    };
    put(0, "content");
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    // The checksum counts its own place as blanks.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    if let Some(slot) = head.get_mut(148..156) {
        slot.copy_from_slice(sum.as_bytes());
    }
    head
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn whole(layer: Layer) -> Vec<u8> {
        layer.pieces().flatten().collect()
    }

    #[test]
    fn a_seed_always_makes_the_same_layer() {
        let layer = Layer::new(7, 200_000);
        assert_eq!(whole(layer), whole(Layer::new(7, 200_000)));
        assert_ne!(layer.digest(), Layer::new(8, 200_000).digest());
        assert_eq!(layer.digest(), digest(&whole(layer)));
    }

    #[test]
    fn other_machines_make_it_too() {
        assert_eq!(
            Layer::new(1, 1 << 20).digest(),
            "sha256:6a8fb42f99b8c59aa3e133a9dd9355905bbeea5cb8ef7260c58bbcf27e6edd97"
        );
    }

    #[test]
    fn a_layer_has_the_size_it_says() {
        for asked in [0, 1, 2048, 2049, 65_536, 100_000, 1 << 20] {
            let layer = Layer::new(1, asked);
            assert!(layer.size() >= asked && layer.size() < asked + LEAST + BLOCK);
            assert_eq!(whole(layer).len() as u64, layer.size(), "{asked}");
        }
    }

    #[test]
    fn tar_can_unpack_a_layer() {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("layer.tar");
        std::fs::write(&archive, whole(Layer::new(3, 100_000))).unwrap();
        let done = std::process::Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(directory.path())
            .status()
            .unwrap();
        assert!(done.success());
        let file = std::fs::metadata(directory.path().join("content")).unwrap();
        assert_eq!(file.len(), Layer::new(3, 100_000).size() - BLOCK - TAIL);
    }

    #[test]
    fn parts_of_a_seed_differ() {
        let seeds = [
            derive(1, 0, 0),
            derive(1, 0, 1),
            derive(1, 1, 0),
            derive(2, 0, 0),
        ];
        for (at, seed) in seeds.iter().enumerate() {
            assert!(!seeds.iter().skip(at + 1).any(|other| other == seed));
        }
    }
}
