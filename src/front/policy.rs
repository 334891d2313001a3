//! What one listener demands and believes; replaced whole by a reload, read once per connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::{Config, Listen};
use crate::net::stream;
use crate::tls::server::LiveServer;

/// The time of a client that is told to come again.
const BRIEF: Duration = Duration::from_secs(2);

/// What one listener demands and believes.
#[derive(Clone)]
pub struct Policy {
    /// TLS with certificates that are swapped live; `None` serves plain HTTP.
    pub tls: Option<Arc<LiveServer>>,
    /// Answer every request with a redirect to https, at this port if it is not 443.
    pub redirect: Option<Option<u16>>,
    /// Names that are served, in lower case; empty serves any.
    pub hosts: Vec<String>,
    /// Names that are served at other listeners alone, where clients are identified in another way than here.
    pub elsewhere: Vec<String>,
    /// Peers that speak the PROXY protocol.
    pub proxy_protocol: Vec<IpNet>,
    /// Peers whose `X-Forwarded-*` are believed.
    pub trusted_forwarders: Vec<IpNet>,
    /// How long clients may take.
    pub patience: ClientPatience,
    /// How much of a request's head is read.
    pub limits: HeadLimits,
}

/// How long clients may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientPatience {
    /// For the TLS handshake and the PROXY header.
    pub handshake: Duration,
    /// For the head of a request.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For reading an answer.
    pub reader: stream::Patience,
}

/// How much of a request's head is read, and how many streams a connection may have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HeadLimits {
    /// Bytes of all headers together.
    pub bytes: u32,
    /// Headers.
    pub count: usize,
    /// Streams of one HTTP/2 connection.
    pub streams: u32,
}

impl Policy {
    /// What the configuration demands of `listen`.
    pub fn new(config: &Config, listen: &Listen, tls: Option<Arc<LiveServer>>) -> Self {
        let (timeouts, limits) = (&config.timeouts, &config.limits);
        Policy {
            tls,
            redirect: listen
                .redirect_to_https
                .then(|| redirect_port(config, listen)),
            hosts: listen.hosts.clone(),
            elsewhere: elsewhere(config, listen),
            proxy_protocol: listen.proxy_protocol.clone(),
            trusted_forwarders: listen.trusted_forwarders.clone(),
            patience: ClientPatience {
                handshake: timeouts.handshake,
                head: timeouts.head,
                idle: timeouts.idle,
                reader: stream::Patience {
                    write_idle: timeouts.body_idle,
                    min_rate: timeouts.min_rate,
                },
            },
            limits: HeadLimits {
                bytes: u32::try_from(limits.header_bytes).unwrap_or(u32::MAX),
                count: limits.headers,
                streams: limits.h2_streams,
            },
        }
    }

    /// The same for a client that is told to come again: it has a moment to hear that.
    pub fn brief(&self) -> Self {
        let mut brief = self.clone();
        brief.patience.idle = brief.patience.idle.min(BRIEF);
        brief.patience.head = brief.patience.head.min(BRIEF);
        brief.patience.handshake = brief.patience.handshake.min(BRIEF);
        brief
    }

    /// Whether a peer's word about its clients is taken.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        contains(&self.trusted_forwarders, peer)
    }

    /// Whether requests for `host` (without port) are served here.
    pub fn serves(&self, host: &str) -> bool {
        // The configuration has IPv6 addresses without the brackets of a URL.
        let host = host.trim_matches(['[', ']']);
        let named = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(host));
        match self.hosts.is_empty() {
            true => !named(&self.elsewhere),
            false => named(&self.hosts),
        }
    }
}

/// The names that other listeners list, on other terms for client certificates than those of `listen`. One that serves
/// any name would otherwise be the way around them. A redirect only leads there.
fn elsewhere(config: &Config, listen: &Listen) -> Vec<String> {
    if !listen.hosts.is_empty() || listen.redirect_to_https {
        return Vec::new();
    }
    let others = config.listen.iter();
    others
        .filter(|other| !other.redirect_to_https && other.clients != listen.clients)
        .flat_map(|other| other.hosts.iter().cloned())
        .collect()
}

/// The port that a redirect names: what the operator said, else the public one.
fn redirect_port(config: &Config, listen: &Listen) -> Option<u16> {
    let public = config
        .cluster
        .public_url
        .as_ref()
        .filter(|url| url.https)
        .map(|url| url.port);
    listen.redirect_port.or(public)
}

fn contains(networks: &[IpNet], peer: IpAddr) -> bool {
    // An IPv4 client of a dual-stack socket must match the network that the operator wrote in IPv4.
    let peer = peer.to_canonical();
    networks.iter().any(|network| network.contains(&peer))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    /// A listener that demands nothing.
    pub fn policy() -> Policy {
        let second = Duration::from_secs(1);
        Policy {
            tls: None,
            redirect: None,
            hosts: Vec::new(),
            elsewhere: Vec::new(),
            proxy_protocol: Vec::new(),
            trusted_forwarders: Vec::new(),
            patience: ClientPatience {
                handshake: second,
                head: second,
                idle: second,
                reader: stream::Patience {
                    write_idle: second,
                    min_rate: 0,
                },
            },
            limits: HeadLimits {
                bytes: 65_536,
                count: 100,
                streams: 100,
            },
        }
    }

    #[test]
    fn an_ipv4_network_holds_clients_of_a_dual_stack_socket() {
        let policy = Policy {
            trusted_forwarders: vec!["10.0.0.0/8".parse().unwrap()],
            ..policy()
        };
        assert!(policy.trusts("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!policy.trusts("192.0.2.1".parse().unwrap()));
    }
}
