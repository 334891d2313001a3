//! Host names, addresses and networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::Wrong;

/// Reads a host without port: a name, an IPv4 address, or an IPv6 address in brackets.
///
/// Names come back in lower case, IPv6 addresses without brackets in their shortest form.
///
/// # Errors
///
/// What no client could send as a host: empty labels, strange characters, addresses out of range, wildcards.
pub fn parse(text: &str) -> Result<String, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("`{}` is not a host", text.escape_debug()),
            "write a host name or an address, without scheme and port",
        )
    };
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| wrong())?;
        return Ok(address.to_string());
    }
    let labels_fit = text.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    // RFC 3986 section 3.2.2: what looks like an IPv4 address must be one.
    let last = text.rsplit('.').next().unwrap_or_default();
    let looks_numeric = last.bytes().all(|b| b.is_ascii_digit());
    let fits =
        labels_fit && text.len() <= 253 && (!looks_numeric || text.parse::<Ipv4Addr>().is_ok());
    fits.then(|| text.to_ascii_lowercase()).ok_or_else(wrong)
}

/// Reads a network such as `10.0.0.0/8`; a single address is a network of its own.
///
/// # Errors
///
/// No network, or one whose address has bits behind the prefix: either the address or the length is a slip.
pub fn network(text: &str) -> Result<IpNet, Wrong> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text.parse().map_err(|_| {
        Wrong::new(
            format!("`{}` is not an IP network", text.escape_debug()),
            "write it like \"10.0.0.0/8\" or \"fd00::/8\"",
        )
    })?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(Wrong::new(
            format!("`{network}` has address bits behind its prefix"),
            format!("write \"{}\"", network.trunc()),
        ))
    }
}

/// Reads an address to listen on, with its port.
///
/// # Errors
///
/// Names, and addresses without a port.
pub fn socket(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
        let fix = match (port, text.parse::<IpAddr>()) {
            (Ok(port), _) => format!("write \"0.0.0.0:{port}\" or \"[::]:{port}\""),
            (_, Ok(address)) => format!(
                "write it with a port: \"{}\"",
                SocketAddr::new(address, 443)
            ),
            _ => "write an address and a port, like \"0.0.0.0:443\" or \"[::]:443\"".to_owned(),
        };
        Wrong::new(
            format!("`{}` is not a socket address", text.escape_debug()),
            fix,
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        assert_eq!(
            parse("Registry.Example.com").unwrap(),
            "registry.example.com"
        );
        assert_eq!(parse("harbor_core").unwrap(), "harbor_core");
        assert_eq!(parse("192.168.1.3").unwrap(), "192.168.1.3");
        assert_eq!(parse("[2001:DB8::0:1]").unwrap(), "2001:db8::1");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "*.example.com",
            "-a",
            "192.168.1.300",
            "1.2.3",
            "::1",
            "[::1",
            "a b",
            "ä.de",
            "a:80",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_may_be_a_single_address() {
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("fd00::/8").unwrap().to_string(), "fd00::/8");
    }

    #[test]
    fn a_network_with_bits_behind_its_prefix_is_told_the_right_one() {
        let wrong = network("10.1.2.3/8").unwrap_err();
        assert_eq!(wrong.fix, "write \"10.0.0.0/8\"");
    }

    #[test]
    fn a_lone_port_is_told_how_to_be_an_address() {
        assert!(socket(":443").unwrap_err().fix.contains("0.0.0.0:443"));
        assert!(socket("10.0.0.1").unwrap_err().fix.contains("10.0.0.1:443"));
        assert!(socket("localhost:443").is_err());
        assert_eq!(socket("[::]:443").unwrap().port(), 443);
    }
}
