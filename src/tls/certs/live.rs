//! Certificates that follow their files.

use super::Certificates;
use crate::tls::watch::Watch;
use crate::tls::{CertError, Pair};
use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::SystemTime;

/// The certificates of a listener and the files they came from. New handshakes see the last set that loaded as a
/// whole; a set that does not (a chain that was replaced before its key, say) leaves the old one in service.
#[derive(Debug)]
pub struct LiveCertificates {
    pairs: Vec<Pair>,
    current: ArcSwap<Certificates>,
    watch: Watch,
}

impl LiveCertificates {
    /// Loads the pairs; all of them have to be good to begin with.
    pub fn load(pairs: Vec<Pair>) -> Result<LiveCertificates, Vec<CertError>> {
        let watch = Watch::new(pairs.iter().flat_map(Pair::files).collect());
        let current = ArcSwap::from_pointee(Certificates::load(&pairs)?);
        Ok(LiveCertificates {
            pairs,
            current,
            watch,
        })
    }

    /// The files, in the order of the configuration.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Reads the files again and puts them into service, or says why not and keeps the old ones.
    pub fn reload(&self) -> Result<(), Vec<CertError>> {
        self.watch.reload(|| self.read())
    }

    /// For a watcher that comes by every second: reloads when the files changed. Tells a swap, and a fault when it
    /// is a new one.
    pub fn poll(&self) -> Option<Result<(), Vec<CertError>>> {
        self.watch.poll(|| self.read())
    }

    fn read(&self) -> Result<(), Vec<CertError>> {
        let fresh = Certificates::load(&self.pairs)?;
        self.current.store(Arc::new(fresh));
        Ok(())
    }

    /// The first name of each certificate in service and when it ends.
    pub fn expiry(&self) -> Vec<(String, SystemTime)> {
        self.current.load().expiry()
    }
}

impl ResolvesServerCert for LiveCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load().resolve(hello)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::tests::write;
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(live: &LiveCertificates) -> Vec<String> {
        live.expiry().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_new_pair_is_served_at_the_next_poll() {
        let dir = tempfile::tempdir().unwrap();
        let pair = write(dir.path(), "a", &["old.example.com"], |_| {});
        let live = LiveCertificates::load(vec![pair]).unwrap();
        assert!(live.poll().is_none());
        write(dir.path(), "a", &["new.example.com"], |_| {});
        assert!(live.watch.changed());
        assert!(live.poll().unwrap().is_ok());
        assert_eq!(names(&live), ["new.example.com"]);
        assert!(!live.watch.changed());
    }

    #[test]
    fn a_half_replaced_pair_keeps_the_old_one_in_service_until_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let pair = write(dir.path(), "a", &["old.example.com"], |_| {});
        let next = write(dir.path(), "b", &["new.example.com"], |_| {});
        let live = LiveCertificates::load(vec![pair.clone()]).unwrap();
        std::fs::rename(&next.chain, &pair.chain).unwrap();
        assert!(live.poll().unwrap().is_err());
        assert!(live.poll().is_none(), "a standing fault is told once");
        assert_eq!(names(&live), ["old.example.com"]);
        std::fs::rename(&next.key, &pair.key).unwrap();
        assert!(live.poll().unwrap().is_ok());
        assert_eq!(names(&live), ["new.example.com"]);
    }

    #[test]
    fn a_swapped_directory_link_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (place, name) in [("v1", "old.example.com"), ("v2", "new.example.com")] {
            std::fs::create_dir(at(place)).unwrap();
            write(&at(place), "tls", &[name], |_| {});
        }
        symlink("v1", at("data")).unwrap();
        let pair = Pair {
            chain: at("data/tls.pem"),
            key: at("data/tls-key.pem"),
        };
        let live = LiveCertificates::load(vec![pair]).unwrap();
        symlink("v2", at("next")).unwrap();
        std::fs::rename(at("next"), at("data")).unwrap();
        assert!(live.poll().unwrap().is_ok());
        assert_eq!(names(&live), ["new.example.com"]);
    }

    #[test]
    fn files_that_vanish_change_nothing_in_service() {
        let dir = tempfile::tempdir().unwrap();
        let pair = write(dir.path(), "a", &["old.example.com"], |_| {});
        let live = LiveCertificates::load(vec![pair.clone()]).unwrap();
        std::fs::remove_file(&pair.key).unwrap();
        assert!(live.poll().unwrap().is_err());
        assert_eq!(names(&live), ["old.example.com"]);
    }
}
