//! A registry under load: its address, whom to trust, and new connections to it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::failure::{Failure, Kind};
use super::payload::Flow;
use crate::config::Url;
use crate::tls::{CertError, client};

/// Bytes of a stream that the other side may send ahead over HTTP/2: as much as docker allows.
const WINDOW: u32 = 4 << 20;

/// A registry, as all clients of a run see it.
#[derive(Clone)]
pub struct Target {
    /// Where it is.
    pub url: Url,
    /// How long nothing may move before it counts as a failure.
    pub patience: Duration,
    tls: Arc<ClientConfig>,
}

/// How certificates are judged and what is offered.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// The authority to trust instead of those of the machine.
    pub ca: Option<std::path::PathBuf>,
    /// Whether any certificate will do.
    pub insecure: bool,
    /// Whether HTTP/2 is not offered.
    pub http1: bool,
}

/// A connection on which one request or many can be sent.
pub enum Wire {
    /// HTTP/1.1: one request at a time.
    One(http1::SendRequest<Flow>),
    /// HTTP/2: many at once.
    Two(http2::SendRequest<Flow>),
}

impl Target {
    /// A registry at `url`.
    ///
    /// # Errors
    ///
    /// The file of the authority cannot be used.
    pub fn new(url: Url, patience: Duration, manner: &Manner) -> Result<Self, CertError> {
        let mut tls = settings(manner.ca.as_deref())?;
        if manner.insecure {
            let provider = CryptoProvider::get_default();
            let known = provider.map(|provider| provider.signature_verification_algorithms);
            if let Some(known) = known {
                let verifier = Arc::new(Anyone { known });
                tls.dangerous().set_certificate_verifier(verifier);
            }
        }
        if !manner.http1 {
            tls.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(Target {
            url,
            patience,
            tls: Arc::new(tls),
        })
    }

    /// A new connection to `origin`, which is this registry or whom it sends us to.
    pub async fn dial(&self, origin: &Url) -> Result<Wire, Failure> {
        let late = || Failure::new(Kind::Timeout, format!("no connection to {origin} in time"));
        tokio::time::timeout(self.patience, self.reach(origin))
            .await
            .map_err(|_| late())?
    }

    async fn reach(&self, origin: &Url) -> Result<Wire, Failure> {
        let failed = |kind, error: &dyn std::fmt::Display| {
            Failure::new(kind, format!("cannot connect to {origin}: {error}"))
        };
        let stream = TcpStream::connect((origin.host.as_str(), origin.port))
            .await
            .map_err(|error| failed(Kind::Connect, &error))?;
        stream
            .set_nodelay(true)
            .map_err(|error| failed(Kind::Connect, &error))?;
        if !origin.https {
            return shake(stream, false).await;
        }
        let name =
            ServerName::try_from(origin.host.clone()).map_err(|error| failed(Kind::Tls, &error))?;
        let stream = TlsConnector::from(self.tls.clone())
            .connect(name, stream)
            .await
            .map_err(|error| failed(Kind::Tls, &error))?;
        let two = stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
        shake(stream, two).await
    }
}

fn settings(ca: Option<&Path>) -> Result<ClientConfig, CertError> {
    Ok(Arc::unwrap_or_clone(client::config(ca, None)?))
}

async fn shake<S>(stream: S, two: bool) -> Result<Wire, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| Failure::new(Kind::Lost, error.to_string());
    let io = TokioIo::new(stream);
    if two {
        let (wire, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 4)
            .handshake(io)
            .await
            .map_err(broken)?;
        tokio::spawn(connection);
        return Ok(Wire::Two(wire));
    }
    let (wire, connection) = http1::handshake(io).await.map_err(broken)?;
    tokio::spawn(connection);
    Ok(Wire::One(wire))
}

/// Believes every certificate, for `--insecure`; signatures of the handshake are still checked.
#[derive(Debug)]
struct Anyone {
    known: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.known.supported_schemes()
    }
}
