//! Requests that a node sends itself, from its own address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// Whoever has not accepted a connection by then is down.
const CONNECT: Duration = Duration::from_secs(2);
/// The same for a whole answer; content in tests is small.
const ANSWER: Duration = Duration::from_secs(20);

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.get(name).and_then(|v| v.to_str().ok());
        found.unwrap_or_default()
    }

    /// The answer, if its status is one of these.
    pub fn among(self, good: &[u16], what: &str) -> Result<Self, String> {
        if good.contains(&self.status.as_u16()) {
            return Ok(self);
        }
        let said = String::from_utf8_lossy(&self.body).into_owned();
        Err(format!("{what}: http status {}: {said}", self.status))
    }
}

/// Whose address requests come from, and what they call themselves.
#[derive(Clone, Debug)]
pub struct Dialer {
    pub from: IpAddr,
    pub agent: String,
}

impl Dialer {
    /// Sends one request to `url` on a connection of its own.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        lines: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let said = format!("{method} {url}");
        let work = self.exchange(method, url, lines, body.into());
        match tokio::time::timeout(ANSWER, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("{said}: {error}")),
            Err(_) => Err(format!("{said}: context deadline exceeded")),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        lines: &[(&str, &str)],
        body: Bytes,
    ) -> io::Result<Answer> {
        let uri: Uri = url.parse().map_err(io::Error::other)?;
        let authority = uri.authority().ok_or(io::ErrorKind::InvalidInput)?.clone();
        let secure = uri.scheme_str() == Some("https");
        let port = authority
            .port_u16()
            .unwrap_or(if secure { 443 } else { 80 });
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, authority.as_str())
            .header(header::USER_AGENT, self.agent.as_str());
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(io::Error::other)?;
        let stream = tokio::time::timeout(CONNECT, self.connect(authority.host(), port)).await??;
        if !secure {
            return converse(TokioIo::new(stream), request).await;
        }
        let name = ServerName::try_from(authority.host().to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(careless()))
            .connect(name, stream)
            .await?;
        converse(TokioIo::new(stream), request).await
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in tokio::net::lookup_host((host, port)).await? {
            if address.is_ipv4() != self.from.is_ipv4() {
                continue;
            }
            let socket = if address.is_ipv4() {
                TcpSocket::new_v4()?
            } else {
                TcpSocket::new_v6()?
            };
            socket.bind(SocketAddr::new(self.from, 0))?;
            match socket.connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn converse(
    io: impl Read + Write + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> io::Result<Answer> {
    let (mut sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await;
    let (parts, body) = response.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}

/// TLS as an operator sets it up who ticked "do not verify".
fn careless() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let known = provider.signature_verification_algorithms;
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the versions of the provider")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone { known }))
        .with_no_client_auth()
}

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
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.known.supported_schemes()
    }
}
