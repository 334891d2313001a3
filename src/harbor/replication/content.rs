//! Projects, repositories and artifacts in Harbor's API.

use serde_json::Value;

use super::{Call, PAGE, list, number, root, text, time};
use crate::harbor::dialect::Dialect;

/// A tag of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// When it was pushed, by the node's clock, in milliseconds since 1970; 1.5 does not tell.
    pub pushed: Option<u64>,
}

/// Something with a digest in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its digest.
    pub digest: String,
    /// When it was pushed; as [`Tag::pushed`].
    pub pushed: Option<u64>,
    /// What points to it.
    pub tags: Vec<Tag>,
}

impl Artifact {
    /// When `reference`, a tag of it or its digest, was pushed.
    pub fn pushed_as(&self, reference: &str) -> Option<u64> {
        let tag = self.tags.iter().find(|tag| tag.name == reference);
        tag.map_or(self.pushed, |tag| tag.pushed)
    }
}

/// The path of a repository; 2.x wants slashes in its name encoded twice.
fn repository_path(dialect: Dialect, repository: &str) -> String {
    let root = root(dialect);
    match dialect {
        Dialect::Harbor2 => {
            let (project, name) = repository.split_once('/').unwrap_or((repository, ""));
            let name = name.replace('/', "%252F");
            format!("{root}/projects/{project}/repositories/{name}")
        }
        _ => format!("{root}/repositories/{repository}"),
    }
}

/// Asks for one artifact by tag or digest. In 1.x only tags can be asked for: a digest is looked for among all of them.
pub fn look_up(dialect: Dialect, repository: &str, reference: &str) -> Call {
    let base = repository_path(dialect, repository);
    Call::get(match dialect {
        Dialect::Harbor2 => format!("{base}/artifacts/{reference}?with_tag=true"),
        _ if reference.contains(':') => format!("{base}/tags"),
        _ => format!("{base}/tags/{reference}"),
    })
}

/// What a good answer to [`look_up`] says. The outer `None`: nothing of Harbor.
pub fn looked_up(dialect: Dialect, reference: &str, body: &[u8]) -> Option<Option<Artifact>> {
    if dialect == Dialect::Harbor2 {
        return artifact(&serde_json::from_slice(body).ok()?).map(Some);
    }
    if reference.contains(':') {
        let all = listed(dialect, body)?;
        return Some(all.into_iter().find(|one| one.digest == reference));
    }
    let document: Value = serde_json::from_slice(body).ok()?;
    let tag = old_tag(&document);
    let digest = text(&document, "digest").to_owned();
    Some((!digest.is_empty()).then(|| Artifact {
        digest,
        pushed: tag.pushed,
        tags: vec![tag],
    }))
}

/// Asks for a page (from 1) of the artifacts of a repository, the latest first. 1.x has only one page, of all tags.
pub fn artifacts(dialect: Dialect, repository: &str, page: usize) -> Call {
    let base = repository_path(dialect, repository);
    Call::get(match dialect {
        Dialect::Harbor2 => {
            format!("{base}/artifacts?with_tag=true&sort=-push_time&page={page}&page_size={PAGE}")
        }
        _ => format!("{base}/tags"),
    })
}

/// What a good answer to [`artifacts`] says.
pub fn listed(dialect: Dialect, body: &[u8]) -> Option<Vec<Artifact>> {
    let all = list(body)?;
    if dialect == Dialect::Harbor2 {
        return Some(all.iter().filter_map(artifact).collect());
    }
    let mut artifacts: Vec<Artifact> = Vec::new();
    for document in &all {
        let (digest, tag) = (text(document, "digest"), old_tag(document));
        match artifacts.iter_mut().find(|one| one.digest == digest) {
            Some(known) => {
                known.pushed = known.pushed.max(tag.pushed);
                known.tags.push(tag);
            }
            None => artifacts.push(Artifact {
                digest: digest.to_owned(),
                pushed: tag.pushed,
                tags: vec![tag],
            }),
        }
    }
    Some(artifacts)
}

fn artifact(document: &Value) -> Option<Artifact> {
    let digest = text(document, "digest");
    let tags = document.get("tags").and_then(Value::as_array);
    (!digest.is_empty()).then(|| Artifact {
        digest: digest.to_owned(),
        pushed: time::millis(text(document, "push_time")),
        tags: tags.into_iter().flatten().map(old_tag).collect(),
    })
}

