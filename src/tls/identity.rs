//! Who a client is by the certificate that it proved to have.

use http::HeaderValue;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::time::SystemTime;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{AttributeTypeAndValue, X509Name};

use super::certs::Subject;
use crate::message::forwarded::Identity;

/// A subject longer than this is shown to no node; bytes.
const LONGEST: usize = 1024;

/// Reads a certificate in DER that the handshake has verified. A session that is resumed is not verified again, so its
/// end is looked at here.
///
/// # Errors
/// Why it identifies nobody, in words.
pub fn read(der: &[u8], now: SystemTime) -> Result<Identity, String> {
    if now > Subject::read(der)?.ends {
        return Err("the certificate has expired since".to_owned());
    }
    let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|e| e.to_string())?;
    let subject = distinguished(certificate.subject());
    if subject.len() > LONGEST {
        return Err(format!("its subject is longer than {LONGEST} bytes"));
    }
    let value = |text: &str| HeaderValue::from_str(text).map_err(|e| e.to_string());
    Ok(Identity {
        subject: value(&subject)?,
        fingerprint: value(&hex(&Sha256::digest(der)))?,
    })
}

/// A name as RFC 4514 writes it: the last part first, in printable ASCII only.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type();
    let kind = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
    match attribute.as_str() {
        Ok(text) => format!("{kind}={}", escape(text)),
        // Not as the RFC has it, with the type of the string before it; no authority uses such strings any more.
        Err(_) => format!("{kind}=#{}", hex(attribute.as_slice())),
    }
}

/// So that nobody's common name can look like two parts, or like a line of its own (RFC 4514 §2.4).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let outer = at == 0 || at == last;
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\' => {
                escaped.push('\\');
                escaped.push(char::from(byte));
            }
            b'#' if at == 0 => escaped.push_str("\\#"),
            b' ' if outer => escaped.push_str("\\ "),
            b' '..=b'~' => escaped.push(char::from(byte)),
            _ => drop(write!(escaped, "\\{byte:02X}")),
        }
    }
    escaped
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::tls::certs::tests::{DAY, write};
    use crate::tls::pem::certificates;
    use rcgen::{DistinguishedName, DnType};

    fn identity(parts: &[(DnType, &str)], now: SystemTime) -> Result<Identity, String> {
        let dir = tempfile::tempdir().unwrap();
        let pair = write(dir.path(), "client", &[], |params| {
            params.distinguished_name = DistinguishedName::new();
            for (kind, text) in parts {
                params.distinguished_name.push(kind.clone(), *text);
            }
            params.not_after = (SystemTime::now() + 9 * DAY).into();
        });
        read(&certificates(&pair.chain).unwrap()[0], now)
    }

    fn subject(parts: &[(DnType, &str)]) -> String {
        let identity = identity(parts, SystemTime::now()).unwrap();
        identity.subject.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_last_part_of_a_name_comes_first() {
        let name = [
            (DnType::OrganizationName, "Example"),
            (DnType::CommonName, "ci runner"),
        ];
        assert_eq!(subject(&name), "CN=ci runner,O=Example");
    }

    #[test]
    fn a_name_cannot_look_like_another_one() {
        let named = |text| subject(&[(DnType::CommonName, text)]);
        assert_eq!(named("a,O=Admins"), "CN=a\\,O\\=Admins");
        assert_eq!(named("a\r\nX: y"), "CN=a\\0D\\0AX: y");
        assert_eq!(named(" #\\ "), "CN=\\ #\\\\\\ ");
        assert_eq!(named("ä"), "CN=\\C3\\A4");
    }

    #[test]
    fn a_certificate_that_ended_identifies_nobody() {
        let name = [(DnType::CommonName, "a")];
        let now = SystemTime::now();
        assert!(identity(&name, now + 8 * DAY).is_ok());
        assert!(identity(&name, now + 10 * DAY).is_err());
    }

    #[test]
    fn the_fingerprint_is_that_of_the_whole_certificate() {
        let one = identity(&[(DnType::CommonName, "a")], SystemTime::now()).unwrap();
        let two = identity(&[(DnType::CommonName, "a")], SystemTime::now()).unwrap();
        assert_eq!(one.subject, two.subject);
        assert_ne!(one.fingerprint, two.fingerprint);
        assert_eq!(one.fingerprint.len(), 64);
    }
}
