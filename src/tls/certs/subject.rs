//! What a certificate says about itself.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::extensions::GeneralName;

/// For whom and for how long a certificate is.
#[derive(Debug)]
pub struct Subject {
    /// DNS names in lower case, as they stand in the certificate; the common name when there is no other.
    pub dns: Vec<String>,
    /// Addresses as text.
    pub ips: Vec<String>,
    /// Valid from then on.
    pub begins: SystemTime,
    /// Valid until then.
    pub ends: SystemTime,
}

impl Subject {
    /// Reads a certificate in DER (RFC 5280 §4.1).
    pub fn read(der: &[u8]) -> Result<Subject, String> {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|error| error.to_string())?;
        let mut dns = Vec::new();
        let mut ips = Vec::new();
        let alternatives = certificate
            .subject_alternative_name()
            .map_err(|error| error.to_string())?;
        for name in alternatives
            .iter()
            .flat_map(|names| &names.value.general_names)
        {
            match name {
                GeneralName::DNSName(name) => dns.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => ips.extend(address(bytes)),
                _ => {}
            }
        }
        if dns.is_empty() && ips.is_empty() {
            let names = certificate.subject().iter_common_name();
            dns.extend(
                names
                    .filter_map(|name| name.as_str().ok())
                    .map(str::to_ascii_lowercase),
            );
        }
        let validity = certificate.validity();
        Ok(Subject {
            dns,
            ips,
            begins: time(validity.not_before.timestamp()),
            ends: time(validity.not_after.timestamp()),
        })
    }

    /// All names and addresses.
    pub fn names(&self) -> BTreeSet<&str> {
        self.dns
            .iter()
            .chain(&self.ips)
            .map(String::as_str)
            .collect()
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(address.to_string())
}

fn time(seconds: i64) -> SystemTime {
    // A certificate that begins before 1970 begins in 1970 as far as we care.
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
