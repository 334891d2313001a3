//! Storage and the registries' secret: an upload that one node began is looked at and ended on another, and the blob read
//! everywhere.
//!
//! The registry checks the signature of an upload's state before it looks for the upload (distribution
//! registry/handlers/blobupload.go), so that `BLOB_UPLOAD_UNKNOWN` proves equal secrets and other storage, and
//! `BLOB_UPLOAD_INVALID` other secrets and nothing of the storage, which the blob then shows.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::{Code, Finding, Severity};
use super::group::{Pair, partners, split};
use super::node::Node;
use super::push::{self, Blob, Sight};
use super::remedy;
use super::token;
use crate::harbor::dialect::Dialect;

/// How often a blob that is not there is asked for again, and after which time: storage may show it late.
const AGAIN: usize = 2;
const PAUSE: Duration = Duration::from_millis(250);

/// How an upload of one node looked to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It could go on there.
    Continues,
    /// It was not there.
    Unknown,
    /// Its state was not signed with the secret there.
    Invalid,
}

/// What was seen of uploads and blobs.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Uploads that one began, as the other saw them.
    pub uploads: BTreeMap<Pair, Looked>,
    /// Whether the other could read what was pushed through the one.
    pub blobs: BTreeMap<Pair, bool>,
    /// Blobs of one that the other could read, though its Harbor did not know them.
    pub unknown: Vec<Pair>,
    /// The addresses of each node's uploads.
    pub locations: BTreeMap<usize, Vec<String>>,
    /// What could not be tried, and why.
    pub trouble: Vec<String>,
}

/// Pushes one small blob from every node, with the tokens of the node that is spoken to.
pub async fn observe(nodes: &[Node], repository: &str, tokens: &token::Seen) -> Seen {
    let mut seen = Seen::default();
    for from in 0..nodes.len() {
        if let Err(why) = from_one(nodes, from, repository, tokens, &mut seen).await {
            let name = nodes
                .get(from)
                .map(|node| node.name.as_str())
                .unwrap_or_default();
            seen.trouble.push(format!("{name}: {why}"));
        }
    }
    seen
}

async fn from_one(
    nodes: &[Node],
    from: usize,
    repository: &str,
    tokens: &token::Seen,
    seen: &mut Seen,
) -> Result<(), String> {
    let (Some(origin), Some(token)) = (nodes.get(from), tokens.of(from)) else {
        return Ok(());
    };
    let others = || {
        let all = partners(nodes.len(), from);
        all.filter_map(|to| Some((to, nodes.get(to)?, &tokens.of(to)?.bearer)))
    };
    let upload = push::begin(origin, repository, &token.bearer).await?;
    seen.locations
        .entry(from)
        .or_default()
        .push(upload.location.clone());
    let mut continued = None;
    for (to, node, bearer) in others() {
        let looked = match push::look(node, &upload, bearer).await {
            Some(Sight::Continues(there)) => {
                seen.locations
                    .entry(to)
                    .or_default()
                    .extend(there.iter().map(|upload| upload.location.clone()));
                let there = there.unwrap_or_else(|| upload.clone());
                continued.get_or_insert((to, node, bearer, there));
                Looked::Continues
            }
            Some(Sight::Unknown) => Looked::Unknown,
            Some(Sight::Invalid) => Looked::Invalid,
            None => continue,
        };
        seen.uploads.insert((from, to), looked);
    }
    let blob = Blob::random();
    let maker = match continued {
        Some((to, node, bearer, there)) => match push::finish(node, &there, &blob, bearer).await {
            Ok(()) => {
                push::ended(origin, &upload);
                to
            }
            Err(why) => {
                seen.trouble.push(format!(
                    "{}, going on with an upload of {}: {why}",
                    node.name, origin.name
                ));
                let upload = push::begin(origin, repository, &token.bearer).await?;
                push::finish(origin, &upload, &blob, &token.bearer).await?;
                from
            }
        },
        None => {
            push::finish(origin, &upload, &blob, &token.bearer).await?;
            from
        }
    };
    read_everywhere(nodes, maker, repository, &blob, tokens, seen).await;
    Ok(())
}

async fn read_everywhere(
    nodes: &[Node],
    maker: usize,
    repository: &str,
    blob: &Blob,
    tokens: &token::Seen,
    seen: &mut Seen,
) {
    for to in partners(nodes.len(), maker) {
        let (Some(node), Some(token)) = (nodes.get(to), tokens.of(to)) else {
            continue;
        };
        let bearer = &token.bearer;
        let mut reads = push::reads(node, repository, blob, bearer).await;
        for _ in 0..AGAIN {
            if reads != Some(false) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            reads = push::reads(node, repository, blob, bearer).await;
        }
        let Some(reads) = reads else { continue };
        seen.blobs.insert((maker, to), reads);
        let asks_database = node.dialect == Some(Dialect::Harbor2);
        if reads
            && asks_database
            && push::knows(node, repository, blob, bearer).await == Some(false)
        {
            seen.unknown.push((maker, to));
        }
    }
}

