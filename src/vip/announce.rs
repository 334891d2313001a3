//! Tells the neighbours which hardware address a shared address has now: gratuitous ARP and its IPv6 counterpart.

use super::netlink::Capability;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, bind};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

/// A packet socket on one interface.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
    interface: String,
    mac: [u8; 6],
}

impl Announcer {
    /// Opens it on the interface of that name, in the network namespace of this thread. Open it anew when the
    /// interface was made anew or got another hardware address. Needs `CAP_NET_RAW`.
    pub fn open(interface: &str) -> io::Result<Announcer> {
        let failed = |error| {
            Capability::NetRaw.explain(format!("cannot open a packet socket on {interface}"), error)
        };
        let link = link_address(interface).map_err(failed)?;
        let mac = link.addr().ok_or(io::ErrorKind::Unsupported);
        let mac = mac.map_err(|kind| failed(kind.into()))?;
        // Without a protocol it sends and never receives.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        bind(socket.as_raw_fd(), &link).map_err(|errno| failed(errno.into()))?;
        Ok(Announcer {
            socket,
            interface: interface.to_owned(),
            mac,
        })
    }

    /// Tells every neighbour on the link, once and at once, that `address` is here. Neighbours that know the address
    /// change their minds; the others learn it when they need it.
    pub fn announce(&self, address: IpAddr) -> io::Result<()> {
        let frame = match address {
            IpAddr::V4(ip) => gratuitous_arp(self.mac, ip),
            IpAddr::V6(ip) => unsolicited_advertisement(self.mac, ip),
        };
        match self.socket.send(&frame) {
            Ok(_) => Ok(()),
            Err(error) => Err(Capability::NetRaw.explain(
                format!("cannot announce {address} on {}", self.interface),
                error,
            )),
        }
    }
}

/// The kernel's own description of the interface: the only safe way to the address of a packet socket.
fn link_address(interface: &str) -> io::Result<LinkAddr> {
    getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such interface"))
}

const ETHERNET_IPV6: [u8; 2] = [0x86, 0xdd];
const ETHERNET_ARP: [u8; 2] = [0x08, 0x06];
const ICMPV6: u8 = 58;

/// An Ethernet frame with an ARP announcement: a request, from and for the address itself, to everybody (RFC 5227,
/// section 2.3). Some systems do not heed the other form, a reply.
fn gratuitous_arp(mac: [u8; 6], ip: Ipv4Addr) -> Vec<u8> {
    let everybody = [0xff; 6];
    let ip = ip.octets();
    // Ethernet and IPv4 with their lengths of address, then: a request.
    let kind = [0, 1, 0x08, 0, 6, 4, 0, 1];
    let head = [&everybody[..], &mac, &ETHERNET_ARP].concat();
    [&head[..], &kind, &mac, &ip, &[0; 6], &ip].concat()
}

/// An Ethernet frame with an unsolicited neighbour advertisement that overrides what is known (RFC 4861, sections
/// 4.4 and 7.2.6), to all nodes of the link.
fn unsolicited_advertisement(mac: [u8; 6], ip: Ipv6Addr) -> Vec<u8> {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets();
    let from_and_to = [ip.octets(), all_nodes].concat();
    // Override is the third bit of the flags; the option is the hardware address of the target.
    let flags = [0x20, 0, 0, 0];
    let body = [&flags[..], &ip.octets(), &[2, 1], &mac].concat();
    let length = [0, 32];
    let pseudo_header = [&from_and_to[..], &[0, 0], &length, &[0, 0, 0, ICMPV6]].concat();
    let sum = checksum(&[&pseudo_header[..], &[136, 0, 0, 0], &body].concat()).to_be_bytes();
    // The hop limit proves that no router passed it on.
    let header = [&[0x60, 0, 0, 0][..], &length, &[ICMPV6, 255], &from_and_to].concat();
    let head = [&[0x33, 0x33, 0, 0, 0, 1][..], &mac, &ETHERNET_IPV6].concat();
    [&head[..], &header, &[136, 0], &sum, &body].concat()
}

/// RFC 1071, of an even number of bytes.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .as_chunks::<2>()
        .0
        .iter()
        .map(|pair| u32::from(u16::from_be_bytes(*pair)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x0a];

    #[test]
    fn a_gratuitous_arp_asks_everybody_for_itself() {
        let frame = gratuitous_arp(MAC, Ipv4Addr::new(192, 0, 2, 9));
        let expected: &[&[u8]] = &[
            &[0xff; 6],
            &MAC,
            &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1],
            &MAC,
            &[192, 0, 2, 9],
            &[0; 6],
            &[192, 0, 2, 9],
        ];
        assert_eq!(frame, expected.concat());
    }

    #[test]
    fn an_unsolicited_advertisement_overrides_what_all_nodes_know() {
        let ip: Ipv6Addr = "2001:db8::9".parse().unwrap();
        let frame = unsolicited_advertisement(MAC, ip);
        let all: Ipv6Addr = "ff02::1".parse().unwrap();
        let expected: &[&[u8]] = &[
            &[0x33, 0x33, 0, 0, 0, 1],
            &MAC,
            &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255],
            &ip.octets(),
            &all.octets(),
            // By hand, the words of pseudo header and message add up to 0x06ee.
            &[136, 0, 0xf9, 0x11, 0x20, 0, 0, 0],
            &ip.octets(),
            &[2, 1],
            &MAC,
        ];
        assert_eq!(frame, expected.concat());
    }

    #[test]
    fn the_checksum_is_that_of_the_rfcs_example() {
        assert_eq!(
            checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = Announcer::open("nosuchlink").unwrap_err();
        assert!(error.to_string().contains("nosuchlink"), "{error}");
    }
}
