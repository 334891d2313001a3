//! One address of a node: how to reach it, and its pool of connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::pool::Pool;
use crate::config::Url;

/// Why no connection came about. Nothing of a request was sent, so any request may go to another node.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name does not resolve.
    #[error("cannot resolve {0}: {1}")]
    Resolve(String, #[source] io::Error),
    /// The node refused, or no route leads there.
    #[error("cannot connect to {0}: {1}")]
    Refused(String, #[source] io::Error),
    /// Nobody answered in time.
    #[error("{0} did not accept a connection within {1:?}")]
    TimedOut(String, Duration),
    /// TCP came about, TLS did not.
    #[error("TLS to {0} failed: {1}")]
    Tls(String, #[source] io::Error),
}

/// One address of a node.
pub struct Endpoint {
    url: Url,
    authority: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Idle connections to it.
    pub pool: Pool,
}

impl Endpoint {
    /// An endpoint at `url`; `tls` is used where the URL says https.
    ///
    /// # Errors
    /// The host of an https URL that is no valid server name.
    pub fn new(url: Url, tls: Arc<ClientConfig>) -> Result<Self, String> {
        let tls = if url.https {
            let name = ServerName::try_from(url.host.trim_matches(['[', ']']).to_owned())
                .map_err(|_| format!("`{}` cannot be the name in a certificate", url.host))?;
            Some((TlsConnector::from(tls), name))
        } else {
            None
        };
        let authority = HeaderValue::from_str(&url.authority())
            .map_err(|_| format!("`{url}` is no usable address"))?;
        Ok(Endpoint {
            url,
            authority,
            tls,
            pool: Pool::default(),
        })
    }

    /// The address as the operator wrote it.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// `host[:port]` of this endpoint, for a Host header where we have no better one.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Opens a connection of its own; `limit` bounds name lookup, TCP and TLS together.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self, limit: Duration) -> Result<Connection, ConnectError> {
        match tokio::time::timeout(limit, self.open()).await {
            Ok(done) => done,
            Err(_) => Err(ConnectError::TimedOut(self.url.authority(), limit)),
        }
    }

    async fn open(&self) -> Result<Connection, ConnectError> {
        let stream = self.dial().await?;
        match &self.tls {
            None => handshake(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                handshake(stream.map_err(|error| ConnectError::Tls(self.url.authority(), error))?)
                    .await
            }
        }
        .map_err(|error| ConnectError::Refused(self.url.authority(), io::Error::other(error)))
    }

    /// Tries every address that the name stands for, in the resolver's order.
    async fn dial(&self) -> Result<TcpStream, ConnectError> {
        let host = self.url.host.trim_matches(['[', ']']);
        let addresses: Vec<SocketAddr> = match host.parse() {
            Ok(ip) => vec![SocketAddr::new(ip, self.url.port)],
            Err(_) => tokio::net::lookup_host((host, self.url.port))
                .await
                .map_err(|error| ConnectError::Resolve(host.to_owned(), error))?
                .collect(),
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    keep_alive(&stream);
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(ConnectError::Refused(self.url.authority(), last))
    }
}

/// A node that lost its power answers nothing, not even a reset: ask the kernel to find out within a minute.
fn keep_alive(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let probe = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(20))
        .with_interval(Duration::from_secs(10))
        .with_retries(4);
    let _ = socket.set_tcp_keepalive(&probe);
    let _ = socket.set_tcp_user_timeout(Some(Duration::from_secs(60)));
}

async fn handshake<S>(stream: S) -> hyper::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    Ok(Connection::new(sender, connection.with_upgrades()))
}
