//! Images made of nothing: one layer with one file of random bytes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use serde_json::json;

/// An image in skopeo's and podman's `dir:` layout. Its layer is an OCI layer without compression, so that a client
/// has nothing to do with it but to carry it.
pub struct Image {
    /// The directory.
    pub path: PathBuf,
    /// The digest of its manifest.
    pub digest: String,
}

/// Writes bytes on and digests them.
struct Digesting<W> {
    inner: W,
    context: Context,
}

impl<W> Digesting<W> {
    fn new(inner: W) -> Self {
        Digesting {
            inner,
            context: Context::new(&SHA256),
        }
    }

    fn digest(self) -> String {
        hex(self.context.finish().as_ref())
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.context
            .update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Image {
    /// Makes one whose layer holds `size` random bytes in the new directory `path`.
    pub fn make(path: &Path, size: u64) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let layer = path.join("layer");
        let mut file = Digesting::new(File::create(&layer).unwrap());
        tar(&mut file, size).unwrap();
        let diff = file.digest();
        let length = std::fs::metadata(&layer).unwrap().len();
        std::fs::rename(&layer, path.join(&diff)).unwrap();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff}")]},
            "history": [{"created": "2026-01-02T03:04:05Z", "created_by": "a test"}],
        })
        .to_string();
        let id = sha256(config.as_bytes());
        std::fs::write(path.join(&id), &config).unwrap();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": format!("sha256:{id}"),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": format!("sha256:{diff}"),
                "size": length,
            }],
        })
        .to_string();
        std::fs::write(path.join("manifest.json"), &manifest).unwrap();
        std::fs::write(path.join("version"), "Directory Transport Version: 1.1\n").unwrap();
        Image {
            path: path.to_owned(),
            digest: format!("sha256:{}", sha256(manifest.as_bytes())),
        }
    }

    /// The same image as it lies in another directory.
    pub fn at(path: &Path) -> Self {
        let manifest = std::fs::read(path.join("manifest.json")).expect("a manifest");
        Image {
            path: path.to_owned(),
            digest: format!("sha256:{}", sha256(&manifest)),
        }
    }

    /// `dir:…`, as the clients name it.
    pub fn source(&self) -> String {
        format!("dir:{}", self.path.display())
    }

    /// Whether every blob in its directory has the digest of its name.
    pub fn is_sound(&self) -> bool {
        let files = std::fs::read_dir(&self.path).unwrap().map(Result::unwrap);
        let blobs: Vec<_> = files.filter(|file| file.file_name().len() == 64).collect();
        !blobs.is_empty()
            && blobs
                .iter()
                .all(|blob| file_sha256(&blob.path()) == blob.file_name().to_string_lossy())
    }
}

/// A tar archive with one file of random bytes.
pub fn tar(to: &mut impl Write, size: u64) -> io::Result<()> {
    let mut header = [0u8; 512];
    let mut field = |at: usize, text: &[u8]| {
        for (place, byte) in header.iter_mut().skip(at).zip(text) {
            *place = *byte;
        }
    };
    field(0, b"random");
    field(100, b"0000644\0");
    field(108, b"0000000\0");
    field(116, b"0000000\0");
    field(124, format!("{size:011o}\0").as_bytes());
    field(136, b"00000000000\0");
    field(148, b"        ");
    field(156, b"0");
    field(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    for (place, byte) in header
        .iter_mut()
        .skip(148)
        .zip(format!("{sum:06o}\0 ").as_bytes())
    {
        *place = *byte;
    }
    to.write_all(&header)?;
    io::copy(&mut File::open("/dev/urandom")?.take(size), to)?;
    let padding = (512 - size % 512) % 512 + 1024;
    io::copy(&mut io::repeat(0).take(padding), to)?;
    Ok(())
}

/// The digest of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&SHA256, bytes).as_ref())
}

/// The digest of a file, in hexadecimal.
pub fn file_sha256(path: &Path) -> String {
    let mut sink = Digesting::new(io::sink());
    io::copy(&mut File::open(path).unwrap(), &mut sink).unwrap();
    sink.digest()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
