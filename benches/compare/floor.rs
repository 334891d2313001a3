//! The floor: what the same bytes cost when nobody looks at them. TLS from the client, plain TCP to the origin, and
//! nothing but copying in between. A process of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::papers::Papers;

/// Read at once: of 64 KiB, 256 KiB and 1 MiB this cost the least.
const BUFFER: usize = 1024 * 1024;

/// Relays what comes to `listen`, until stdin ends.
pub async fn relay(listen: SocketAddr, origin: SocketAddr, papers: &Papers) -> Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(papers.server()?));
    let listener = TcpListener::bind(listen).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { pass(stream, origin, &acceptor).await });
        }
    });
    Ok(())
}

/// One side speaks at a time, as in HTTP/1.1.
async fn pass(
    stream: TcpStream,
    origin: SocketAddr,
    acceptor: &TlsAcceptor,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut client = acceptor.accept(stream).await?;
    // One system call writes all that was read, instead of 64 KiB.
    client.get_mut().1.set_buffer_limit(None);
    let mut origin = TcpStream::connect(origin).await?;
    origin.set_nodelay(true)?;
    let (mut up, mut down) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read? {
                0 => return Ok(()),
                read => origin.write_all(&up[..read]).await?,
            },
            read = origin.read(&mut down) => match read? {
                0 => return Ok(()),
                read => {
                    client.write_all(&down[..read]).await?;
                    client.flush().await?;
                }
            },
        }
    }
}
