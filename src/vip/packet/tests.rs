#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn dialect(version: u8, addresses: &[&str], auth: Auth) -> Dialect {
    Dialect {
        version,
        router_id: 51,
        addresses: addresses.iter().map(|text| ip(text)).collect(),
        auth,
        unicast: false,
    }
}

fn advert(seconds: u64) -> Advert {
    Advert {
        priority: 150,
        interval: Duration::from_secs(seconds),
        counter: 0,
    }
}

const A: &str = "192.0.2.1";
const GROUP: &str = "224.0.0.18";

#[test]
fn version_2_has_the_bytes_of_its_rfc() {
    let two = dialect(2, &["192.0.2.100"], Auth::password("d0cker"));
    let bytes = two.encode(advert(1), ip(A), ip(GROUP));
    assert_eq!(bytes[..6], [0x21, 51, 150, 1, 1, 1]);
    assert_eq!(bytes[8..12], [192, 0, 2, 100]);
    assert_eq!(&bytes[12..], b"d0cker\0\0");
    assert_eq!(two.decode(&bytes, ip(A), ip(GROUP), 255), Ok(advert(1)));
}

#[test]
fn version_3_counts_in_centiseconds() {
    let three = dialect(3, &["192.0.2.100"], Auth::None);
    let fast = Advert {
        interval: Duration::from_millis(100),
        ..advert(1)
    };
    let bytes = three.encode(fast, ip(A), ip(GROUP));
    assert_eq!(bytes[..6], [0x31, 51, 150, 1, 0, 10]);
    assert_eq!(bytes.len(), 12);
    assert_eq!(three.decode(&bytes, ip(A), ip(GROUP), 255), Ok(fast));
}

#[test]
fn what_is_not_ours_is_told_by_a_word() {
    let two = dialect(2, &["192.0.2.100"], Auth::password("d0cker"));
    let read = |other: &Dialect, ttl| {
        let bytes = other.encode(advert(1), ip(A), ip(GROUP));
        two.decode(&bytes, ip(A), ip(GROUP), ttl).unwrap_err()
    };
    assert_eq!(read(&two, 254), Refused::Ttl);
    assert_eq!(
        read(&dialect(3, &["192.0.2.100"], Auth::None), 255),
        Refused::Version
    );
    assert_eq!(
        read(&dialect(2, &["192.0.2.100"], Auth::password("docker")), 255),
        Refused::Auth
    );
    assert_eq!(
        read(&dialect(2, &["192.0.2.100"], Auth::None), 255),
        Refused::Auth
    );
    assert_eq!(
        read(&dialect(2, &["192.0.2.101"], Auth::password("d0cker")), 255),
        Refused::Addresses
    );
    let other = Dialect {
        router_id: 52,
        ..two.clone()
    };
    assert_eq!(read(&other, 255), Refused::RouterId);
    let mut bytes = two.encode(advert(1), ip(A), ip(GROUP));
    bytes[2] ^= 1;
    assert_eq!(
        two.decode(&bytes, ip(A), ip(GROUP), 255),
        Err(Refused::Checksum)
    );
    bytes.pop();
    assert_eq!(
        two.decode(&bytes, ip(A), ip(GROUP), 255),
        Err(Refused::Length)
    );
}

#[test]
fn a_peer_that_is_listed_may_be_behind_a_router() {
    let two = Dialect {
        unicast: true,
        ..dialect(2, &["192.0.2.100"], Auth::None)
    };
    let bytes = two.encode(advert(1), ip(A), ip("198.51.100.2"));
    assert!(two.decode(&bytes, ip(A), ip("198.51.100.2"), 61).is_ok());
}

#[test]
fn a_key_protects_every_byte_and_the_sender() {
    let keyed = |key: &str| dialect(3, &["192.0.2.100"], Auth::Key(key.as_bytes().to_vec()));
    let ours = keyed("a long enough secret");
    let advert = Advert {
        counter: 77,
        ..advert(1)
    };
    let bytes = ours.encode(advert, ip(A), ip(GROUP));
    assert_eq!(ours.decode(&bytes, ip(A), ip(GROUP), 255), Ok(advert));
    let theirs = keyed("another long secret!");
    assert_eq!(
        theirs.decode(&bytes, ip(A), ip(GROUP), 255),
        Err(Refused::Auth)
    );
    let plain = dialect(3, &["192.0.2.100"], Auth::None);
    assert_eq!(
        plain.decode(&bytes, ip(A), ip(GROUP), 255),
        Err(Refused::Auth)
    );
    let unsigned = plain.encode(advert, ip(A), ip(GROUP));
    assert_eq!(
        ours.decode(&unsigned, ip(A), ip(GROUP), 255),
        Err(Refused::Auth)
    );
}

proptest! {
    #[test]
    fn an_advert_reads_back(three: bool, v6: bool, priority: u8, centis in 1..0xfff_u64, seconds in 1..255_u64, count in 1..9_u8) {
        let version = if three || v6 { 3 } else { 2 };
        let addresses: Vec<String> = (1..=count)
            .map(|n| if v6 { format!("fe80::{n}") } else { format!("192.0.2.{n}") })
            .collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let (from, to) = if v6 { ("fe80::99", "ff02::12") } else { (A, GROUP) };
        let dialect = dialect(version, &addresses, Auth::None);
        let interval = if version == 3 { Duration::from_millis(centis * 10) } else { Duration::from_secs(seconds) };
        let advert = Advert { priority, interval, counter: 0 };
        let bytes = dialect.encode(advert, ip(from), ip(to));
        prop_assert_eq!(dialect.decode(&bytes, ip(from), ip(to), 255), Ok(advert));
    }

    #[test]
    fn a_flipped_bit_never_passes(three: bool, bit in 0..96_usize) {
        let dialect = dialect(if three { 3 } else { 2 }, &["192.0.2.100"], Auth::None);
        let mut bytes = dialect.encode(advert(1), ip(A), ip(GROUP));
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(dialect.decode(&bytes, ip(A), ip(GROUP), 255).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, three: bool, ttl: u8) {
        let dialect = dialect(if three { 3 } else { 2 }, &["192.0.2.100"], Auth::Key(vec![1; 16]));
        let _ = dialect.decode(&bytes, ip(A), ip(GROUP), ttl);
        let _ = dialect.decode(&bytes, ip("fe80::1"), ip("ff02::12"), ttl);
    }
}
