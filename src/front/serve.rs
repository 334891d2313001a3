//! One client connection: PROXY header, TLS, then HTTP until it ends or the door drains.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::Door;
use super::policy::Policy;
use super::stack::{self, Session};
use crate::net::proxy_protocol;
use crate::net::stream::Patient;
use crate::net::turns::{Heads, Turns};

/// Bytes a client may send on one HTTP/2 stream before we acknowledge: 40 MB/s at a round trip of 50 ms. What a slow
/// node leaves unread waits in memory, so more is not better.
const STREAM_WINDOW: u32 = 2 << 20;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Frames we read; larger ones than the default of 16 KiB spare a push some work.
const FRAME: u32 = 64 << 10;
/// A silent HTTP/2 peer is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_WITHIN: Duration = Duration::from_secs(20);

/// Serves one connection to its end.
pub async fn connection(
    mut stream: TcpStream,
    peer: SocketAddr,
    door: Arc<Door>,
    policy: Arc<Policy>,
) {
    let patience = policy.patience;
    let mut client = peer;
    if proxy_protocol::is_expected(&policy.proxy_protocol, peer.ip()) {
        match tokio::time::timeout(patience.handshake, proxy_protocol::read(&mut stream)).await {
            Ok(Ok(Some(source))) => client = source,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                return tracing::info!(%peer, %error, "refused: a listed peer must speak the PROXY protocol");
            }
            Err(_) => return tracing::info!(%peer, "refused: no PROXY header in time"),
        }
    }
    let session = |https| Session {
        door: door.clone(),
        policy: policy.clone(),
        peer: client,
        https,
        turns: Turns::new(),
    };
    let Some(tls) = policy.tls.clone() else {
        let stream = Patient::new(stream, policy.patience.reader);
        return http1(stream, session(false)).await;
    };
    let metrics = &door.sinks.metrics;
    let handshake = TlsAcceptor::from(tls).accept(stream);
    let stream = match tokio::time::timeout(patience.handshake, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            metrics.handshake("failed");
            return tracing::debug!(peer = %client, %error, "TLS handshake failed");
        }
        Err(_) => {
            metrics.handshake("timeout");
            return tracing::debug!(peer = %client, "TLS handshake took too long");
        }
    };
    metrics.handshake("done");
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = Patient::new(stream, policy.patience.reader);
    match h2 {
        true => http2(stream, session(true)).await,
        false => http1(stream, session(true)).await,
    }
}

async fn http1<S>(stream: S, session: Session)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (patience, limits) = (session.policy.patience, session.policy.limits);
    let stream = Heads::new(stream, session.turns.clone(), patience.head);
    let _parting = session.door.drain.parting();
    let session = &session;
    let service = service_fn(move |request| async move {
        Ok::<_, Infallible>(stack::answer(session, request).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // `Heads` does this, without counting the silence between two requests.
        .header_read_timeout(None)
        .max_headers(limits.count)
        .max_header_size(limits.bytes as usize)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        done = connection.as_mut() => return ended(done),
        () = time_to_close(session) => connection.as_mut().graceful_shutdown(),
    }
    ended(connection.await);
}

/// Returns when the connection should end after what is under way on it: the door drains, or nobody uses it.
async fn time_to_close(session: &Session) {
    tokio::select! {
        () = session.door.drain.started() => {}
        () = session.turns.idle(session.policy.patience.idle) => {}
    }
}

async fn http2<S>(stream: S, session: Session)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let _parting = session.door.drain.parting();
    let limits = session.policy.limits;
    let session = Arc::new(session);
    let watched = session.clone();
    let service = service_fn(move |request| {
        let session = session.clone();
        async move { Ok::<_, Infallible>(stack::answer(&session, request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.bytes.min(32 << 10))
        .max_local_error_reset_streams(64)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        done = connection.as_mut() => return ended(done),
        () = time_to_close(&watched) => connection.as_mut().graceful_shutdown(),
    }
    ended(connection.await);
}

/// Clients come and go; only who debugs wants to read of it.
fn ended(done: hyper::Result<()>) {
    if let Err(error) = done {
        tracing::debug!(%error, "client connection ended early");
    }
}
