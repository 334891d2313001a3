//! One client connection: PROXY header, TLS, then HTTP until it ends or the door drains.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::Door;
use super::admit::Entry;
use super::judge::Habit;
use super::policy::{HeadLimits, Policy};
use super::stack::{self, Session};
use super::streams::{Answer, Streams};
use crate::message::forwarded::{Identity, Origin};
use crate::net::gather::Gather;
use crate::net::loan::Loan;
use crate::net::proxy_protocol;
use crate::net::stream::Patient;
use crate::net::turns::{Heads, Turns};
use crate::proxy::body::Reply;
use crate::tls::identity;

/// Bytes a client may send on one HTTP/2 stream before we acknowledge: 40 MB/s at a round trip of 50 ms. What a slow
/// node leaves unread waits in memory, so more is not better.
const STREAM_WINDOW: u32 = 2 << 20;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Frames we read; larger ones than the default of 16 KiB spare a push some work.
const FRAME: u32 = 64 << 10;
/// Bytes of a push that hyper reads at once, and of a pull that it keeps for a client that does not take them. Its own
/// choice of 400 KiB makes a thousand slow readers a burden, and hardly anything faster.
const BUFFER: usize = 128 << 10;
/// Bytes of an answer that hyper hands to h2 before the client has taken some.
const SEND: usize = 256 << 10;
/// Requests that a client took back before we looked at them, all in one read (CVE-2023-44487); h2's own choice.
const UNSEEN: usize = 20;
/// Streams that broke the rules, over the life of a connection (CVE-2025-8671).
const BROKEN: usize = 256;
/// An HTTP/1.1 connection that was idle for so long keeps its stream and nothing else.
const AWAKE: Duration = Duration::from_secs(1);
/// So long after it was told to make no further request, an HTTP/2 client has heard it, and what it had begun has arrived.
const HEARD: Duration = Duration::from_secs(1);
/// A silent HTTP/2 peer is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_WITHIN: Duration = Duration::from_secs(20);

/// A connection that speaks HTTP, until its end. On the heap, so that an idle one takes up no room for its beginnings.
type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves one connection to its end; on one that `is_extra`, all requests hear that there are too many.
pub async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    door: Arc<Door>,
    policy: Arc<Policy>,
    is_extra: bool,
) {
    if let Some(serving) = Box::pin(begin(stream, peer, door, policy, is_extra)).await {
        serving.await;
    }
}

async fn begin(
    mut stream: TcpStream,
    peer: SocketAddr,
    door: Arc<Door>,
    mut policy: Arc<Policy>,
    mut is_extra: bool,
) -> Option<Serving> {
    if is_extra {
        policy = Arc::new(policy.brief());
    }
    let mut client = peer;
    if proxy_protocol::is_expected(&policy.proxy_protocol, peer.ip()) {
        match tokio::time::timeout(policy.patience.handshake, proxy_protocol::read(&mut stream))
            .await
        {
            Ok(Ok(Some(source))) => client = source,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::info!(%peer, %error, "refused: a listed peer must speak the PROXY protocol");
                return None;
            }
            Err(_) => {
                tracing::info!(%peer, "refused: no PROXY header in time");
                return None;
            }
        }
    }
    let mut seat = None;
    // Behind a forwarder there are many clients.
    if !policy.trusts(client.ip()) {
        let admission = &door.state.read().admission;
        seat = match door.gate.connect(admission, client.ip()) {
            Entry::Open(seat) => seat,
            Entry::Extra(seat) => {
                if !is_extra {
                    policy = Arc::new(policy.brief());
                }
                is_extra = true;
                door.sinks.metrics.limited("client_connections");
                Some(seat)
            }
            Entry::Shut => {
                door.sinks.metrics.limited("client_connections");
                return None;
            }
        };
    }
    let session = |https, identity| {
        let mut origin = Origin::new(client.ip(), https, policy.trusts(client.ip()));
        origin.identity = identity;
        Arc::new(Session {
            seat,
            door: door.clone(),
            policy: policy.clone(),
            is_extra,
            origin,
            habit: Habit::default(),
            farewells: door.drain.farewells(),
            turns: Turns::new(),
        })
    };
    let Some(tls) = &policy.tls else {
        let stream = Patient::new(stream, policy.patience.reader);
        return Some(http1(stream, session(false, None)));
    };
    let metrics = &door.sinks.metrics;
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    let stream = match tokio::time::timeout(policy.patience.handshake, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            metrics.handshake("failed");
            tracing::debug!(peer = %client, %error, "TLS handshake failed");
            return None;
        }
        Err(_) => {
            metrics.handshake("timeout");
            tracing::debug!(peer = %client, "TLS handshake took too long");
            return None;
        }
    };
    let identity = match identity(stream.get_ref().1) {
        Ok(identity) => identity,
        Err(error) => {
            metrics.handshake("failed");
            tracing::info!(peer = %client, error, "refused: the client's certificate identifies nobody");
            return None;
        }
    };
    metrics.handshake("done");
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = Patient::new(stream, policy.patience.reader);
    Some(match h2 {
        true => http2(stream, session(true, identity)),
        false => http1(stream, session(true, identity)),
    })
}

