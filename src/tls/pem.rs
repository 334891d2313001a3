//! Certificates and keys as files: reading them, and noticing that they changed.

use super::{CertError, Fault, provider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The two files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The certificate of the server, then the intermediate ones, in PEM.
    pub chain: PathBuf,
    /// Its private key in PEM, without a passphrase.
    pub key: PathBuf,
}

/// What tells one state of a file from the next. Symbolic links are followed, so that the swap of a directory
/// link, as Kubernetes does it with secrets, counts as a change.
pub(super) type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

impl Pair {
    pub(super) fn files(&self) -> [PathBuf; 2] {
        [self.chain.clone(), self.key.clone()]
    }

    /// The pair, ready to be used, if the key belongs to the first certificate.
    pub(super) fn load(&self) -> Result<CertifiedKey, CertError> {
        let chain = certificates(&self.chain)?;
        let key = private_key(&self.key)?;
        CertifiedKey::from_der(chain, key, &provider::current()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let chain = self.chain.clone();
                CertError::new(&self.key, Fault::Mismatch { chain })
            }
            Error::InvalidCertificate(error) => CertError::new(
                &self.chain,
                Fault::BadCertificate(Error::InvalidCertificate(error).to_string()),
            ),
            error => CertError::new(&self.key, Fault::BadKey(error.to_string())),
        })
    }
}

pub(super) fn stamp(file: &Path) -> Stamp {
    let data = std::fs::metadata(file).ok()?;
    Some((
        data.dev(),
        data.ino(),
        data.len(),
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec(),
    ))
}

/// All certificates of a file; at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let text = read(file)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| CertError::new(file, Fault::NotPem(error.to_string())))?;
    if found.is_empty() {
        return Err(CertError::new(file, Fault::NoCertificate));
    }
    Ok(found)
}

/// The first private key of a file.
pub(super) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, CertError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| {
        let fault = match error {
            pem::Error::NoItemsFound => Fault::NoKey,
            error => Fault::NotPem(error.to_string()),
        };
        CertError::new(file, fault)
    })
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, CertError> {
    let read = std::fs::read(file).map(Zeroizing::new);
    read.map_err(|error| CertError::new(file, error))
}
