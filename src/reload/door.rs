//! TLS of a listener, or why it cannot be had.

use std::sync::Arc;

use super::{World, pair};
use crate::config::{Config, Listen, Problem};
use crate::tls::server::{LiveServer, Terms};
use crate::tls::{CertError, Pair, self_signed};

/// TLS of `listen`, the same as `before` where nothing about it changed; none without a certificate, or where what is
/// wrong with it was added to the problems.
pub(super) fn build(
    config: &Config,
    listen: &Listen,
    before: Option<&World>,
    problems: &mut Vec<Problem>,
) -> Option<Arc<LiveServer>> {
    let pairs: Vec<Pair> = if listen.self_signed {
        match self_signed::keep(&config.state_dir, &own_names(config)) {
            Ok(pair) => vec![pair],
            Err(error) => {
                let what = format!("{}: {error}", config.state_dir.display());
                problems.push(config.problem(
                    listen.at,
                    "state_dir",
                    what,
                    "name a directory that this user may write, with --state-dir",
                ));
                return None;
            }
        }
    } else {
        listen.certificate.iter().map(pair).collect()
    };
    if pairs.is_empty() {
        return None;
    }
    let terms = Terms {
        profile: listen.tls_profile,
        clients: listen.clients.clone(),
    };
    // Sessions stay with their listener: those of another one were made on its terms.
    let known = before.into_iter().flat_map(|world| {
        let doors = world.config.listen.iter().zip(&world.doors);
        doors.filter_map(|(old, tls)| tls.as_ref().filter(|_| old.address == listen.address))
    });
    let found = match known.into_iter().find(|tls| tls.is_of(&pairs, &terms)) {
        Some(tls) => tls.reload().map(|()| tls.clone()),
        None => LiveServer::load(pairs, terms).map(Arc::new),
    };
    found
        .map_err(|errors| {
            problems.extend(
                errors
                    .iter()
                    .map(|error| certificate_problem(config, listen, error)),
            )
        })
        .ok()
}

fn certificate_problem(config: &Config, listen: &Listen, error: &CertError) -> Problem {
    if listen
        .clients
        .as_ref()
        .is_some_and(|clients| clients.ca == error.file)
    {
        let fix = "put the certificates of the authority in PEM form there";
        return config.problem(listen.at, "listen.client_ca", error.to_string(), fix);
    }
    let at = listen
        .certificate
        .iter()
        .find(|pair| pair.chain == error.file || pair.key == error.file);
    let part = if at.is_some_and(|pair| pair.key == error.file) {
        "key"
    } else {
        "chain"
    };
    config.problem(
        at.map_or(listen.at, |pair| pair.at),
        format!("listen.certificate.{part}"),
        error.to_string(),
        "put a matching, valid pair in PEM form there",
    )
}

/// The names a self-signed certificate should carry: what clients are likely to type.
fn own_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = config
        .cluster
        .public_url
        .iter()
        .map(|url| url.host.clone())
        .collect();
    names.extend(
        config
            .listen
            .iter()
            .map(|listen| listen.address.ip())
            .filter(|ip| !ip.is_unspecified())
            .map(|ip| ip.to_string()),
    );
    names
}
