//! Repositories and tags in the API of Harbor 1.x.

use http::Method;
use serde_json::{Value, json};

use super::api1::{failure, lines, pretty};
use super::changes;
use super::nginx::Ask;
use super::paging::paged;
use super::reply::{self, Reply};
use super::session::{pairs, parameter};
use super::{Dialect, Harbor, users};

/// Answers for `rest` below `/api/repositories`.
pub fn answer(harbor: &Harbor, ask: &Ask, rest: &[&str], user: Option<&str>) -> Reply {
    if rest.is_empty() {
        return list(harbor, ask, user);
    }
    let (name, tag) = match rest.iter().rposition(|part| *part == "tags") {
        Some(at) if at > 0 => (rest[..at].join("/"), Some(&rest[at + 1..])),
        _ => (rest.join("/"), None),
    };
    if let Some(refused) = refusal(harbor, ask, &name, user) {
        return refused;
    }
    if !harbor.store.has_repository(&name) {
        return failure(harbor, 404, &format!("repository {name} not found"));
    }
    let delete = ask.method == Method::DELETE;
    match (tag, delete) {
        (None, true) => {
            for tag in harbor.store.tags(&name) {
                remove(harbor, &name, &tag);
            }
            forget(harbor, &name);
            reply::nothing(200)
        }
        (Some([]), false) => {
            let tags = harbor.store.tags(&name);
            let all: Vec<Value> = tags.iter().map(|tag| detail(harbor, &name, tag)).collect();
            pretty(&lines(&Value::from(all)))
        }
        (Some([tag]), delete) => {
            if harbor.store.manifest(&name, tag).is_none() {
                let message = format!("resource: {name}:{tag} not found");
                return failure(harbor, 404, &message);
            }
            if !delete {
                return pretty(&lines(&detail(harbor, &name, tag)));
            }
            remove(harbor, &name, tag);
            if harbor.store.tags(&name).is_empty() {
                forget(harbor, &name);
            }
            reply::nothing(200)
        }
        _ => super::api1::not_found(harbor),
    }
}

/// What is answered to somebody who may not; nothing if he may.
fn refusal(harbor: &Harbor, ask: &Ask, name: &str, user: Option<&str>) -> Option<Reply> {
    let project = name.split('/').next().unwrap_or_default();
    let Some(project) = harbor.store.project(project) else {
        let message = format!("project {project} not found");
        return Some(failure(harbor, 404, &message));
    };
    let owns = user.is_some_and(|u| users::is_admin(u) || project.owner == u);
    if owns || (project.public && ask.is_safe()) {
        return None;
    }
    let status = if user.is_some() { 403 } else { 401 };
    Some(failure(harbor, status, "not allowed"))
}

/// 1.x deletes what the tag names, and so every other tag of it.
fn remove(harbor: &Harbor, name: &str, tag: &str) {
    if let Some(digest) = harbor.store.manifest(name, tag) {
        harbor.store.remove_artifact(name, &digest);
        changes::gone(harbor, name, &digest, vec![tag.to_owned()]);
    }
}

fn forget(harbor: &Harbor, name: &str) {
    harbor.store.remove(name);
    harbor.store.note_gone(name, "");
}

fn list(harbor: &Harbor, ask: &Ask, user: Option<&str>) -> Reply {
    let asked = pairs(&ask.query);
    let Ok(id) = parameter(&asked, "project_id").parse::<usize>() else {
        return failure(harbor, 400, "invalid project_id");
    };
    let Some(project) = harbor.store.projects().into_iter().find(|p| p.id == id) else {
        return failure(harbor, 404, &format!("project {id} not found"));
    };
    if let Some(refused) = refusal(harbor, ask, &project.name, user) {
        return refused;
    }
    let prefix = format!("{}/", project.name);
    let wanted = parameter(&asked, "q");
    let all = harbor.store.repositories().into_iter();
    let all = all.filter(|name| name.starts_with(&prefix) && name.contains(wanted));
    let documents = all.zip(1..).map(|(name, id)| {
        json!({
            "id": id,
            "name": name,
            "project_id": project.id,
            "description": "",
            "pull_count": 0,
            "star_count": 0,
            "tags_count": harbor.store.tags(&name).len(),
            "labels": [],
            "creation_time": project.created,
            "update_time": project.created,
        })
    });
    paged(ask, documents.collect(), |page| pretty(&lines(page)))
}

fn detail(harbor: &Harbor, name: &str, tag: &str) -> Value {
    let digest = harbor.store.manifest(name, tag).unwrap_or_default();
    let mut document = json!({
        "digest": digest,
        "name": tag,
        "size": 0,
        "architecture": "amd64",
        "os": "linux",
        "docker_version": "",
        "author": "",
        "created": "0001-01-01T00:00:00Z",
        "signature": null,
        "labels": [],
    });
    if harbor.options.dialect == Dialect::Harbor1 {
        let times = harbor.store.times(name);
        document["push_time"] = times.of_tag(tag).into();
        document["pull_time"] = "0001-01-01T00:00:00Z".into();
        document["immutable"] = false.into();
    }
    document
}
