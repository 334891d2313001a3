//! The header in bytes.

use super::ProxyError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Version 1 in its longest form, CR and LF included.
const LONGEST_LINE: usize = 107;
/// What version 2 may announce behind its fixed part. The protocol allows 64 KiB; real headers stay below 600
/// bytes even with a client certificate's name.
const LONGEST_BODY: usize = 4096;
const FIXED: usize = 16;
/// The longest header of either version.
pub(super) const LONGEST: usize = FIXED + LONGEST_BODY;

const LINE: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A complete header.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// Its bytes.
    pub length: usize,
    /// Whom it speaks for; none when the proxy speaks for itself or of something without an IP address.
    pub source: Option<SocketAddr>,
}

/// The header that `bytes` begin with; none while they are too few to tell.
///
/// # Errors
/// They begin with something else, or with a header that breaks the rules.
pub fn header(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    if bytes.starts_with(SIGNATURE) {
        binary(bytes)
    } else if bytes.starts_with(LINE) {
        line(bytes)
    } else if SIGNATURE.starts_with(bytes) || LINE.starts_with(bytes) {
        Ok(None)
    } else {
        Err(ProxyError::Missing)
    }
}

fn line(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    let bounded = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = bounded.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < LONGEST_LINE {
            Ok(None)
        } else {
            Err(ProxyError::Malformed("the line is longer than 107 bytes"))
        };
    };
    let text = bounded
        .get(LINE.len()..end)
        .and_then(|text| text.strip_suffix(b"\r"))
        .ok_or(ProxyError::Malformed("the line does not end in CR LF"))?;
    let text = std::str::from_utf8(text).map_err(|_| ProxyError::Malformed("it is not ASCII"))?;
    Ok(Some(Header {
        length: end + 1,
        source: words(text)?,
    }))
}

fn words(text: &str) -> Result<Option<SocketAddr>, ProxyError> {
    let mut words = text.split(' ');
    let is_v4 = match words.next() {
        Some("TCP4") => true,
        Some("TCP6") => false,
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => return Ok(None),
        _ => return Err(ProxyError::Malformed("unknown protocol")),
    };
    let mut address = || {
        words
            .next()
            .and_then(|word| word.parse().ok())
            .filter(|ip: &IpAddr| ip.is_ipv4() == is_v4)
            .ok_or(ProxyError::Malformed("bad address"))
    };
    let (source, _) = (address()?, address()?);
    let mut port = || {
        words
            .next()
            // Rust would take a sign too.
            .filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|word| word.parse::<u16>().ok())
            .ok_or(ProxyError::Malformed("bad port"))
    };
    let (source_port, _) = (port()?, port()?);
    match words.next() {
        None => Ok(Some(SocketAddr::new(source, source_port))),
        Some(_) => Err(ProxyError::Malformed("more words than expected")),
    }
}

fn binary(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_BODY {
        return Err(ProxyError::Malformed("it announces more than 4096 bytes"));
    }
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyError::Malformed("unknown version or command")),
    };
    let Some(body) = bytes.get(FIXED..FIXED + length) else {
        return Ok(None);
    };
    let source = match family {
        _ if is_local => None,
        // Unspecified, and Unix sockets: nothing that we could call an address.
        0x00 | 0x31 | 0x32 => None,
        0x11 => Some(v4(body)?),
        0x21 => Some(v6(body)?),
        _ => return Err(ProxyError::Malformed("unknown address family or protocol")),
    };
    Ok(Some(Header {
        length: FIXED + length,
        source,
    }))
}

const SHORT: ProxyError = ProxyError::Malformed("too short for its addresses");

