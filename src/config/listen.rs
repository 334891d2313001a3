//! `[[listen]]`: the doors that clients knock at.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::scope::Scope;
use super::{At, Wrong, host};

/// One address that clients connect to.
///
/// With a certificate it speaks TLS, with a redirect it sends clients to TLS, with neither it speaks plain HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// Where its table begins.
    pub at: At,
    /// The address and port.
    pub address: SocketAddr,
    /// The hosts that it serves, in lower case and without port; empty: any.
    pub hosts: Vec<String>,
    /// Peers that begin every connection with a PROXY protocol header, and only those.
    pub proxy_protocol: Vec<IpNet>,
    /// Peers whose `X-Forwarded-*` are believed.
    pub trusted_forwarders: Vec<IpNet>,
    /// Whether every request is answered with a redirect to HTTPS.
    pub redirect_to_https: bool,
    /// The HTTPS port that goes into the redirect, when it is not 443.
    pub redirect_port: Option<u16>,
    /// Chosen by the name that the client asks for; the first is the default.
    pub certificate: Vec<Certificate>,
    /// Which versions of TLS it speaks.
    pub tls_profile: TlsProfile,
    /// Whether clients are asked for a certificate.
    pub clients: Option<ClientCertificates>,
    /// Whether a certificate is made at start. No key of the file asks for it: only a start without one does.
    pub self_signed: bool,
}

impl Listen {
    /// A listener that nothing is configured for.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            at: At::default(),
            address,
            hosts: Vec::new(),
            proxy_protocol: Vec::new(),
            trusted_forwarders: Vec::new(),
            redirect_to_https: false,
            redirect_port: None,
            certificate: Vec::new(),
            tls_profile: TlsProfile::default(),
            clients: None,
            self_signed: false,
        }
    }

    /// Whether it speaks TLS.
    pub fn tls(&self) -> bool {
        self.self_signed || !self.certificate.is_empty()
    }

    pub(super) fn read(mut scope: Scope<'_>) -> Option<Self> {
        let address = scope.word("address", host::socket);
        scope.need("address", "write one, like \"0.0.0.0:443\"");
        let hosts = scope.words("hosts", host::parse);
        let proxy_protocol = scope.words("proxy_protocol", host::network);
        let trusted_forwarders = scope.words("trusted_forwarders", host::network);
        let redirect_to_https = scope.flag("redirect_to_https").unwrap_or(false);
        let redirect_port = scope.number("redirect_port", 1..=u16::MAX);
        let certificates = scope.tables("certificate");
        if redirect_to_https && !certificates.is_empty() {
            let what = "is set on a listener that has a certificate";
            let fix = "remove one of the two: a listener redirects or serves";
            scope.wrong("redirect_to_https", Wrong::new(what, fix));
        }
        if !redirect_to_https {
            let what = "means nothing without redirect_to_https = true";
            scope.useless("redirect_port", what);
        }
        let tls_profile = scope.choice("tls_profile", TlsProfile::ALL);
        let clients = ClientCertificates::read(&mut scope);
        if certificates.is_empty() {
            for key in ["tls_profile", "client_ca", "client_auth"] {
                scope.useless(key, "means nothing on a listener without a certificate");
            }
        }
        let certificate = certificates
            .into_iter()
            .filter_map(Certificate::read)
            .collect();
        let at = scope.at();
        scope.finish();
        Some(Self {
            at,
            hosts,
            proxy_protocol,
            trusted_forwarders,
            redirect_to_https,
            redirect_port,
            certificate,
            tls_profile: tls_profile.unwrap_or_default(),
            clients,
            ..Self::plain(address?)
        })
    }
}

/// Which versions of TLS a listener speaks: Mozilla's recommendations of these names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsProfile {
    /// TLS 1.2, with forward secrecy and authenticated encryption only, and TLS 1.3.
    #[default]
    Intermediate,
    /// TLS 1.3 alone.
    Modern,
}

impl TlsProfile {
    const ALL: &[(&str, Self)] = &[
        ("intermediate", Self::Intermediate),
        ("modern", Self::Modern),
    ];

    /// The word for it in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intermediate => "intermediate",
            Self::Modern => "modern",
        }
    }
}

/// Whose certificates clients show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The authorities that they must come from, PEM.
    pub ca: PathBuf,
    /// Whether they must show one.
    pub auth: ClientAuth,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// No connection without one.
    Required,
    /// Who has one may show it, and only a good one.
    Offered,
}

impl ClientCertificates {
    fn read(scope: &mut Scope<'_>) -> Option<Self> {
        let ca = scope.readable("client_ca");
        let choices = [
            ("required", ClientAuth::Required),
            ("offered", ClientAuth::Offered),
        ];
        let auth = scope.choice("client_auth", &choices);
        if !scope.has("client_ca") {
            scope.useless("client_auth", "means nothing without client_ca");
        }
        Some(Self {
            ca: ca?,
            auth: auth.unwrap_or(ClientAuth::Required),
        })
    }
}

/// A certificate chain and its key, both in PEM files.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// Where its table begins.
    pub at: At,
    /// The certificate, then those that vouch for it.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Certificate {
    /// `None` when the table is absent or incomplete.
    pub(super) fn read(mut scope: Scope<'_>) -> Option<Self> {
        let at = scope.at();
        let chain = scope.readable("chain");
        let key = scope.readable("key");
        scope.need(
            "chain",
            "name the PEM file of the certificate and its issuers",
        );
        scope.need("key", "name the PEM file of the private key");
        scope.finish();
        Some(Self {
            at,
            chain: chain?,
            key: key?,
        })
    }
}
