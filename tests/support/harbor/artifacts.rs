//! Artifacts in the API of Harbor 2.x.

use http::Method;
use serde_json::{Value, json};

use super::api2;
use super::changes;
use super::database::Project;
use super::nginx::Ask;
use super::paging::paged;
use super::pushes::Times;
use super::reply::{self, Reply};
use super::session::{pairs, parameter, unescape};
use super::{Harbor, users};

/// Answers for `rest` below `…/repositories/{r}/artifacts`.
pub async fn answer(
    harbor: &Harbor,
    ask: &Ask,
    (project, repository): (&str, &str),
    rest: &[&str],
    user: Option<&str>,
) -> Reply {
    let project = match api2::find(harbor, project, user).await {
        Ok(project) => project,
        Err(refused) => return refused,
    };
    let once = unescape(repository).unwrap_or_default();
    let name = format!("{}/{}", project.name, unescape(&once).unwrap_or_default());
    let writes = ask.method == Method::DELETE;
    if writes && !user.is_some_and(|u| users::is_admin(u) || project.owner == u) {
        let status = if user.is_some() { 403 } else { 401 };
        let code = if user.is_some() {
            "FORBIDDEN"
        } else {
            "UNAUTHORIZED"
        };
        return reply::errors(status, code, &code.to_lowercase());
    }
    if !harbor.store.has_repository(&name) {
        return reply::errors(404, "NOT_FOUND", &format!("repository {name} not found"));
    }
    let [reference, rest @ ..] = rest else {
        return list(harbor, ask, &project, &name);
    };
    let reference = unescape(reference).unwrap_or_default();
    let Some(digest) = harbor.store.manifest(&name, &reference) else {
        let mark = if reference.contains(':') { '@' } else { ':' };
        let message = format!("artifact {name}{mark}{reference} not found");
        return reply::errors(404, "NOT_FOUND", &message);
    };
    let tags = harbor.store.tags_of(&name, &digest);
    match (rest, writes) {
        ([], true) => {
            harbor.store.remove_artifact(&name, &digest);
            changes::gone(harbor, &name, &digest, tags);
            reply::nothing(200)
        }
        ([], false) => {
            let times = harbor.store.times(&name);
            reply::json(
                200,
                &document(harbor, &project, &name, &digest, &tags, &times),
            )
        }
        (["tags"], false) => {
            let times = harbor.store.times(&name);
            let all = tags.iter().map(|tag| tag_document(tag, &times)).collect();
            paged(ask, all, |page| reply::json(200, page))
        }
        (["tags", tag], true) => {
            let tag = unescape(tag).unwrap_or_default();
            if !tags.contains(&tag) {
                return reply::errors(404, "NOT_FOUND", &format!("tag {tag} not found"));
            }
            harbor.store.untag(&name, &tag);
            changes::untagged(harbor, &name, &digest, &tag);
            reply::nothing(200)
        }
        _ => reply::errors(
            404,
            "NOT_FOUND",
            &format!("path {} was not found", ask.path),
        ),
    }
}

/// Deletes a repository: all its artifacts, one by one.
pub fn remove_repository(harbor: &Harbor, name: &str) {
    for (digest, tags) in harbor.store.artifacts(name) {
        harbor.store.remove_artifact(name, &digest);
        changes::gone(harbor, name, &digest, tags);
    }
    harbor.store.remove(name);
    harbor.store.note_gone(name, "");
}

fn list(harbor: &Harbor, ask: &Ask, project: &Project, name: &str) -> Reply {
    let times = harbor.store.times(name);
    let artifacts = harbor.store.artifacts(name);
    let children: Vec<String> = artifacts
        .iter()
        .flat_map(|(digest, _)| children(harbor, digest))
        .collect();
    // The parts of an image for many platforms are shown inside it.
    let mut all: Vec<Value> = artifacts
        .iter()
        .filter(|(digest, tags)| !tags.is_empty() || !children.contains(digest))
        .map(|(digest, tags)| document(harbor, project, name, digest, tags, &times))
        .collect();
    all.sort_by_key(|one| one["push_time"].as_str().unwrap_or_default().to_owned());
    let asked = pairs(&ask.query);
    if parameter(&asked, "sort") != "push_time" {
        all.reverse();
    }
    if parameter(&asked, "with_tag") == "false" {
        for one in &mut all {
            one["tags"] = Value::Null;
        }
    }
    paged(ask, all, |page| reply::json(200, page))
}

fn children(harbor: &Harbor, digest: &str) -> Vec<String> {
    let manifest = manifest(harbor, digest);
    let all = manifest["manifests"].as_array().into_iter().flatten();
    all.filter_map(|child| child["digest"].as_str().map(str::to_owned))
        .collect()
}

fn manifest(harbor: &Harbor, digest: &str) -> Value {
    let content = harbor.store.blob(digest).unwrap_or_default();
    serde_json::from_slice(&content).unwrap_or_default()
}

fn document(
    harbor: &Harbor,
    project: &Project,
    name: &str,
    digest: &str,
    tags: &[String],
    times: &Times,
) -> Value {
    let manifest = manifest(harbor, digest);
    let sizes = manifest["layers"].as_array().into_iter().flatten();
    let size: u64 = sizes.filter_map(|layer| layer["size"].as_u64()).sum();
    let references: Vec<Value> = children(harbor, digest)
        .iter()
        .map(|child| json!({"child_digest": child}))
        .collect();
    let tags: Vec<Value> = tags.iter().map(|tag| tag_document(tag, times)).collect();
    json!({
        "accessories": null,
        "digest": digest,
        "icon": "",
        "id": number(digest),
        "labels": null,
        "manifest_media_type": manifest["mediaType"],
        "media_type": manifest["config"]["mediaType"],
        "project_id": project.id,
        "pull_time": "0001-01-01T00:00:00.000Z",
        "push_time": times.of_artifact(digest),
        "references": if references.is_empty() { Value::Null } else { references.into() },
        "repository_id": number(name),
        "repository_name": name,
        "size": size,
        "tags": if tags.is_empty() { Value::Null } else { tags.into() },
        "type": "IMAGE",
    })
}

fn tag_document(tag: &str, times: &Times) -> Value {
    json!({
        "id": number(tag),
        "immutable": false,
        "name": tag,
        "pull_time": "0001-01-01T00:00:00.000Z",
        "push_time": times.of_tag(tag),
    })
}

/// A number that stays the same for the same text.
fn number(text: &str) -> u32 {
    text.bytes().fold(7_u32, |all, byte| {
        all.wrapping_mul(31).wrapping_add(u32::from(byte))
    }) >> 1
}
