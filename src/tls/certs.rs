//! The certificates of a listener: several, picked by the name that the client asks for (SNI, RFC 6066 §3), and
//! swapped while connections live.

mod live;
mod subject;

pub use live::LiveCertificates;
pub(super) use subject::Subject;

use super::{CertError, Fault, Pair};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

/// Loaded certificates. An exact name goes before a wildcard (of one label, RFC 9525 §6.3), and the first
/// certificate of all serves whoever asks for no name or one that we do not have.
#[derive(Debug)]
pub struct Certificates {
    all: Vec<Loaded>,
    exact: HashMap<String, Vec<usize>>,
    /// By the name behind `*.`.
    wildcard: HashMap<String, Vec<usize>>,
}

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    name: String,
    ends: SystemTime,
}

impl Certificates {
    /// Reads and checks all pairs, and reports everything that is wrong with any of them.
    pub fn load(pairs: &[Pair]) -> Result<Certificates, Vec<CertError>> {
        let now = SystemTime::now();
        let mut loaded = Certificates {
            all: Vec::new(),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
        };
        let mut errors = Vec::new();
        for pair in pairs {
            match check(pair, now) {
                Ok((key, subject)) => loaded.add(pair, key, subject),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(loaded)
        } else {
            Err(errors)
        }
    }

    fn add(&mut self, pair: &Pair, key: CertifiedKey, subject: Subject) {
        let place = self.all.len();
        for name in &subject.dns {
            let (names, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            names.entry(name.to_owned()).or_default().push(place);
        }
        let name = subject.dns.into_iter().chain(subject.ips).next();
        self.all.push(Loaded {
            key: Arc::new(key),
            name: name.unwrap_or_else(|| pair.chain.display().to_string()),
            ends: subject.ends,
        });
    }

    /// The first name of each certificate (its file when it has none) and when it ends.
    pub fn expiry(&self) -> Vec<(String, SystemTime)> {
        self.all
            .iter()
            .map(|loaded| (loaded.name.clone(), loaded.ends))
            .collect()
    }

    /// The certificate for `name`; among several of one name (RSA and ECDSA) the first that `fits`.
    fn pick(
        &self,
        name: Option<&str>,
        fits: impl Fn(&CertifiedKey) -> bool,
    ) -> Option<Arc<CertifiedKey>> {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let exact = name.as_deref().and_then(|name| self.exact.get(name));
        let wildcard = || {
            let (_, parent) = name.as_deref()?.split_once('.')?;
            self.wildcard.get(parent)
        };
        let named = exact.or_else(wildcard).into_iter().flatten();
        named
            .filter_map(|place| self.all.get(*place))
            .chain(&self.all)
            .find(|loaded| fits(&loaded.key))
            // A client that fits none learns so from the handshake.
            .or(self.all.first())
            .map(|loaded| loaded.key.clone())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pick(hello.server_name(), |key| {
            key.key.choose_scheme(hello.signature_schemes()).is_some()
        })
    }
}

/// The pair, if it can be used now.
pub(super) fn check(pair: &Pair, now: SystemTime) -> Result<(CertifiedKey, Subject), CertError> {
    let key = pair.load()?;
    let bad = |error: String| CertError::new(&pair.chain, Fault::BadCertificate(error));
    let leaf = key.cert.first().ok_or_else(|| bad("it is empty".into()))?;
    let subject = Subject::read(leaf).map_err(bad)?;
    if now > subject.ends {
        return Err(CertError::new(&pair.chain, Fault::Expired(subject.ends)));
    }
    if now < subject.begins {
        return Err(CertError::new(
            &pair.chain,
            Fault::NotYetValid(subject.begins),
        ));
    }
    Ok((key, subject))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};
    use std::path::Path;
    use std::time::Duration;

    pub const DAY: Duration = Duration::from_secs(86_400);

    /// Writes a certificate for `names`, changed by `alter`, and its key as `NAME.pem` and `NAME-key.pem`.
    pub fn write(
        dir: &Path,
        file: &str,
        names: &[&str],
        alter: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        alter(&mut params);
        let key = KeyPair::generate().unwrap();
        let pair = Pair {
            chain: dir.join(format!("{file}.pem")),
            key: dir.join(format!("{file}-key.pem")),
        };
        std::fs::write(&pair.chain, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }

    fn names(certificates: &Certificates, asked: Option<&str>) -> String {
        let picked = certificates.pick(asked, |_| true).unwrap();
        let found = certificates
            .all
            .iter()
            .find(|loaded| Arc::ptr_eq(&loaded.key, &picked));
        found.unwrap().name.clone()
    }

    fn fault(pair: Pair) -> (String, String) {
        let mut errors = Certificates::load(&[pair]).unwrap_err();
        assert_eq!(errors.len(), 1);
        let error = errors.remove(0);
        let file = error.file.file_name().unwrap().to_str().unwrap().to_owned();
        (file, error.fault.to_string())
    }

    #[test]
    fn the_name_picks_the_certificate_and_the_first_is_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let pairs = [
            write(dir.path(), "a", &["registry.example.com"], |_| {}),
            write(dir.path(), "b", &["*.example.com"], |_| {}),
            write(dir.path(), "c", &["exact.example.com"], |_| {}),
        ];
        let loaded = Certificates::load(&pairs).unwrap();
        for (asked, served) in [
            (Some("registry.example.com"), "registry.example.com"),
            (Some("REGISTRY.example.com."), "registry.example.com"),
            (Some("exact.example.com"), "exact.example.com"),
            (Some("other.example.com"), "*.example.com"),
            (Some("deep.other.example.com"), "registry.example.com"),
            (Some("example.com"), "registry.example.com"),
            (None, "registry.example.com"),
        ] {
            assert_eq!(names(&loaded, asked), served, "{asked:?}");
        }
    }

    #[test]
    fn a_certificate_without_alternative_names_is_found_by_its_common_name() {
        let dir = tempfile::tempdir().unwrap();
        let pairs = [
            write(dir.path(), "a", &["first.example.com"], |_| {}),
            write(dir.path(), "b", &[], |params| {
                params
                    .distinguished_name
                    .push(DnType::CommonName, "Old.example.com");
            }),
        ];
        let loaded = Certificates::load(&pairs).unwrap();
        assert_eq!(names(&loaded, Some("old.example.com")), "old.example.com");
    }

    #[test]
    fn of_two_certificates_for_one_name_the_one_that_fits_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let pairs = ["a", "b"].map(|file| write(dir.path(), file, &["same.example.com"], |_| {}));
        let loaded = Certificates::load(&pairs).unwrap();
        let second = loaded.all[1].key.cert.clone();
        let picked = loaded.pick(Some("same.example.com"), |key| key.cert == second);
        assert_eq!(picked.unwrap().cert, second);
    }

