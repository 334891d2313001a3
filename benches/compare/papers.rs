//! The one certificate that everybody shows, and who vouches for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, ClientConfig, RootCertStore, ServerConfig};

/// The name in the certificate.
pub const NAME: &str = "registry.example.com";

/// PEM files in one folder.
#[derive(Clone, Debug)]
pub struct Papers {
    pub authority: PathBuf,
    pub chain: PathBuf,
    pub key: PathBuf,
    /// Chain and key in one file, as HAProxy wants them.
    pub joined: PathBuf,
}

impl Papers {
    pub fn within(folder: &Path) -> Papers {
        Papers {
            authority: folder.join("ca.pem"),
            chain: folder.join("chain.pem"),
            key: folder.join("key.pem"),
            joined: folder.join("joined.pem"),
        }
    }

    /// ECDSA on P-256, as ACME authorities issue it today.
    pub fn make(folder: &Path) -> Result<Papers> {
        let papers = Papers::within(folder);
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        // Whose subject is its issuer's counts as self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "a throw-away authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let names = [NAME, "localhost", "127.0.0.1"].map(str::to_owned);
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        std::fs::write(&papers.authority, issuer.pem())?;
        std::fs::write(&papers.chain, leaf.pem())?;
        std::fs::write(&papers.key, key.serialize_pem())?;
        std::fs::write(&papers.joined, leaf.pem() + &key.serialize_pem())?;
        Ok(papers)
    }

    /// For the origin and the floor: HTTP/1.1 only.
    pub fn server(&self) -> Result<ServerConfig> {
        let chain = CertificateDer::pem_file_iter(&self.chain)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// A client that offers what docker does: TLS 1.3 and 1.2, AES-128-GCM first.
    pub fn client(&self, alpn: &[u8]) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority)?)?;
        let plain = ClientConfig::builder();
        let mut provider: CryptoProvider = plain.crypto_provider().as_ref().clone();
        provider
            .cipher_suites
            .sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .context("no TLS versions")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(config)
    }
}