fn v4(body: &[u8]) -> Result<SocketAddr, ProxyError> {
    let (ip, rest) = body.split_first_chunk::<4>().ok_or(SHORT)?;
    let (_destination, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    Ok(SocketAddr::new(Ipv4Addr::from(*ip).into(), ports(rest)?))
}

fn v6(body: &[u8]) -> Result<SocketAddr, ProxyError> {
    let (ip, rest) = body.split_first_chunk::<16>().ok_or(SHORT)?;
    let (_destination, rest) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
    Ok(SocketAddr::new(Ipv6Addr::from(*ip).into(), ports(rest)?))
}

/// The source port of the two; further bytes are TLVs, which say nothing that we use.
fn ports(rest: &[u8]) -> Result<u16, ProxyError> {
    let ([high, low, _, _], _tlvs) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    Ok(u16::from_be_bytes([*high, *low]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16).to_be_bytes();
        [SIGNATURE, &[command, family], &length, body].concat()
    }

    fn source(bytes: &[u8]) -> Option<SocketAddr> {
        let header = header(bytes).unwrap().unwrap();
        assert_eq!(header.length, bytes.len());
        header.source
    }

    fn refused(bytes: &[u8]) -> bool {
        matches!(header(bytes), Err(ProxyError::Malformed(_)))
    }

    #[test]
    fn lines_of_version_1_tell_the_source() {
        for (line, told) in [
            (
                &b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"[..],
                Some("255.255.255.255:65535"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 1 443\r\n",
                Some("[2001:db8::1]:1"),
            ),
            (b"PROXY UNKNOWN\r\n", None),
            (
                b"PROXY UNKNOWN ffff:f...f:ffff whatever 65535 65535\r\n",
                None,
            ),
        ] {
            assert_eq!(source(line), told.map(|told| told.parse().unwrap()));
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY \r\n",
        ] {
            assert!(refused(line.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_at_107_bytes() {
        let mut line = b"PROXY UNKNOWN ".to_vec();
        line.resize(LONGEST_LINE - 1, b'x');
        assert_eq!(header(&line).unwrap(), None);
        line.push(b'x');
        assert!(refused(&line));
        line.extend(b"\r\n");
        assert!(refused(&line));
    }

    #[test]
    fn version_2_tells_the_source_and_skips_what_follows() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0x03, 0xe8, 0x01, 0xbb];
        let told = "192.0.2.1:1000".parse().unwrap();
        assert_eq!(source(&v2(0x21, 0x11, &v4)), Some(told));
        let tlv = [&v4[..], &[0x01, 0x00, 0x02, b'h', b'2']].concat();
        assert_eq!(source(&v2(0x21, 0x11, &tlv)), Some(told));
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 1;
        v6[33] = 9;
        let told = "[2001:db8::1]:9".parse().unwrap();
        assert_eq!(source(&v2(0x21, 0x21, &v6)), Some(told));
    }

    #[test]
    fn a_proxy_that_speaks_for_itself_tells_no_source() {
        assert_eq!(source(&v2(0x20, 0x00, &[])), None);
        assert_eq!(source(&v2(0x20, 0x11, &[7; 20])), None);
        assert_eq!(source(&v2(0x21, 0x00, &[])), None);
        assert_eq!(source(&v2(0x21, 0x31, &[0; 216])), None);
    }

    #[test]
    fn malformed_headers_of_version_2_are_refused() {
        assert!(refused(&v2(0x11, 0x11, &[0; 12])), "version");
        assert!(refused(&v2(0x22, 0x11, &[0; 12])), "command");
        assert!(refused(&v2(0x21, 0x12, &[0; 12])), "datagrams");
        assert!(refused(&v2(0x21, 0x11, &[0; 11])), "too short for IPv4");
        assert!(refused(&v2(0x21, 0x21, &[0; 35])), "too short for IPv6");
    }

    #[test]
    fn a_long_body_is_refused_before_it_is_read() {
        let fits = v2(0x20, 0, &[0; LONGEST_BODY]);
        assert_eq!(fits.len(), LONGEST);
        assert_eq!(source(&fits), None);
        let long = v2(0x20, 0, &[0; LONGEST_BODY + 1]);
        assert!(refused(&long[..FIXED]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0..3) {
            let begin = [&b""[..], LINE, SIGNATURE][version as usize];
            let _ = header(&[begin, &bytes].concat());
        }

        #[test]
        fn what_follows_changes_nothing_and_a_beginning_is_never_refused(
            ip: [u8; 4], port: u16, rest in proptest::collection::vec(any::<u8>(), 0..50), as_line: bool,
        ) {
            let from = SocketAddr::new(Ipv4Addr::from(ip).into(), port);
            let bytes = if as_line {
                format!("PROXY TCP4 {} 192.0.2.2 {port} 443\r\n", from.ip()).into_bytes()
            } else {
                let [high, low] = port.to_be_bytes();
                v2(0x21, 0x11, &[&ip[..], &[192, 0, 2, 2, high, low, 1, 187]].concat())
            };
            for end in 0..bytes.len() {
                prop_assert_eq!(header(&bytes[..end]).unwrap(), None);
            }
            let whole = Header { length: bytes.len(), source: Some(from) };
            prop_assert_eq!(header(&[bytes, rest].concat()).unwrap(), Some(whole));
        }
    }
}
