//! What follows when a manifest was taken in or away: the database notes it, and replication hears of it.

use http::{HeaderMap, header};

use super::replication::{Artifact, Deleted};
use super::reply::Reply;
use super::{Dialect, Harbor};

/// A manifest was put under a tag or its digest, and this is the registry's answer.
pub fn put(harbor: &Harbor, headers: &HeaderMap, repository: &str, reference: &str, reply: &Reply) {
    let digest = reply.headers().get("docker-content-digest");
    let digest = digest.and_then(|v| v.to_str().ok()).unwrap_or_default();
    if reply.status() != 201 || digest.is_empty() {
        return;
    }
    harbor.store.note_push(repository, reference, digest);
    let tagged = !reference.contains(':');
    let old = harbor.options.dialect == Dialect::Harbor15;
    // 1.x hears of tags only, 1.5 only of those of clients it knows.
    if (harbor.options.dialect != Dialect::Harbor2 && !tagged) || (old && !is_heard(headers)) {
        return;
    }
    harbor.replication.event(&Artifact {
        repository: repository.to_owned(),
        digest: digest.to_owned(),
        tags: tagged.then(|| reference.to_owned()).into_iter().collect(),
        deleted: Deleted::No,
    });
}

fn is_heard(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT);
    let agent = agent.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let agent = agent.trim().to_lowercase();
    agent.starts_with("docker")
        || agent.starts_with("vic/")
        || agent == super::registry_client::AGENT
}

/// What a digest names is gone from a repository, with the tags it had.
pub fn gone(harbor: &Harbor, repository: &str, digest: &str, tags: Vec<String>) {
    harbor.store.note_gone(repository, digest);
    harbor.replication.event(&Artifact {
        repository: repository.to_owned(),
        digest: digest.to_owned(),
        tags,
        deleted: Deleted::Whole,
    });
}

/// The registry answered a DELETE of a manifest that had these tags. 1.x does not listen to those.
pub fn deleted(harbor: &Harbor, repository: &str, digest: &str, tags: Vec<String>, reply: &Reply) {
    if reply.status() != 202 {
        return;
    }
    if harbor.options.dialect == Dialect::Harbor2 {
        gone(harbor, repository, digest, tags);
    } else {
        harbor.store.note_gone(repository, digest);
    }
}

/// A tag is gone from what it named.
pub fn untagged(harbor: &Harbor, repository: &str, digest: &str, tag: &str) {
    harbor.store.note_gone(repository, tag);
    harbor.replication.event(&Artifact {
        repository: repository.to_owned(),
        digest: digest.to_owned(),
        tags: vec![tag.to_owned()],
        deleted: Deleted::Tag,
    });
}
