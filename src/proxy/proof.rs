//! Comparing what passes with the digest that it goes by, where the operator wants that (`resume.verify`).

use http::header::CONTENT_ENCODING;
use http::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::finish::Record;
use crate::harbor::class::Class;

/// The running SHA-256 of an answer.
pub struct Proof {
    sum: Sha256,
    wanted: [u8; 32],
}

impl Proof {
    /// For an answer that is the whole of what its URL names by SHA-256.
    pub(super) fn of<B>(
        class: Class,
        method: &Method,
        record: &Record,
        answer: &Response<B>,
    ) -> Option<Box<Self>> {
        let reads = matches!(class, Class::BlobRead | Class::ManifestRead);
        let encoded = answer.headers().contains_key(CONTENT_ENCODING);
        if !reads || method != Method::GET || answer.status() != StatusCode::OK || encoded {
            return None;
        }
        let wanted = parse(record.digest()?)?;
        Some(Box::new(Proof {
            sum: Sha256::new(),
            wanted,
        }))
    }

    /// Takes more of it.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.sum.update(bytes);
    }

    /// Whether what was taken so far is what was asked for.
    pub(super) fn holds(&self) -> bool {
        self.sum.clone().finalize().as_slice() == self.wanted
    }
}

fn parse(digest: &str) -> Option<[u8; 32]> {
    let hex = digest.strip_prefix("sha256:")?;
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        let digits = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!(parse(&format!("sha256:{digits}")).unwrap()[31], 0x08);
        for digest in [
            "sha256:9f",
            "sha512:9f",
            digits,
            &format!("sha256:é{}", &digits[2..]),
        ] {
            assert_eq!(parse(digest), None, "{digest}");
        }
    }

    #[test]
    fn the_sum_of_the_parts_is_that_of_the_whole() {
        let wanted =
            parse("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
        let sum = Sha256::new();
        let mut proof = Proof {
            sum,
            wanted: wanted.unwrap(),
        };
        proof.take(b"te");
        assert!(!proof.holds());
        proof.take(b"st");
        assert!(proof.holds());
    }
}
