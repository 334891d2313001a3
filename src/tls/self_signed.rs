//! A certificate for a door that was given none: made once, kept, and the same at the next start, so that clients
//! who chose to trust it need not choose again.

use super::{Pair, certs};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);
/// The longest that Apple's clients accept of a certificate.
const LIFE: Duration = Duration::from_secs(825 * 86_400);
/// What has less than this left is made anew at a start, since it would end during the run.
const TOO_SHORT: Duration = Duration::from_secs(30 * 86_400);

/// The pair in `state_dir` (made if missing) that is valid for `names` (DNS names and addresses), for `localhost`
/// and for the loopback addresses. It is made anew when it is about to expire, when it is for other names, or when
/// it does not load.
pub fn keep(state_dir: &Path, names: &[String]) -> io::Result<Pair> {
    let pair = Pair {
        chain: state_dir.join("self-signed.pem"),
        key: state_dir.join("self-signed-key.pem"),
    };
    let wanted = wanted(names);
    if !is_good(&pair, &wanted) {
        make(state_dir, &pair, wanted)?;
    }
    Ok(pair)
}

/// The names in the order in which they were given, each once.
fn wanted(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .chain(["localhost", "127.0.0.1", "::1"].map(String::from))
        .filter(|name| seen.insert(name.clone()))
        .collect()
}

fn is_good(pair: &Pair, wanted: &[String]) -> bool {
    let now = SystemTime::now();
    certs::check(pair, now).is_ok_and(|(_, subject)| {
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        subject.names() == wanted && subject.ends > now + TOO_SHORT
    })
}

fn make(state_dir: &Path, pair: &Pair, names: Vec<String>) -> io::Result<()> {
    let now = SystemTime::now();
    let common_name = names.first().cloned().unwrap_or_default();
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A day of grace for clients whose clock is behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now - DAY + LIFE).into();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)?;
    // A crash in between leaves a pair that does not match, which the next start replaces.
    replace(&pair.key, &key.serialize_pem(), 0o600)?;
    replace(&pair.chain, &certificate.pem(), 0o644)
}

/// Writes a file beside its place and moves it there, never readable by more than `mode` allows.
fn replace(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let fresh = file.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&fresh)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tls::certs::tests::write;
    use std::os::unix::fs::PermissionsExt;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn the_certificate_of_the_first_start_is_that_of_the_second() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        let wanted = names(&["Registry.example.com", "192.0.2.1"]);
        let pair = keep(&state, &wanted).unwrap();
        let first = fs::read(&pair.chain).unwrap();
        assert_eq!(keep(&state, &wanted).unwrap(), pair);
        assert_eq!(fs::read(&pair.chain).unwrap(), first);
    }

    #[test]
    fn it_is_for_the_given_names_and_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        let pair = keep(dir.path(), &names(&["registry.example.com", "192.0.2.1"])).unwrap();
        let (_, subject) = certs::check(&pair, SystemTime::now()).unwrap();
        assert_eq!(subject.dns, ["registry.example.com", "localhost"]);
        assert_eq!(subject.ips, ["192.0.2.1", "127.0.0.1", "::1"]);
    }

    #[test]
    fn the_key_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let pair = keep(dir.path(), &[]).unwrap();
        let mode = fs::metadata(&pair.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn other_names_make_another_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let pair = keep(dir.path(), &names(&["a.example.com"])).unwrap();
        let first = fs::read(&pair.chain).unwrap();
        keep(dir.path(), &names(&["b.example.com"])).unwrap();
        assert_ne!(fs::read(&pair.chain).unwrap(), first);
    }

    #[test]
    fn a_certificate_that_ends_soon_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let soon = ["localhost", "127.0.0.1", "::1"];
        let old = write(dir.path(), "self-signed", &soon, |params| {
            params.not_after = (SystemTime::now() + DAY).into();
        });
        let first = fs::read(&old.chain).unwrap();
        let pair = keep(dir.path(), &[]).unwrap();
        assert_eq!(pair, old);
        assert_ne!(fs::read(&pair.chain).unwrap(), first);
    }

    #[test]
    fn what_does_not_load_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let pair = keep(dir.path(), &[]).unwrap();
        fs::write(&pair.key, "torn").unwrap();
        keep(dir.path(), &[]).unwrap();
        assert!(certs::check(&pair, SystemTime::now()).is_ok());
    }
}
