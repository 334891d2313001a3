//! The TLS settings of a listener.

use super::certs::LiveCertificates;
use super::client::roots;
use super::watch::Watch;
use super::{CertError, Fault, Pair, provider};
use crate::config::{ClientAuth, ClientCertificates, TlsProfile};
use arc_swap::ArcSwap;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// What a listener demands of a handshake besides what its certificates bring along.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// The versions of TLS.
    pub profile: TlsProfile,
    /// Whose certificates clients show, where they are asked for one.
    pub clients: Option<ClientCertificates>,
}

impl Terms {
    fn ca(&self) -> Option<&Path> {
        self.clients.as_ref().map(|clients| clients.ca.as_path())
    }
}

/// TLS of one listener, which follows its files. It has ticket keys of its own, by which clients come back without a full
/// handshake: a session of one listener is worth nothing at another, and when the authority of clients changes, nothing
/// here either. So nobody comes back by a session that was made on other terms (CVE-2025-23419).
#[derive(Debug)]
pub struct LiveServer {
    certificates: Arc<LiveCertificates>,
    terms: Terms,
    current: ArcSwap<ServerConfig>,
    watch: Watch,
}

impl LiveServer {
    /// Loads the pairs, and the authority of clients where the terms have one.
    ///
    /// # Errors
    /// Everything that is wrong with any of the files.
    pub fn load(pairs: Vec<Pair>, terms: Terms) -> Result<LiveServer, Vec<CertError>> {
        let certificates = Arc::new(LiveCertificates::load(pairs)?);
        let watch = Watch::new(terms.ca().map(Path::to_owned).into_iter().collect());
        let current = config(certificates.clone(), &terms).map_err(|error| vec![error])?;
        Ok(LiveServer {
            certificates,
            terms,
            current: ArcSwap::new(current),
            watch,
        })
    }

    /// Whether it was made of these files, on these terms.
    pub fn is_of(&self, pairs: &[Pair], terms: &Terms) -> bool {
        self.certificates.pairs() == pairs && self.terms == *terms
    }

    /// The settings for a connection that begins now.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Reads all files again and puts them into service, or says why not and keeps the old ones. Sessions go on being
    /// good where the authority of clients is the same file as before.
    ///
    /// # Errors
    /// Everything that is wrong with any of the files.
    pub fn reload(&self) -> Result<(), Vec<CertError>> {
        self.certificates.reload()?;
        match self.watch.changed() {
            true => self.watch.reload(|| self.read()),
            false => Ok(()),
        }
    }

    /// For a watcher that comes by every second: reloads what changed. Tells swaps, and faults when they are new ones.
    pub fn poll(&self) -> impl Iterator<Item = Result<(), Vec<CertError>>> {
        let clients = self.watch.poll(|| self.read());
        self.certificates.poll().into_iter().chain(clients)
    }

    /// The first name of each certificate in service and when it ends.
    pub fn expiry(&self) -> Vec<(String, SystemTime)> {
        self.certificates.expiry()
    }

    fn read(&self) -> Result<(), Vec<CertError>> {
        let fresh = config(self.certificates.clone(), &self.terms).map_err(|error| vec![error])?;
        self.current.store(fresh);
        Ok(())
    }
}

