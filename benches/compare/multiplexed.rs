//! One connection of a client: HTTP/2 over TLS.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};

use crate::line::{Answer, Way, agreed};
use crate::request;

/// What Go grants a stream, and a connection at least.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// A connection that many requests share; cloning is cheap.
#[derive(Clone)]
pub struct Multiplexed {
    sender: SendRequest<Bytes>,
    pub tls: String,
}

impl Multiplexed {
    pub async fn open(way: &Way) -> Result<Multiplexed> {
        let stream = way.open().await?;
        let tls = agreed(stream.get_ref().1);
        ensure!(
            stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            "HTTP/2 was not agreed on"
        );
        let (sender, connection) = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(stream)
            .await?;
        tokio::spawn(connection);
        Ok(Multiplexed { sender, tls })
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        let sender = self.sender.clone().ready().await?;
        let mut sender = sender;
        let (answer, _) = sender.send_request(request::parts("GET", path, None)?, true)?;
        read(answer).await
    }

    pub async fn push(&self, path: &str, bytes: u64, fixed: bool, piece: &Bytes) -> Result<Answer> {
        let mut sender = self.sender.clone().ready().await?;
        let head = request::parts("PATCH", path, fixed.then_some(bytes))?;
        let (answer, mut body) = sender.send_request(head, false)?;
        let mut left = bytes;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            body.reserve_capacity(wanted);
            let granted = std::future::poll_fn(|context| body.poll_capacity(context));
            let granted = granted
                .await
                .context("the stream ended in the middle of a push")??;
            let here = granted.min(wanted);
            left -= here as u64;
            body.send_data(piece.slice(..here), left == 0)?;
        }
        read(answer).await
    }
}

async fn read(answer: h2::client::ResponseFuture) -> Result<Answer> {
    let (head, mut body) = answer.await?.into_parts();
    let mut bytes = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        bytes += data.len() as u64;
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(Answer {
        status: head.status.as_u16(),
        bytes,
        location: None,
    })
}
