//! An advert as bytes: VRRP version 2 (RFC 3768 §5.1) and version 3 (RFC 9568 §5.1).

use std::net::IpAddr;
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::announce::checksum;

/// The one type of packet that VRRP has (RFC 9568 §5.2.2).
const ADVERTISEMENT: u8 = 1;
/// Before the addresses.
const HEAD: usize = 8;
/// Behind the addresses of version 2, used or not (RFC 3768 §5.3.10).
const AUTH: usize = 8;
/// The counter and the code of a keyed advert.
const COUNTER: usize = 8;
const CODE: usize = 16;
/// Sent to all routers of a link, an advert that comes with less has passed a router.
const TTL: u8 = 255;

/// What version 2 puts behind its addresses, and what a keyed advert of either version ends with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Nothing.
    #[default]
    None,
    /// A password in clear text, version 2 only.
    Password([u8; AUTH]),
    /// A code that only who knows the key can make, with a counter against replay. For Seawalls among themselves.
    Key(Vec<u8>),
}

impl Auth {
    /// The password as it stands on the wire: padded with zeros, and no longer than 8 bytes.
    pub fn password(text: &str) -> Self {
        let mut padded = [0; AUTH];
        for (place, byte) in padded.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        Auth::Password(padded)
    }
}

/// What a virtual router is on the wire: the same at all its doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// 2 or 3.
    pub version: u8,
    /// The router id.
    pub router_id: u8,
    /// Its addresses, of one family, in the order of the configuration.
    pub addresses: Vec<IpAddr>,
    /// How adverts are authenticated.
    pub auth: Auth,
    /// Whether adverts come from peers that are listed, and may have passed a router.
    pub unicast: bool,
}

/// What an advert says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// 0: the sender resigns; 255: it owns the address.
    pub priority: u8,
    /// From one advert of the sender to the next.
    pub interval: Duration,
    /// Of a keyed advert: milliseconds since 1970 at its sender.
    pub counter: u64,
}

/// Why an advert is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Shorter or longer than its own head says.
    Length,
    /// Another version than the configured one.
    Version,
    /// No advertisement.
    Type,
    /// Broken or made up.
    Checksum,
    /// It has passed a router.
    Ttl,
    /// Another virtual router's.
    RouterId,
    /// Other addresses than ours.
    Addresses,
    /// Another interval, where the protocol wants them equal (RFC 3768 §7.1).
    Interval,
    /// No password, a wrong one, or a wrong code.
    Auth,
    /// An old keyed advert, sent again.
    Replay,
    /// From nobody who is listed as a peer.
    Stranger,
}

impl Refused {
    /// The word for it in metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Refused::Length => "length",
            Refused::Version => "version",
            Refused::Type => "type",
            Refused::Checksum => "checksum",
            Refused::Ttl => "ttl",
            Refused::RouterId => "router_id",
            Refused::Addresses => "addresses",
            Refused::Interval => "interval",
            Refused::Auth => "auth",
            Refused::Replay => "replay",
            Refused::Stranger => "stranger",
        }
    }
}

impl Dialect {
    /// The bytes behind the IP header, from `source` to `destination`.
    pub fn encode(&self, advert: Advert, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let mut bytes = vec![
            self.version << 4 | ADVERTISEMENT,
            self.router_id,
            advert.priority,
            count,
        ];
        if self.version == 2 {
            let seconds = advert.interval.as_secs().clamp(1, 255);
            let kind = u8::from(matches!(self.auth, Auth::Password(_)));
            bytes.extend([kind, u8::try_from(seconds).unwrap_or(u8::MAX)]);
        } else {
            let centis = (advert.interval.as_millis() / 10).clamp(1, 0x0fff);
            bytes.extend(u16::try_from(centis).unwrap_or(0x0fff).to_be_bytes());
        }
        bytes.extend([0, 0]);
        for address in &self.addresses {
            match address {
                IpAddr::V4(v4) => bytes.extend(v4.octets()),
                IpAddr::V6(v6) => bytes.extend(v6.octets()),
            }
        }
        if self.version == 2 {
            match &self.auth {
                Auth::Password(password) => bytes.extend(password),
                Auth::None | Auth::Key(_) => bytes.extend([0; AUTH]),
            }
        }
        let sum = self.checksum(&bytes, source, destination).to_be_bytes();
        for (place, byte) in bytes.iter_mut().skip(6).zip(sum) {
            *place = byte;
        }
        if let Auth::Key(key) = &self.auth {
            bytes.extend(advert.counter.to_be_bytes());
            let code = code(key, &bytes, source);
            bytes.extend(code);
        }
        bytes
    }