fn config(
    resolver: Arc<dyn ResolvesServerCert>,
    terms: &Terms,
) -> Result<Arc<ServerConfig>, CertError> {
    provider::install();
    let builder = ServerConfig::builder_with_protocol_versions(versions(terms.profile));
    let builder = match &terms.clients {
        Some(clients) => builder.with_client_cert_verifier(verifier(clients)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A phone without AES instructions knows better than we do which cipher is cheap for it.
    config.ignore_client_order = false;
    // Early data can be replayed, and what is replayed may be a push (RFC 8446 §8).
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    match provider::tickets() {
        Ok(tickets) => config.ticketer = tickets,
        Err(error) => {
            tracing::warn!(%error, "no session tickets; every client pays for full handshakes");
        }
    }
    Ok(Arc::new(config))
}

/// Mozilla's profiles of these names. The cipher suites of TLS 1.2 that rustls has are those of the intermediate one: ECDHE
/// with AEAD.
fn versions(profile: TlsProfile) -> &'static [&'static SupportedProtocolVersion] {
    const MODERN: &[&SupportedProtocolVersion] = &[&version::TLS13];
    match profile {
        TlsProfile::Intermediate => rustls::ALL_VERSIONS,
        TlsProfile::Modern => MODERN,
    }
}

fn verifier(clients: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, CertError> {
    let roots = roots(Some(&clients.ca))?;
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider::current());
    let builder = match clients.auth {
        ClientAuth::Required => builder,
        ClientAuth::Offered => builder.allow_unauthenticated(),
    };
    builder
        .build()
        .map_err(|error| CertError::new(&clients.ca, Fault::BadCertificate(error.to_string())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tls::certs::tests::write;
    use crate::tls::client;
    use rustls::pki_types::ServerName;
    use rustls::{
        ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, ServerConnection,
    };
    use std::io::Write;

    struct Met {
        client: ClientConnection,
        server: ServerConnection,
    }

    fn meet(
        server: &Arc<ServerConfig>,
        client: &Arc<ClientConfig>,
        name: &'static str,
    ) -> Result<Met, rustls::Error> {
        let name = ServerName::try_from(name).unwrap();
        let mut met = Met {
            client: ClientConnection::new(client.clone(), name)?,
            server: ServerConnection::new(server.clone())?,
        };
        let mut wire = Vec::new();
        for _ in 0..4 {
            wire.clear();
            while met.client.wants_write() {
                met.client.write_tls(&mut wire).unwrap();
            }
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                met.server.read_tls(&mut rest).unwrap();
                met.server.process_new_packets()?;
            }
            wire.clear();
            while met.server.wants_write() {
                met.server.write_tls(&mut wire).unwrap();
            }
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                met.client.read_tls(&mut rest).unwrap();
                met.client.process_new_packets()?;
            }
        }
        Ok(met)
    }

    fn both(dir: &tempfile::TempDir) -> (Arc<ServerConfig>, ClientConfig) {
        let pair = write(dir.path(), "a", &["registry.example.com"], |_| {});
        let client = client::config(Some(&pair.chain), None).unwrap();
        let live = LiveServer::load(vec![pair], Terms::default()).unwrap();
        (live.current(), (*client).clone())
    }

    #[test]
    fn a_client_gets_tls_1_3_and_the_protocol_it_prefers() {
        let dir = tempfile::tempdir().unwrap();
        let (server, mut client) = both(&dir);
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut met = meet(&server, &Arc::new(client), "registry.example.com").unwrap();
        assert_eq!(
            met.server.protocol_version(),
            Some(ProtocolVersion::TLSv1_3)
        );
        assert_eq!(met.client.alpn_protocol(), Some(b"h2".as_slice()));
        assert!(met.client.early_data().is_none());
        met.client.writer().write_all(b"GET").unwrap();
    }

    #[test]
    fn a_client_that_comes_back_resumes_its_session() {
        let dir = tempfile::tempdir().unwrap();
        let (server, client) = both(&dir);
        let client = Arc::new(client);
        let first = meet(&server, &client, "registry.example.com").unwrap();
        let second = meet(&server, &client, "registry.example.com").unwrap();
        assert_eq!(first.server.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(second.server.handshake_kind(), Some(HandshakeKind::Resumed));
    }

    #[test]
    fn a_client_of_tls_1_2_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let (server, _) = both(&dir);
        let roots = client::roots(Some(&dir.path().join("a.pem"))).unwrap();
        let old = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS12])
            .with_root_certificates(roots)
            .with_no_client_auth();
        let met = meet(&server, &Arc::new(old), "registry.example.com").unwrap();
        assert_eq!(
            met.client.protocol_version(),
            Some(ProtocolVersion::TLSv1_2)
        );
    }
}
