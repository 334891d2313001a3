//! The PROXY protocol, versions 1 and 2: a balancer in front of us tells who the client is.
//!
//! Believed only from peers in configured networks, and from them it is required: whether a header is there must
//! not be the sender's choice. Source: HAProxy's `doc/proxy-protocol.txt`.

pub mod parse;

use ipnet::IpNet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Why a connection that had to speak the PROXY protocol is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It begins with something else.
    #[error("the connection does not begin with a PROXY protocol header")]
    Missing,
    /// The header breaks the rules.
    #[error("malformed PROXY protocol header: {0}")]
    Malformed(&'static str),
    /// It ended within the header.
    #[error("the connection ended within the PROXY protocol header")]
    Ended,
    /// It could not be read.
    #[error("the PROXY protocol header could not be read: {0}")]
    Io(#[from] io::Error),
}

/// Whether `peer` has to speak the PROXY protocol, given the networks that do.
pub fn is_expected(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|network| network.contains(&peer))
}

/// Reads the header and not a byte more, and tells the source of the connection that it announces: none when the
/// proxy speaks for itself (its own health checks) or of something without an IP address. Waits as long as the
/// peer takes: the caller sets the limit.
pub async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyError> {
    // On the heap, since it would otherwise stay in the connection's task for its whole life.
    let mut bytes = vec![0; parse::LONGEST];
    let mut taken = 0;
    loop {
        // Looked at first, since what follows the header belongs to TLS or HTTP.
        let rest = bytes.get_mut(taken..).unwrap_or_default();
        let seen = stream.peek(rest).await?;
        if seen == 0 {
            return Err(ProxyError::Ended);
        }
        let known = bytes.get(..taken + seen).unwrap_or_default();
        let header = parse::header(known)?;
        // As long as the header is not complete, all that was seen is part of it.
        let length = header.as_ref().map_or(taken + seen, |header| header.length);
        let part = bytes.get_mut(taken..length).unwrap_or_default();
        stream.read_exact(part).await?;
        taken = length;
        if let Some(header) = header {
            return Ok(header.source.map(super::accept::canonical));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        let client = client.unwrap();
        client.set_nodelay(true).unwrap();
        (client, server.unwrap().0)
    }

    #[tokio::test]
    async fn what_follows_the_header_stays_unread() {
        let (mut client, mut server) = pair().await;
        client
            .write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\nGET /v2/ HTTP/1.1\r\n")
            .await
            .unwrap();
        let source = read(&mut server).await.unwrap();
        assert_eq!(source, Some("192.0.2.1:1000".parse().unwrap()));
        let mut rest = [0; 19];
        server.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"GET /v2/ HTTP/1.1\r\n");
    }

    #[tokio::test]
    async fn a_header_that_comes_byte_by_byte_is_read() {
        let (mut client, mut server) = pair().await;
        let reading = tokio::spawn(async move { read(&mut server).await });
        for byte in b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n" {
            client.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let source = reading.await.unwrap().unwrap();
        assert_eq!(source, Some("[2001:db8::1]:1".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_peer_that_speaks_something_else_is_refused_at_its_first_byte() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"\x16").await.unwrap();
        let refused = read(&mut server).await.unwrap_err();
        assert!(matches!(refused, ProxyError::Missing), "{refused}");
    }

    #[tokio::test]
    async fn an_end_within_the_header_is_an_error() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"PROXY TCP4 ").await.unwrap();
        drop(client);
        let refused = read(&mut server).await.unwrap_err();
        assert!(matches!(refused, ProxyError::Ended), "{refused}");
    }

    #[test]
    fn only_peers_in_the_networks_have_to_speak_it() {
        let networks = ["10.0.0.0/8".parse().unwrap()];
        assert!(is_expected(&networks, "10.1.2.3".parse().unwrap()));
        assert!(is_expected(&networks, "::ffff:10.1.2.3".parse().unwrap()));
        assert!(!is_expected(&networks, "192.0.2.1".parse().unwrap()));
    }
}
