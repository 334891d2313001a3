//! One address of a node: how to reach it, and its pool of connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::line::{Line, Lines};
use super::pool::Pool;
use crate::config::Url;
use crate::tls::client::LiveClient;

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
    tls: Option<(Arc<LiveClient>, ServerName<'static>)>,
    /// Idle connections to it.
    pub pool: Pool,
    /// Every open connection to it, whoever holds it.
    lines: Arc<Lines>,
}

impl Endpoint {
    /// An endpoint at `url`; `tls` is used where the URL says https.
    ///
    /// # Errors
    /// The host of an https URL that is no valid server name.
    pub fn new(url: Url, tls: Arc<LiveClient>) -> Result<Self, String> {
        let tls = if url.https {
            let name = ServerName::try_from(url.host.trim_matches(['[', ']']).to_owned())
                .map_err(|_| format!("`{}` cannot be the name in a certificate", url.host))?;
            Some((tls, name))
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
            lines: Arc::default(),
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

    /// How often [`sever`](Self::sever) was called. When that changed, a request that lost its connection lost it by our
    /// will and must not open another one here.
    pub fn cuts(&self) -> u64 {
        self.lines.cuts()
    }

    /// Ends every connection to it, as if the node had broken off. Says how many.
    pub fn sever(&self) -> usize {
        let severed = self.lines.sever();
        self.pool.clear();
        severed
    }

    async fn open(&self) -> Result<Connection, ConnectError> {
        let stream = self.dial().await?;
        match &self.tls {
            None => handshake(stream).await,
            Some((tls, name)) => {
                let connector = TlsConnector::from(tls.current());
                let stream = connector.connect(name.clone(), stream).await;
                handshake(stream.map_err(|error| ConnectError::Tls(self.url.authority(), error))?)
                    .await
            }
        }
        .map_err(|error| ConnectError::Refused(self.url.authority(), io::Error::other(error)))
    }

    /// Tries every address that the name stands for, in the resolver's order.
    async fn dial(&self) -> Result<Line, ConnectError> {
        let cuts = self.lines.cuts();
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
                    let refused = |error| ConnectError::Refused(self.url.authority(), error);
                    return self.lines.add(stream, cuts).map_err(refused);
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::poll_fn;

    use http::Request;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::outgoing::Outgoing;

    const LIMIT: Duration = Duration::from_secs(30);

    /// A node that says `answer` to whatever it hears, and an endpoint there.
    async fn node(scheme: &str, answer: &'static str) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut heard = [0; 4096];
                    while stream.read(&mut heard).await.is_ok_and(|count| count > 0) {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        let tls = Arc::new(LiveClient::load(None, None).unwrap());
        Endpoint::new(url.parse().unwrap(), tls).unwrap()
    }

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    fn request() -> Request<Outgoing> {
        Request::new(Outgoing::Empty)
    }

    async fn ask(connection: &mut Connection) -> Option<u16> {
        let answer = connection.answer(request(), LIMIT, || None).await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_hears_of_the_cut_at_once() {
        let node = node("http", "").await;
        let mut connection = node.connect(LIMIT).await.unwrap();
        let cut = async {
            tokio::task::yield_now().await;
            node.sever()
        };
        let waited = connection.answer(request(), LIMIT, || None);
        let (answer, severed) = tokio::join!(waited, cut);
        // Neither an answer nor the end of the time.
        assert!(answer.unwrap_err().is_some());
        assert_eq!(severed, 1);
    }

    #[tokio::test]
    async fn an_answer_without_a_length_does_not_pass_for_whole_when_it_is_cut() {
        let node = node("http", "HTTP/1.1 200 OK\r\n\r\nhalf").await;
        let mut connection = node.connect(LIMIT).await.unwrap();
        let answer = connection.answer(request(), LIMIT, || None).await;
        let mut body = answer.ok().unwrap().into_body();
        let first = poll_fn(|cx| connection.poll_frame(&mut body, cx)).await;
        assert_eq!(first.unwrap().unwrap().into_data().unwrap(), "half");
        let more = poll_fn(|cx| connection.poll_frame(&mut body, cx));
        let cut = async { node.sever() };
        let (more, _) = tokio::join!(more, cut);
        assert!(more.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_connection_that_moves_by_itself_is_cut_too() {
        let node = node("http", "").await;
        let mut sender = node.connect(LIMIT).await.unwrap().set_free();
        let cut = async {
            tokio::task::yield_now().await;
            node.sever()
        };
        let (answer, _) = tokio::join!(sender.send_request(request()), cut);
        assert!(answer.is_err());
    }

    #[tokio::test]
    async fn who_greets_a_silent_node_by_tls_hears_of_the_cut() {
        let node = node("https", "").await;
        let cut = async {
            while node.lines.len() == 0 {
                tokio::task::yield_now().await;
            }
            node.sever()
        };
        let (connected, _) = tokio::join!(node.connect(LIMIT), cut);
        assert!(matches!(connected, Err(ConnectError::Tls(..))));
    }

    #[tokio::test]
    async fn idle_connections_leave_the_pool_at_the_cut_and_new_ones_work() {
        let node = node("http", OK).await;
        for _ in 0..2 {
            let mut connection = node.connect(LIMIT).await.unwrap();
            assert_eq!(ask(&mut connection).await, Some(200));
            node.pool.give(connection);
        }
        assert_eq!((node.lines.len(), node.sever()), (2, 2));
        assert_eq!(node.lines.len(), 0);
        let now = std::time::Instant::now();
        assert!(node.pool.take(false, LIMIT, now).is_none());
        let mut connection = node.connect(LIMIT).await.unwrap();
        assert_eq!(ask(&mut connection).await, Some(200));
    }

    #[tokio::test]
    async fn a_connection_that_comes_back_after_the_cut_is_not_taken_again() {
        let node = node("http", OK).await;
        let mut connection = node.connect(LIMIT).await.unwrap();
        assert_eq!(ask(&mut connection).await, Some(200));
        node.sever();
        node.pool.give(connection);
        let now = std::time::Instant::now();
        assert!(node.pool.take(false, LIMIT, now).is_none());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_connections_that_were_closed() {
        let node = node("http", OK).await;
        for _ in 0..1000 {
            let mut connection = node.connect(LIMIT).await.unwrap();
            assert_eq!(ask(&mut connection).await, Some(200));
            assert_eq!(node.lines.len(), 1);
        }
        assert_eq!(node.lines.len(), 0);
    }
}
