//! What changed of that which sticks, and of where it is kept.

use super::{Subject, of_certificates};
use crate::config::{Affinity, Secret, Sessions, Stick};

pub(super) fn of_affinity(affinity: &Affinity) -> [Subject; 3] {
    let Affinity { upload, ui, push } = affinity;
    [("upload", upload), ("ui", ui), ("push", push)].map(|(kind, stick)| {
        let Stick {
            enabled,
            ttl,
            entries,
        } = stick;
        Subject::new(format!("affinity.{kind}"))
            .shown("enabled", enabled)
            .time("ttl", *ttl)
            .shown("entries", entries)
    })
}

pub(super) fn of_sessions(sessions: &Sessions) -> Subject {
    let Sessions {
        at: _,
        store,
        store_file,
        prefix,
        budget,
        door,
        ca,
        client_certificate,
        sentinel_password,
        sentinel_password_file,
    } = sessions;
    // The address is shown without them.
    let user = store.as_ref().and_then(|store| store.user.as_deref());
    let password = store.as_ref().and_then(|store| store.password.as_ref());
    let exposed = |secret: Option<&Secret>| secret.map_or("", |secret| secret.expose()).to_owned();
    Subject::new("sessions")
        .optional("store", store.as_ref())
        .hidden("user of the store", user.unwrap_or_default())
        .hidden("password of the store", exposed(password))
        .hidden("store_file", format!("{store_file:?}"))
        .shown("prefix", prefix)
        .time("budget", *budget)
        .shown("door", door)
        .hidden("ca", format!("{ca:?}"))
        .hidden("client_certificate", of_certificates(client_certificate))
        .hidden("sentinel_password", exposed(sentinel_password.as_ref()))
        .hidden(
            "sentinel_password_file",
            format!("{sentinel_password_file:?}"),
        )
}
