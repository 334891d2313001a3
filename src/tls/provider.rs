//! Which library does the cryptography, chosen when the program is built.

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;
use std::sync::Arc;

#[cfg(feature = "aws-lc")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
use rustls::crypto::ring as chosen;
#[cfg(not(any(feature = "ring", feature = "aws-lc")))]
compile_error!("TLS needs one of the features `ring` and `aws-lc`");

/// Makes the chosen library the one that every TLS user of the process finds. To be called before any of them;
/// a second call changes nothing.
pub fn install() {
    if CryptoProvider::get_default().is_none() {
        // Lost only to another thread that did the same in between.
        let _ = chosen::default_provider().install_default();
    }
}

/// The installed library.
pub(super) fn current() -> Arc<CryptoProvider> {
    install();
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(chosen::default_provider()))
}

/// Session tickets (RFC 5077, RFC 8446 §4.6.1) under a key that is replaced every few hours.
pub(super) fn tickets() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    chosen::Ticketer::new()
}
