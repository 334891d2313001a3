//! Adverts on the wire: IP protocol 112, to a multicast group or to named peers.

use super::link::Link;
use super::netlink::Capability;
use nix::sys::socket::sockopt::Ipv6RecvPacketInfo;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recv, recvmsg, setsockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// VRRP's number among the protocols of IP.
const VRRP: i32 = 112;
/// All VRRP routers of a link (RFC 9568, sections 5.1.1.2 and 5.1.2.2).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// What has passed a router arrives with less: proof that the sender is on this link.
const TTL: u32 = 255;
/// Internetwork control, so that adverts pass a congested switch (RFC 2474, section 4.2.2.2).
const PRECEDENCE: u32 = 0xc0;
/// More than an advert with 255 IPv6 addresses and an IPv4 header with all its options.
const LARGEST: usize = 8192;

/// To whom adverts go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everybody on the link who listens.
    Multicast,
    /// These, of the same family as the source.
    Peers(Vec<IpAddr>),
}

/// An advert as it came in, not yet looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// What follows the IP header.
    pub payload: Vec<u8>,
    /// Who claims to have sent it.
    pub source: IpAddr,
    /// The multicast group, or the address of ours it was sent to.
    pub destination: IpAddr,
    /// TTL or hop limit as it arrived.
    pub ttl: u8,
}

/// The raw sockets of one instance on one interface.
#[derive(Debug)]
pub struct Wire {
    /// A raw socket all the same: tokio has no other safe way to wait for a socket that is none of its own kinds.
    receiver: UdpSocket,
    sender: Socket,
    targets: Vec<SocketAddr>,
    ipv4: bool,
}

impl Wire {
    /// Opens the sockets on the interface; adverts come from `source`, an address on it, which chooses the family.
    /// Open it anew when the interface was made anew or lost that address. Within a tokio runtime only; needs
    /// `CAP_NET_RAW`.
    pub fn open(link: &Link, source: IpAddr, reach: &Reach) -> io::Result<Wire> {
        let name = &link.name;
        Self::try_open(link, source, reach).map_err(|error| {
            let what = format!("cannot open the VRRP sockets of {source} on {name}");
            Capability::NetRaw.explain(what, error)
        })
    }

    fn try_open(link: &Link, source: IpAddr, reach: &Reach) -> io::Result<Wire> {
        let receiver = raw(link, source)?;
        match (reach, source) {
            (Reach::Multicast, IpAddr::V4(_)) => receiver
                .join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(link.index))?,
            (Reach::Multicast, IpAddr::V6(_)) => {
                receiver.join_multicast_v6(&GROUP_V6, link.index)?;
            }
            // A socket with an address gets what is sent to that address only.
            (Reach::Peers(_), _) => receiver.bind(&on_link(source, link.index).into())?,
        }
        let sender = raw(link, source)?;
        // Everything that comes in is dropped: its queue would fill up for nothing.
        sender.attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
        sender.bind(&on_link(source, link.index).into())?;
        match source {
            IpAddr::V4(_) => {
                sender.set_multicast_ttl_v4(TTL)?;
                sender.set_ttl_v4(TTL)?;
                sender.set_multicast_loop_v4(false)?;
                sender.set_tos_v4(PRECEDENCE)?;
            }
            IpAddr::V6(_) => {
                sender.set_multicast_hops_v6(TTL)?;
                sender.set_unicast_hops_v6(TTL)?;
                sender.set_multicast_loop_v6(false)?;
                sender.set_tclass_v6(PRECEDENCE)?;
            }
        }
        let targets = match (reach, source) {
            (Reach::Multicast, IpAddr::V4(_)) => vec![IpAddr::V4(GROUP_V4)],
            (Reach::Multicast, IpAddr::V6(_)) => vec![IpAddr::V6(GROUP_V6)],
            (Reach::Peers(peers), _) => peers.clone(),
        };
        let targets = targets.into_iter().map(|ip| on_link(ip, link.index));
        Ok(Wire {
            receiver: UdpSocket::from_std(receiver.into())?,
            sender,
            targets: targets.collect(),
            ipv4: source.is_ipv4(),
        })
    }

    /// Sends an advert to the group or to every peer, without waiting; `payload` is what it is for a destination. The
    /// error is that of the last of them that could not be sent to; all were tried.
    pub fn send(&self, payload: impl Fn(IpAddr) -> Vec<u8>) -> io::Result<()> {
        let mut result = Ok(());
        for target in &self.targets {
            let bytes = payload(target.ip());
            if let Err(error) = self.sender.send_to(&bytes, &(*target).into()) {
                let what = format!("cannot send an advert to {}", target.ip());
                result = Err(Capability::NetRaw.explain(what, error));
            }
        }
        result
    }

    /// The next packet of protocol 112 on the interface, whatever its content. May be dropped and called again
    /// without losing one.
    pub async fn receive(&self) -> io::Result<Arrival> {
        let read = || {
            if self.ipv4 {
                receive_v4(&self.receiver)
            } else {
                receive_v6(&self.receiver)
            }
        };
        loop {
            match self.receiver.async_io(Interest::READABLE, read).await {
                Ok(Some(arrival)) => return Ok(arrival),
                // Not a whole packet.
                Ok(None) => {}
                Err(error) => {
                    return Err(Capability::NetRaw.explain("cannot receive adverts", error));
                }
            }
        }
    }
}