    #[test]
    fn each_fault_names_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let good = write(dir.path(), "good", &["a.example.com"], |_| {});
        let other = write(dir.path(), "other", &["a.example.com"], |_| {});
        let now = SystemTime::now();
        let over = write(dir.path(), "over", &["a.example.com"], |params| {
            params.not_after = (now - 3 * DAY).into();
        });
        let early = write(dir.path(), "early", &["a.example.com"], |params| {
            params.not_before = (now + 3 * DAY + DAY / 2).into();
        });
        let at = |file: &str| dir.path().join(file);
        std::fs::write(at("empty.pem"), "nothing").unwrap();
        std::fs::write(at("torn.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        let with = |chain: &Path, key: &Path| Pair {
            chain: chain.to_owned(),
            key: key.to_owned(),
        };
        for (pair, file, says) in [
            (
                with(&at("none.pem"), &good.key),
                "none.pem",
                "cannot be read: No such file",
            ),
            (
                with(&at("empty.pem"), &good.key),
                "empty.pem",
                "no certificate",
            ),
            (
                with(&at("torn.pem"), &good.key),
                "torn.pem",
                "not well-formed PEM",
            ),
            (
                with(&good.chain, &at("empty.pem")),
                "empty.pem",
                "no private key",
            ),
            (with(&good.chain, &good.chain), "good.pem", "no private key"),
            (
                with(&good.chain, &other.key),
                "other-key.pem",
                "does not match",
            ),
            (over, "over.pem", "expired 3 days ago"),
            (early, "early.pem", "begins in 3 days"),
        ] {
            let (named, text) = fault(pair);
            assert_eq!(named, file, "{text}");
            assert!(text.contains(says), "{text}");
        }
    }

    #[test]
    fn all_broken_pairs_are_reported_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let missing = |name: &str| Pair {
            chain: dir.path().join(name),
            key: dir.path().join(name),
        };
        let errors = Certificates::load(&[missing("a"), missing("b")]).unwrap_err();
        assert_eq!(errors.len(), 2);
    }
}
