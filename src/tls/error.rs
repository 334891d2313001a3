//! What can be wrong with a file of certificates or keys.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file and what is wrong with it, in words for whoever has to mend it.
#[derive(Debug)]
pub struct CertError {
    /// The file at fault.
    pub file: PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is missing, or this user may not read it.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It holds PEM sections that are broken.
    #[error("is not well-formed PEM: {0}")]
    NotPem(String),
    /// No `CERTIFICATE` section.
    #[error("holds no certificate in PEM form")]
    NoCertificate,
    /// No private key section that can be used without a passphrase.
    #[error("holds no private key in PEM form (an encrypted one cannot be used)")]
    NoKey,
    /// A certificate that cannot be understood.
    #[error("holds a certificate that cannot be used: {0}")]
    BadCertificate(String),
    /// A key of a kind that cannot be used.
    #[error("holds a private key that cannot be used: {0}")]
    BadKey(String),
    /// The key belongs to another certificate.
    #[error("holds a private key that does not match the first certificate of {}", .chain.display())]
    Mismatch {
        /// The chain that it should match.
        chain: PathBuf,
    },
    /// The first certificate is over.
    #[error("holds a certificate that expired {}", ago(.0))]
    Expired(SystemTime),
    /// The first certificate has not begun.
    #[error("holds a certificate that is not valid yet; it begins {}", ahead(.0))]
    NotYetValid(SystemTime),
}

impl CertError {
    pub(super) fn new(file: &Path, fault: impl Into<Fault>) -> CertError {
        CertError {
            file: file.to_owned(),
            fault: fault.into(),
        }
    }
}

impl fmt::Display for CertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file.display(), self.fault)
    }
}

impl std::error::Error for CertError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}

fn ago(then: &SystemTime) -> String {
    let since = SystemTime::now().duration_since(*then).unwrap_or_default();
    format!("{} ago", span(since.as_secs()))
}

fn ahead(then: &SystemTime) -> String {
    let until = then.duration_since(SystemTime::now()).unwrap_or_default();
    format!("in {}", span(until.as_secs()))
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