/// A tag has the same fields in every dialect.
fn old_tag(document: &Value) -> Tag {
    Tag {
        name: text(document, "name").to_owned(),
        pushed: time::millis(text(document, "push_time")),
    }
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its number, by which 1.x lists repositories.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// Asks for a page of the projects.
pub fn projects(dialect: Dialect, page: usize) -> Call {
    let root = root(dialect);
    Call::get(format!("{root}/projects?page={page}&page_size={PAGE}"))
}

/// What a good answer to [`projects`] says.
pub fn projects_listed(body: &[u8]) -> Option<Vec<Project>> {
    let project = |document: &Value| {
        Some(Project {
            id: number(document, "project_id")?,
            name: text(document, "name").to_owned(),
        })
    };
    Some(list(body)?.iter().filter_map(project).collect())
}

/// Asks for a page of the repositories of a project.
pub fn repositories(dialect: Dialect, project: &Project, page: usize) -> Call {
    let root = root(dialect);
    let Project { id, name } = project;
    Call::get(match dialect {
        Dialect::Harbor2 => {
            format!("{root}/projects/{name}/repositories?page={page}&page_size={PAGE}")
        }
        _ => format!("{root}/repositories?project_id={id}&page={page}&page_size={PAGE}"),
    })
}

/// What a good answer to [`repositories`] says: their names with the project's.
pub fn repositories_listed(body: &[u8]) -> Option<Vec<String>> {
    let all = list(body)?;
    Some(all.iter().map(|one| text(one, "name").to_owned()).collect())
}

/// Deletes a tag. In 1.x, every tag of the same image goes with it.
pub fn delete_tag(dialect: Dialect, repository: &str, digest: &str, tag: &str) -> Call {
    let base = repository_path(dialect, repository);
    Call::delete(match dialect {
        Dialect::Harbor2 => format!("{base}/artifacts/{digest}/tags/{tag}"),
        _ => format!("{base}/tags/{tag}"),
    })
}

/// Deletes an artifact with all its tags: only 2.x can.
pub fn delete_artifact(repository: &str, digest: &str) -> Call {
    let base = repository_path(Dialect::Harbor2, repository);
    Call::delete(format!("{base}/artifacts/{digest}"))
}

/// Deletes a repository.
pub fn delete_repository(dialect: Dialect, repository: &str) -> Call {
    Call::delete(repository_path(dialect, repository))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slashes_in_a_repository_are_encoded_twice_in_harbor_2() {
        let call = look_up(Dialect::Harbor2, "p/a/b", "1.0");
        assert_eq!(
            call.path,
            "/api/v2.0/projects/p/repositories/a%252Fb/artifacts/1.0?with_tag=true"
        );
        assert_eq!(
            look_up(Dialect::Harbor1, "p/a/b", "1.0").path,
            "/api/repositories/p/a/b/tags/1.0"
        );
    }

    #[test]
    fn an_artifact_of_harbor_2_has_its_digest_and_the_times_of_its_tags() {
        let body = br#"{"digest":"sha256:aa","push_time":"2026-11-22T10:00:00.000Z","tags":[
            {"name":"1.0","push_time":"2026-11-22T11:00:00.000Z","immutable":false}],"type":"IMAGE"}"#;
        let found = looked_up(Dialect::Harbor2, "1.0", body).unwrap().unwrap();
        assert_eq!(found.digest, "sha256:aa");
        let hour = 3_600_000;
        let (digest, tag) = (found.pushed_as("sha256:aa"), found.pushed_as("1.0"));
        assert_eq!(digest.map(|at| at + hour), tag);
    }

    #[test]
    fn harbor_1_tells_digests_by_tags() {
        let body = br#"[{"digest":"sha256:aa","name":"1","push_time":"2026-11-22T10:00:00Z"},
            {"digest":"sha256:aa","name":"2"},{"digest":"sha256:bb","name":"3"}]"#;
        let all = listed(Dialect::Harbor1, body).unwrap();
        assert_eq!((all.len(), all[0].tags.len()), (2, 2));
        let found = looked_up(Dialect::Harbor1, "sha256:bb", body).unwrap();
        assert_eq!(found.unwrap().tags[0].name, "3");
        assert_eq!(looked_up(Dialect::Harbor1, "sha256:cc", body), Some(None));
    }

    #[test]
    fn a_tag_of_harbor_1_5_has_no_time() {
        let body = br#"{"digest":"sha256:aa","name":"1","created":"2018-01-01T00:00:00Z"}"#;
        let found = looked_up(Dialect::Harbor15, "1", body).unwrap().unwrap();
        assert_eq!(found.pushed_as("1"), None);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = listed(Dialect::Harbor2, &body);
            let _ = listed(Dialect::Harbor1, &body);
            let _ = looked_up(Dialect::Harbor15, "x", &body);
        }
    }
}
