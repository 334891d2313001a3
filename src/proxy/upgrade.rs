//! Tunnels: bytes pass both ways only after the node said 101.

use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::finish::{Ended, Record};
use crate::upstream::lease::Lease;

/// Whether the node agreed to leave HTTP.
pub fn agreed(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}

/// Joins both sides once the client has read the 101. The lease and the record last as long as the tunnel.
pub fn join(client: OnUpgrade, node: OnUpgrade, lease: Lease, mut record: Box<Record>) {
    tokio::spawn(async move {
        let Ok((client, node)) = tokio::try_join!(client, node) else {
            return;
        };
        let (mut client, mut node) = (TokioIo::new(client), TokioIo::new(node));
        if let Ok((_, out)) = tokio::io::copy_bidirectional(&mut client, &mut node).await {
            record.bytes_out = out;
        }
        record.ended = Ended::Tunnel;
        drop((record, lease));
    });
}