/// A raw socket on the interface that receives multicast of the groups that it joined itself only.
fn raw(link: &Link, source: IpAddr) -> io::Result<Socket> {
    let domain = match source {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(VRRP)))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(link.name.as_bytes()))?;
    match source {
        IpAddr::V4(_) => socket.set_multicast_all_v4(false)?,
        IpAddr::V6(_) => {
            socket.set_multicast_all_v6(false)?;
            socket.set_multicast_if_v6(link.index)?;
            socket.set_recv_hoplimit_v6(true)?;
            setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
        }
    }
    Ok(socket)
}

/// A link-local address means something together with its interface only.
fn on_link(ip: IpAddr, index: u32) -> SocketAddr {
    match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() || v6.is_multicast() => {
            SocketAddrV6::new(v6, 0, 0, index).into()
        }
        ip => SocketAddr::new(ip, 0),
    }
}

fn receive_v4(socket: &UdpSocket) -> io::Result<Option<Arrival>> {
    let mut buffer = vec![0; LARGEST];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    buffer.truncate(length);
    Ok(split(&buffer))
}

/// Raw sockets of IPv4 deliver the IP header too (RFC 791, section 3.1).
fn split(packet: &[u8]) -> Option<Arrival> {
    let (header, _) = packet.split_first_chunk::<20>()?;
    let [
        first,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        ttl,
        _,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ] = *header;
    let length = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || length < header.len() {
        return None;
    }
    Some(Arrival {
        payload: packet.get(length..)?.to_vec(),
        source: IpAddr::from([s0, s1, s2, s3]),
        destination: IpAddr::from([d0, d1, d2, d3]),
        ttl,
    })
}

/// Raw sockets of IPv6 deliver the payload; what was in the header comes beside it (RFC 3542, section 6).
fn receive_v6(socket: &UdpSocket) -> io::Result<Option<Arrival>> {
    let mut buffer = vec![0; LARGEST];
    let mut beside = nix::cmsg_space!(nix::libc::in6_pktinfo, nix::libc::c_int);
    let mut into = [IoSliceMut::new(&mut buffer)];
    let read = recvmsg::<SockaddrIn6>(
        socket.as_raw_fd(),
        &mut into,
        Some(&mut beside),
        MsgFlags::empty(),
    )?;
    let (mut destination, mut ttl) = (None, None);
    for message in read.cmsgs()? {
        match message {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                destination = Some(IpAddr::from(info.ipi6_addr.s6_addr));
            }
            ControlMessageOwned::Ipv6HopLimit(limit) => ttl = u8::try_from(limit).ok(),
            _ => {}
        }
    }
    let (source, length) = (read.address.map(|address| address.ip()), read.bytes);
    buffer.truncate(length);
    let whole = source.zip(destination).zip(ttl);
    Ok(whole.map(|((source, destination), ttl)| Arrival {
        payload: buffer,
        source: IpAddr::V6(source),
        destination,
        ttl,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// A header of `words` words with a TTL of 254, from 192.0.2.1 to 224.0.0.18, and `payload`.
    fn packet(words: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; usize::from(words) * 4];
        packet[0] = 0x40 | words;
        packet[8] = 254;
        packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
        packet[16..20].copy_from_slice(&[224, 0, 0, 18]);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn the_payload_follows_the_header_and_its_options() {
        for words in [5, 6, 15] {
            let arrival = split(&packet(words, b"advert")).unwrap();
            assert_eq!(arrival.payload, b"advert");
            assert_eq!(arrival.source.to_string(), "192.0.2.1");
            assert_eq!(arrival.destination, IpAddr::V4(GROUP_V4));
            assert_eq!(arrival.ttl, 254);
        }
    }

    #[test]
    fn what_is_no_ipv4_packet_is_nothing() {
        assert_eq!(split(&[]), None);
        assert_eq!(split(&packet(5, b"")[..19]), None);
        let mut short_header = packet(5, b"advert");
        short_header[0] = 0x44;
        assert_eq!(split(&short_header), None);
        let mut options_beyond_the_end = packet(5, b"advert");
        options_beyond_the_end[0] = 0x4f;
        assert_eq!(split(&options_beyond_the_end), None);
    }

    #[test]
    fn a_link_local_peer_is_one_of_that_interface() {
        let peer = on_link("fe80::1".parse().unwrap(), 7);
        assert_eq!(peer.to_string(), "[fe80::1%7]:0");
        let elsewhere = on_link("2001:db8::1".parse().unwrap(), 7);
        assert_eq!(elsewhere.to_string(), "[2001:db8::1]:0");
    }
}