/// Who the client proved to be, where it showed a certificate.
fn identity(tls: &ServerConnection) -> Result<Option<Identity>, String> {
    let shown = tls.peer_certificates().and_then(|chain| chain.first());
    shown
        .map(|certificate| identity::read(certificate, SystemTime::now()))
        .transpose()
}

fn http1<S>(stream: S, session: Arc<Session>) -> Serving
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let head = session.policy.patience.head;
    let stream = Loan::new(Heads::new(stream, session.turns.clone(), head));
    Box::pin(async move {
        loop {
            let connection = builder(session.policy.limits)
                .serve_connection(
                    TokioIo::new(stream.clone()),
                    service(&session, |reply| reply),
                )
                .with_upgrades();
            let goodbye = |connection: Pin<&mut http1::UpgradeableConnection<_, _>>| {
                connection.graceful_shutdown();
            };
            tokio::select! {
                biased;
                () = run(Box::pin(connection), goodbye, &session, session.dismissal()) => return,
                () = falls_asleep(&stream, &session.turns) => {}
            }
            if !wakes(&stream, &session).await {
                return;
            }
        }
    })
}

fn builder(limits: HeadLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // What is hyper's own limit costs less when it is not set.
    if limits.count != 100 {
        builder.max_headers(limits.count);
    }
    builder
        .timer(TokioTimer::new())
        // `Heads` does this, without counting the silence between two requests.
        .header_read_timeout(None)
        .max_header_size(limits.bytes as usize)
        .max_buf_size(BUFFER.max(limits.bytes as usize))
        .half_close(false);
    builder
}

/// Returns once nothing is under way and nothing is held that the next request would need.
async fn falls_asleep<S>(stream: &Loan<Heads<S>>, turns: &Turns) {
    loop {
        turns.idle(AWAKE).await;
        if stream.stream().is_at_rest() {
            return;
        }
        tokio::time::sleep(AWAKE).await;
    }
}

/// Waits for the next request. False when there will be none: the client or the door has ended the connection.
async fn wakes<S>(stream: &Loan<Heads<S>>, session: &Session) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        biased;
        first = poll_fn(|cx| stream.stream().poll_first(cx)) => return matches!(first, Ok(true)),
        () = session.dismissal() => {}
        () = session.turns.idle(session.policy.patience.idle) => {}
    }
    let _ = stream.clone().shutdown().await;
    false
}

fn http2<S>(stream: S, session: Arc<Session>) -> Serving
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = session.policy.limits;
    let patience = session.policy.patience;
    let stream = Gather::new(stream, session.turns.clone(), patience.head);
    let streams = Streams::new(patience.reader);
    let connection = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.bytes.min(32 << 10))
        .max_send_buf_size(SEND)
        .max_pending_accept_reset_streams(UNSEEN)
        .max_local_error_reset_streams(BROKEN)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WITHIN)
        .serve_connection(TokioIo::new(stream), service(&session, Answer::of));
    let goodbye = |connection: Pin<&mut http2::Connection<_, _, _>>| {
        connection.graceful_shutdown();
    };
    Box::pin(async move {
        let over = async {
            session.goodbye().await;
            if session.door.drain.is_gentle() {
                session.turns.leave();
                // For the round that says so.
                tokio::task::yield_now().await;
                tokio::time::sleep(HEARD).await;
            }
        };
        tokio::select! {
            biased;
            () = run(Box::pin(connection), goodbye, &session, over) => {}
            () = streams.stuck(&session.turns) => {
                tracing::debug!(peer = %session.origin.peer(), "the client takes nothing of its answers");
            }
        }
        if let Some(excess) = session.turns.excess() {
            tracing::info!(peer = %session.origin.peer(), "connection closed: {excess}");
        }
    })
}

/// An answer that is on its way. On the heap from the start: it is large, an idle connection needs none, and hyper moves
/// it about more often than it polls it.
type Answering<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

fn service<B: Body + 'static>(
    session: &Arc<Session>,
    body: fn(Reply) -> B,
) -> impl Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future = Answering<B>>
+ Send
+ use<B> {
    let session = session.clone();
    service_fn(move |request| -> Answering<B> {
        let session = session.clone();
        Box::pin(async move { Ok(stack::answer(&session, request).await.map(body)) })
    })
}

/// Serves until the connection ends; says goodbye when it is `over` or nobody uses it.
async fn run<C>(
    mut connection: Pin<Box<C>>,
    goodbye: fn(Pin<&mut C>),
    session: &Session,
    over: impl Future<Output = ()>,
) where
    C: Future<Output = hyper::Result<()>>,
{
    let round = |connection: &mut Pin<Box<C>>, cx: &mut Context<'_>| {
        session.turns.round();
        connection.as_mut().poll(cx)
    };
    tokio::select! {
        biased;
        done = poll_fn(|cx| round(&mut connection, cx)) => return ended(done),
        () = over => {}
        () = session.turns.idle(session.policy.patience.idle) => {}
    }
    goodbye(connection.as_mut());
    ended(poll_fn(|cx| round(&mut connection, cx)).await);
}

/// Clients come and go; only who debugs wants to read of it.
fn ended(done: hyper::Result<()>) {
    if let Err(error) = done {
        tracing::debug!(%error, "client connection ended early");
    }
}