/// Who has other storage or another secret.
pub fn judge(names: &[String], seen: &Seen, dialect: Option<Dialect>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let shown = |(a, b): Pair| seen.blobs.contains_key(&(a, b)) || seen.blobs.contains_key(&(b, a));
    let by_uploads = seen
        .uploads
        .iter()
        .filter(|(pair, _)| !shown(**pair))
        .filter_map(|(pair, looked)| match looked {
            Looked::Continues => Some((*pair, true)),
            Looked::Unknown => Some((*pair, false)),
            Looked::Invalid => None,
        });
    let by_blobs = seen.blobs.iter().map(|(pair, reads)| (*pair, *reads));
    let apart = split(by_blobs.chain(by_uploads));
    if let Some(split) = &apart {
        let who = super::finding::list(&remedy::names(names, &split.odd));
        findings.push(Finding {
            code: Code::StorageNotShared,
            severity: Severity::Error,
            nodes: remedy::names(names, &split.odd),
            what: match split.model {
                Some(_) => format!("{who} cannot read what was pushed through the others"),
                None => {
                    format!("what is pushed through one of {who} cannot be read through the other")
                }
            },
            symptom: "images are there or not, at random: `manifest unknown`, `blob unknown`"
                .to_owned(),
            fix: format!(
                "{}; where nodes are meant to have storage of their own, set topology in [cluster]",
                remedy::copy(
                    names,
                    split,
                    remedy::storage(dialect),
                    "mount the same storage, and restart the registry"
                )
            ),
        });
    }
    let late: Vec<Pair> = seen
        .uploads
        .iter()
        .filter(|((a, b), looked)| {
            let read = |pair: &Pair| seen.blobs.get(pair) == Some(&true);
            **looked == Looked::Unknown && (read(&(*a, *b)) || read(&(*b, *a)))
        })
        .map(|(pair, _)| *pair)
        .collect();
    if !late.is_empty() {
        let mut nodes: Vec<usize> = late.iter().map(|(_, to)| *to).collect();
        nodes.sort_unstable();
        nodes.dedup();
        findings.push(Finding {
            code: Code::StorageLags,
            severity: Severity::Warning,
            what: format!(
                "{} saw late what another node had written to the storage",
                super::finding::list(&remedy::names(names, &nodes))
            ),
            symptom: "without stickiness pushes fail now and then; Seawall keeps every upload on its node ([affinity.upload])".to_owned(),
            fix: remedy::on(names, &nodes, "mount NFS with lookupcache=none or a short actimeo, or use object storage"),
            nodes: remedy::names(names, &nodes),
        });
    }
    let secrets = seen
        .uploads
        .iter()
        .map(|(pair, looked)| (*pair, *looked != Looked::Invalid));
    if let Some(split) = split(secrets) {
        findings.push(Finding {
            code: Code::HttpSecretDiffers,
            severity: Severity::Error,
            nodes: remedy::names(names, &split.odd),
            what: format!(
                "uploads of another node are invalid on {}: their state is signed with another secret",
                super::finding::list(&remedy::names(names, &split.odd))
            ),
            symptom: "pushes fail with BLOB_UPLOAD_INVALID when an upload reaches another node".to_owned(),
            fix: remedy::copy(names, &split, remedy::HTTP_SECRET, "restart the registry"),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(uploads: &[(Pair, Looked)], blobs: &[(Pair, bool)]) -> Vec<Code> {
        let seen = Seen {
            uploads: uploads.iter().copied().collect(),
            blobs: blobs.iter().copied().collect(),
            ..Seen::default()
        };
        let names = ["a".to_owned(), "b".to_owned()];
        judge(&names, &seen, None)
            .into_iter()
            .map(|finding| finding.code)
            .collect()
    }

    #[test]
    fn unknown_is_the_storage_and_invalid_the_secret() {
        let both = |looked| [((0, 1), looked), ((1, 0), looked)];
        let reads = |reads| [((0, 1), reads), ((1, 0), reads)];
        assert_eq!(codes(&both(Looked::Continues), &reads(true)), []);
        assert_eq!(
            codes(&both(Looked::Unknown), &reads(false)),
            [Code::StorageNotShared]
        );
        assert_eq!(
            codes(&both(Looked::Invalid), &reads(true)),
            [Code::HttpSecretDiffers]
        );
        let apart = [Code::StorageNotShared, Code::HttpSecretDiffers];
        assert_eq!(codes(&both(Looked::Invalid), &reads(false)), apart);
    }

    #[test]
    fn without_a_blob_an_upload_that_is_unknown_says_enough() {
        assert_eq!(
            codes(&[((0, 1), Looked::Unknown)], &[]),
            [Code::StorageNotShared]
        );
        assert_eq!(
            codes(&[((0, 1), Looked::Invalid)], &[]),
            [Code::HttpSecretDiffers]
        );
    }

    #[test]
    fn storage_that_shows_an_upload_late_is_shared() {
        let found = codes(&[((0, 1), Looked::Unknown)], &[((0, 1), true)]);
        assert_eq!(found, [Code::StorageLags]);
    }
}
