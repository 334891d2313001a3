//! The TLS settings towards nodes.

use super::watch::Watch;
use super::{CertError, Fault, Pair, pem, provider};
use arc_swap::ArcSwap;
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Settings for connections to nodes: their certificates are proved by `ca` alone when it is given (Harbor's
/// internal TLS has an authority of its own), else by the authorities of this machine; `client` is shown to nodes
/// that ask for a certificate. HTTP/1.1 is what Harbor's nginx and core speak best.
pub fn config(ca: Option<&Path>, client: Option<&Pair>) -> Result<Arc<ClientConfig>, CertError> {
    provider::install();
    let builder = ClientConfig::builder().with_root_certificates(roots(ca)?);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            // Loaded for its precise errors; the builder would call a foreign key just an error.
            let loaded = pair.load()?;
            let key = pem::private_key(&pair.key)?;
            builder
                .with_client_auth_cert(loaded.cert, key)
                .map_err(|error| CertError::new(&pair.key, Fault::BadKey(error.to_string())))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The settings for one node, which follow their files: connections to come see the last ones that loaded as a whole.
#[derive(Debug)]
pub struct LiveClient {
    ca: Option<PathBuf>,
    identity: Option<Pair>,
    current: ArcSwap<ClientConfig>,
    watch: Watch,
}

impl LiveClient {
    /// See [`config`].
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn load(ca: Option<PathBuf>, identity: Option<Pair>) -> Result<LiveClient, CertError> {
        let pair = identity.iter().flat_map(Pair::files);
        let watch = Watch::new(pair.chain(ca.clone()).collect());
        let current = ArcSwap::new(config(ca.as_deref(), identity.as_ref())?);
        Ok(LiveClient {
            ca,
            identity,
            current,
            watch,
        })
    }

    /// Whether it follows these files.
    pub fn is_of(&self, ca: Option<&Path>, identity: Option<&Pair>) -> bool {
        self.ca.as_deref() == ca && self.identity.as_ref() == identity
    }

    /// The settings for a connection that begins now.
    pub fn current(&self) -> Arc<ClientConfig> {
        self.current.load_full()
    }

    /// Reads the files again and puts them into service.
    ///
    /// # Errors
    /// Why not; the old ones stay.
    pub fn reload(&self) -> Result<(), CertError> {
        self.watch.reload(|| self.read())
    }

    /// For a watcher that comes by every second: reloads when the files changed. Tells a swap, and a fault when it
    /// is a new one.
    pub fn poll(&self) -> Option<Result<(), Vec<CertError>>> {
        self.watch.poll(|| self.read().map_err(|error| vec![error]))
    }

    fn read(&self) -> Result<(), CertError> {
        let fresh = config(self.ca.as_deref(), self.identity.as_ref())?;
        self.current.store(fresh);
        Ok(())
    }
}

pub(super) fn roots(ca: Option<&Path>) -> Result<Arc<RootCertStore>, CertError> {
    let Some(file) = ca else { return Ok(native()) };
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| CertError::new(file, Fault::BadCertificate(error.to_string())))?;
    }
    Ok(Arc::new(roots))
}

/// The authorities of this machine, read once: they are hundreds, and every node asks for them.
fn native() -> Arc<RootCertStore> {
    static NATIVE: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    NATIVE
        .get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            let mut roots = RootCertStore::empty();
            let (added, _) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                tracing::warn!(
                    "this machine has no certificate authorities; https nodes need `ca`"
                );
            }
            Arc::new(roots)
        })
        .clone()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tls::certs::tests::write;

    #[test]
    fn http_1_1_is_what_nodes_are_offered() {
        let config = config(None, None).unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
    }

    #[test]
    fn a_given_authority_replaces_those_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let pair = write(dir.path(), "ca", &["ca.example.com"], |_| {});
        assert_eq!(roots(Some(&pair.chain)).unwrap().len(), 1);
    }

    #[test]
    fn a_client_certificate_must_match_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let one = write(dir.path(), "one", &["a.example.com"], |_| {});
        let two = write(dir.path(), "two", &["a.example.com"], |_| {});
        assert!(
            config(None, Some(&one))
                .unwrap()
                .client_auth_cert_resolver
                .has_certs()
        );
        let crossed = Pair {
            chain: one.chain,
            key: two.key,
        };
        let error = config(None, Some(&crossed)).unwrap_err();
        assert!(matches!(error.fault, Fault::Mismatch { .. }), "{error}");
    }

    #[test]
    fn an_authority_file_without_certificates_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, "").unwrap();
        let error = config(Some(&file), None).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("ca.pem holds no certificate in PEM form")
        );
    }
}
