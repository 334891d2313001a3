//! The TLS settings of a listener.

use super::provider;
use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use std::sync::Arc;

/// Settings for a listener that takes its certificates from `resolver`. Keep them for the listener's life: they
/// hold the ticket keys by which clients come back without a full handshake.
pub fn config(resolver: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
    provider::install();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
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
    Arc::new(config)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tls::certs::{LiveCertificates, tests::write};
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
        let live = LiveCertificates::load(vec![pair]).unwrap();
        (config(Arc::new(live)), (*client).clone())
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