    /// What came from `source` to `destination` with `ttl`, if it is an advert of this virtual router.
    ///
    /// # Errors
    /// Why it is ignored.
    pub fn decode(
        &self,
        bytes: &[u8],
        source: IpAddr,
        destination: IpAddr,
        ttl: u8,
    ) -> Result<Advert, Refused> {
        let Some((&[first, id, priority, count, a, b, _, _], _)) =
            bytes.split_first_chunk::<HEAD>()
        else {
            return Err(Refused::Length);
        };
        if first >> 4 != self.version {
            return Err(Refused::Version);
        }
        if first & 0x0f != ADVERTISEMENT {
            return Err(Refused::Type);
        }
        if id != self.router_id {
            return Err(Refused::RouterId);
        }
        if !self.unicast && ttl != TTL {
            return Err(Refused::Ttl);
        }
        let size = if source.is_ipv4() { 4 } else { 16 };
        let addresses = HEAD + usize::from(count) * size;
        let signed = addresses + if self.version == 2 { AUTH } else { 0 };
        let keyed = matches!(self.auth, Auth::Key(_));
        let whole = signed + if keyed { COUNTER + CODE } else { 0 };
        if bytes.len() != whole {
            // A peer that signs, or one that does not, is a matter of keys.
            let other = bytes.len() == signed || bytes.len() == signed + COUNTER + CODE;
            return Err(if other {
                Refused::Auth
            } else {
                Refused::Length
            });
        }
        let body = bytes.get(..signed).ok_or(Refused::Length)?;
        if self.checksum(body, source, destination) != 0 {
            return Err(Refused::Checksum);
        }
        let counter = match &self.auth {
            Auth::Key(key) => verified(key, bytes, source)?,
            Auth::Password(_) | Auth::None => 0,
        };
        if self.version == 2 {
            let data = body.get(addresses..).unwrap_or_default();
            let good = match &self.auth {
                Auth::Password(password) => a == 1 && same(data, password),
                Auth::None | Auth::Key(_) => a == 0,
            };
            if !good {
                return Err(Refused::Auth);
            }
        }
        let named = body.get(HEAD..addresses).unwrap_or_default();
        if !self.has_exactly(named, size) {
            return Err(Refused::Addresses);
        }
        let interval = if self.version == 2 {
            Duration::from_secs(u64::from(b))
        } else {
            Duration::from_millis(u64::from(u16::from_be_bytes([a & 0x0f, b])) * 10)
        };
        if interval.is_zero() {
            return Err(Refused::Interval);
        }
        Ok(Advert {
            priority,
            interval,
            counter,
        })
    }

    /// Whether the bytes name our addresses, in any order.
    fn has_exactly(&self, named: &[u8], size: usize) -> bool {
        let mut named: Vec<&[u8]> = named.chunks_exact(size).collect();
        let ours = self.addresses.iter().all(|address| {
            let is = |bytes: &[u8]| match address {
                IpAddr::V4(v4) => bytes == v4.octets(),
                IpAddr::V6(v6) => bytes == v6.octets(),
            };
            let found = named.iter().position(|bytes| is(bytes));
            found.map(|at| named.swap_remove(at)).is_some()
        });
        ours && named.is_empty()
    }

    /// The sum over `bytes`; 0 when they hold their own. Version 3 takes a pseudo-header in (RFC 9568 §5.2.8), version 2
    /// does not (RFC 3768 §5.3.8).
    fn checksum(&self, bytes: &[u8], source: IpAddr, destination: IpAddr) -> u16 {
        let mut pseudo = Vec::new();
        if self.version == 3 {
            for ip in [source, destination] {
                match ip {
                    IpAddr::V4(v4) => pseudo.extend(v4.octets()),
                    IpAddr::V6(v6) => pseudo.extend(v6.octets()),
                }
            }
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            if source.is_ipv4() {
                pseudo.extend([0, 112]);
                pseudo.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
            } else {
                pseudo.extend(length.to_be_bytes());
                pseudo.extend([0, 0, 0, 112]);
            }
        }
        pseudo.extend_from_slice(bytes);
        checksum(&pseudo)
    }
}

fn mac(key: &[u8], bytes: &[u8], source: IpAddr) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(source.to_string().as_bytes());
    mac.update(bytes);
    Some(mac)
}

fn code(key: &[u8], bytes: &[u8], source: IpAddr) -> [u8; CODE] {
    let mut code = [0; CODE];
    if let Some(mac) = mac(key, bytes, source) {
        for (place, byte) in code.iter_mut().zip(mac.finalize().into_bytes()) {
            *place = byte;
        }
    }
    code
}

/// The counter of an advert whose code is right.
fn verified(key: &[u8], bytes: &[u8], source: IpAddr) -> Result<u64, Refused> {
    let (rest, code) = bytes.split_last_chunk::<CODE>().ok_or(Refused::Length)?;
    let (_, counter) = rest.split_last_chunk::<COUNTER>().ok_or(Refused::Length)?;
    let mac = mac(key, rest, source).ok_or(Refused::Auth)?;
    mac.verify_truncated_left(code).map_err(|_| Refused::Auth)?;
    Ok(u64::from_be_bytes(*counter))
}

/// Compares in a time that does not depend on where two passwords differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (a, b)| d | (a ^ b)) == 0
}

#[cfg(test)]
mod tests;
