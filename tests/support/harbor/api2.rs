//! `/api/` of Harbor 2.x.

use http::Method;
use serde_json::{Value, json};

use super::core2::{self, Visit, Who};
use super::database::Project;
use super::nginx::Ask;
use super::paging::paged;
use super::reply::{self, Reply};
use super::session::{pairs, parameter, unescape};
use super::{Harbor, artifacts, replication, users};

pub async fn answer(harbor: &Harbor, ask: &mut Ask, visit: &mut Visit) -> Reply {
    if ask.path == "/api/version" && ask.method == Method::GET {
        return reply::text(200, "text/plain; charset=utf-8", "{\"version\":\"v2.0\"}\n");
    }
    let Some(rest) = ask.path.strip_prefix("/api/v2.0/") else {
        return reply::beego_404();
    };
    let rest = rest.trim_end_matches('/').to_owned();
    let parts: Vec<&str> = rest.split('/').collect();
    let allowed: &[Method] = match parts.as_slice() {
        ["projects"] => &[Method::GET, Method::HEAD, Method::POST],
        ["projects", _] => &[Method::DELETE, Method::GET, Method::PUT],
        ["projects", _, "repositories", _] => &[Method::DELETE, Method::GET, Method::PUT],
        ["projects", _, "repositories", _, "artifacts"]
        | ["projects", _, "repositories", _, "artifacts", _, "tags"] => &[Method::GET],
        ["projects", _, "repositories", _, "artifacts", _] => &[Method::DELETE, Method::GET],
        ["projects", _, "repositories", _, "artifacts", _, "tags", _] => &[Method::DELETE],
        ["registries"] | ["replication", "policies" | "executions"] => &[Method::GET, Method::POST],
        ["registries", "ping"] => &[Method::POST],
        ["registries", _] | ["replication", "policies", _] => {
            &[Method::DELETE, Method::GET, Method::PUT]
        }
        ["replication", "executions", _] => &[Method::GET, Method::PUT],
        ["replication", "executions", _, "tasks"]
        | ["replication", "executions", _, "tasks", _, "log"] => &[Method::GET],
        ["projects", _, "summary" | "repositories"]
        | ["ping" | "health" | "systeminfo" | "statistics" | "configurations" | "scanners"]
        | ["audit-logs" | "users"]
        | ["users", "current"]
        | ["users", "current", "permissions"]
        | ["replication", "adapters" | "adapterinfos"]
        | ["export", "cve", "executions"]
        | ["jobservice", "queues"]
        | ["jobservice", "pools", "all", "workers"]
        | ["schedules"]
        | ["schedules", "all", "paused"] => &[Method::GET],
        _ => {
            let message = format!("path {} was not found", ask.path);
            return reply::errors(404, "NOT_FOUND", &message);
        }
    };
    if !allowed.contains(&ask.method) {
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        let message = format!(
            "method {} is not allowed, but [{}] are",
            ask.method,
            names.join(",")
        );
        return reply::errors(405, "METHOD_NOT_ALLOWED", &message);
    }
    match parts.as_slice() {
        ["ping"] => return reply::text(200, "text/plain", "Pong"),
        ["health"] => return reply::json(200, &harbor.health.document2()),
        ["systeminfo"] => return system(harbor, ask, visit).await,
        _ => {}
    }
    let who = match core2::who(harbor, &ask.headers, &visit.session).await {
        Who::User(name) => {
            // Harbor reads the user's row.
            if harbor.database().await.is_err() {
                return core2::internal();
            }
            Some(name)
        }
        _ => None,
    };
    match parts.as_slice() {
        ["projects"] if ask.method == Method::POST => create(harbor, ask, who).await,
        ["projects"] if ask.method == Method::HEAD => exists(harbor, ask).await,
        ["projects"] => list(harbor, ask, who).await,
        ["projects", name] => one(harbor, name, who).await,
        ["projects", name, "repositories"] => repositories(harbor, ask, name, who).await,
        [
            "projects",
            name,
            "repositories",
            repository,
            "artifacts",
            rest @ ..,
        ] => artifacts::answer(harbor, ask, (name, repository), rest, who.as_deref()).await,
        parts if replication::api::is_here(parts) => {
            replication::api::answer(harbor, ask, parts, who.as_deref()).await
        }
        ["projects", name, "repositories", repository] => {
            let remove = ask.method == Method::DELETE;
            repository_of(harbor, name, repository, who, remove).await
        }
        _ => match who {
            Some(name) => known(harbor, &parts, &name),
            None => reply::errors(401, "UNAUTHORIZED", "unauthorized"),
        },
    }
}

/// A document longer than Go's buffer, which is sent in chunks.
fn long(document: &Value) -> Reply {
    let mut reply = reply::json(200, document);
    reply.headers_mut().remove("content-length");
    *reply.body_mut() = super::body::unsized_full(format!("{document}\n"));
    reply
}

/// Documents that only a user sees.
fn known(harbor: &Harbor, parts: &[&str], name: &str) -> Reply {
    match parts {
        ["users", "current"] => reply::json(200, &user(name)),
        ["users", "current", "permissions"] => {
            let one = json!({"action": "read", "resource": "."});
            long(&json!(vec![one; 100]))
        }
        ["statistics"] => reply::json(200, &statistics(harbor)),
        ["projects", _, "summary"] => reply::json(
            200,
            &json!({"project_admin_count": 1, "repo_count": harbor.store.repositories().len()}),
        ),
        ["configurations"] => {
            let mode = json!({"editable": true, "value": "db_auth"});
            long(&json!({"auth_mode": mode, "banner_message": " ".repeat(3000)}))
        }
        ["export", ..] => reply::json(200, &json!({"items": []})),
        ["schedules", "all", "paused"] => reply::json(200, &json!({"paused": false})),
        ["replication", "adapters"] => {
            reply::json(200, &json!(["docker-hub", "docker-registry", "harbor"]))
        }
        ["replication", _] => long(&json!({"harbor": " ".repeat(3000)})),
        ["jobservice", ..] => reply::json(200, &json!([])),
        _ => reply::with(reply::json(200, &json!([])), "x-total-count", "0"),
    }
}

async fn system(harbor: &Harbor, ask: &Ask, visit: &Visit) -> Reply {
    let who = core2::who(harbor, &ask.headers, &visit.session).await;
    if !harbor.has_configuration() {
        return core2::internal();
    }
    let mut document = json!({
        "auth_mode": "db_auth",
        "banner_message": "",
        "harbor_version": harbor.options.version,
        "primary_auth_mode": false,
        "self_registration": false,
    });
    if matches!(who, Who::User(_)) {
        let url = harbor.options.external_url.as_str();
        document["external_url"] = url.into();
        document["registry_url"] = url.split("://").last().unwrap_or_default().into();
        document["current_time"] = super::time::json(std::time::SystemTime::now()).into();
        document["read_only"] = harbor.faults.on(super::faults::Switch::ReadOnly).into();
        document["has_ca_root"] = false.into();
        document["registry_storage_provider_name"] = "filesystem".into();
    }
    reply::json(200, &document)
}

fn user(name: &str) -> Value {
    let id = users::ACCOUNTS
        .iter()
        .position(|(n, _, _)| *n == name)
        .map_or(0, |i| i + 1);
    json!({
        "admin_role_in_auth": false,
        "comment": format!("{name} user"),
        "creation_time": "2026-01-02T03:04:05.678Z",
        "realname": name,
        "sysadmin_flag": users::is_admin(name),
        "update_time": "2026-01-02T03:04:05.678Z",
        "user_id": id,
        "username": name,
    })
}

fn statistics(harbor: &Harbor) -> Value {
    let projects = harbor.store.projects();
    let public = projects.iter().filter(|p| p.public).count();
    json!({
        "private_project_count": projects.len() - public,
        "public_project_count": public,
        "total_project_count": projects.len(),
        "total_repo_count": harbor.store.repositories().len(),
    })
}

fn document(harbor: &Harbor, project: &Project, user: Option<&str>) -> Value {
    let prefix = format!("{}/", project.name);
    let count = harbor
        .store
        .repositories()
        .iter()
        .filter(|r| r.starts_with(&prefix))
        .count();
    let mut document = json!({
        "creation_time": project.created,
        "current_user_role_ids": null,
        "metadata": {"public": project.public.to_string()},
        "name": project.name,
        "owner_id": 1,
        "owner_name": project.owner,
        "project_id": project.id,
        "repo_count": count,
        "update_time": project.created,
    });
    if user.is_some() {
        document["current_user_role_id"] = 1.into();
        document["current_user_role_ids"] = json!([1]);
    }
    document
}

fn sees(project: &Project, user: Option<&str>) -> bool {
    project.public || user.is_some_and(|u| users::is_admin(u) || project.owner == u)
}

async fn list(harbor: &Harbor, ask: &Ask, user: Option<String>) -> Reply {
    if harbor.database().await.is_err() {
        return core2::internal();
    }
    let parameters = pairs(&ask.query);
    let name = parameter(&parameters, "name");
    let all: Vec<Value> = harbor
        .store
        .projects()
        .iter()
        .filter(|p| sees(p, user.as_deref()) && p.name.contains(name))
        .map(|p| document(harbor, p, user.as_deref()))
        .collect();
    paged(ask, all, |page| reply::json(200, page))
}

async fn exists(harbor: &Harbor, ask: &Ask) -> Reply {
    if harbor.database().await.is_err() {
        return core2::internal();
    }
    let parameters = pairs(&ask.query);
    let found = harbor
        .store
        .project(parameter(&parameters, "project_name"))
        .is_some();
    reply::nothing(if found { 200 } else { 404 })
}

async fn create(harbor: &Harbor, ask: &mut Ask, user: Option<String>) -> Reply {
    let Some(user) = user else {
        return reply::errors(401, "UNAUTHORIZED", "unauthorized");
    };
    let body = ask.body.collect(1 << 16).await;
    let Ok(wish) = serde_json::from_slice::<Value>(&body) else {
        return reply::errors(422, "UNPROCESSABLE_ENTITY", "parsing project body failed");
    };
    let name = wish["project_name"].as_str().unwrap_or_default();
    let public = wish["metadata"]["public"] == "true" || wish["public"] == true;
    match harbor.store.create(name, public, &user) {
        Some(id) => reply::with(
            reply::nothing(201),
            "location",
            &format!("/api/v2.0/projects/{id}"),
        ),
        None => reply::errors(
            409,
            "CONFLICT",
            &format!("The project named {name} already exists"),
        ),
    }
}

pub async fn find(harbor: &Harbor, name: &str, user: Option<&str>) -> Result<Project, Reply> {
    if harbor.database().await.is_err() {
        return Err(core2::internal());
    }
    let name = unescape(name).unwrap_or_default();
    let found = harbor
        .store
        .projects()
        .into_iter()
        .find(|p| p.name == name || p.id.to_string() == name);
    match found {
        Some(project) if sees(&project, user) => Ok(project),
        Some(_) if user.is_some() => Err(reply::errors(403, "FORBIDDEN", "forbidden")),
        None if user.is_some() => Err(reply::errors(
            404,
            "NOT_FOUND",
            &format!("project {name} not found"),
        )),
        _ => Err(reply::errors(401, "UNAUTHORIZED", "unauthorized")),
    }
}

async fn one(harbor: &Harbor, name: &str, user: Option<String>) -> Reply {
    match find(harbor, name, user.as_deref()).await {
        Ok(project) => reply::json(200, &document(harbor, &project, user.as_deref())),
        Err(refused) => refused,
    }
}

async fn repositories(harbor: &Harbor, ask: &Ask, name: &str, user: Option<String>) -> Reply {
    match find(harbor, name, user.as_deref()).await {
        Ok(project) => {
            let prefix = format!("{}/", project.name);
            let all = harbor.store.repositories();
            let names: Vec<Value> = all
                .iter()
                .filter(|r| r.starts_with(&prefix))
                .map(|r| json!({"artifact_count": harbor.store.artifacts(r).len(), "name": r, "project_id": project.id}))
                .collect();
            paged(ask, names, |page| reply::json(200, page))
        }
        Err(refused) => refused,
    }
}

/// Repository names are encoded twice in paths; nginx takes off one layer, core the other.
async fn repository_of(
    harbor: &Harbor,
    name: &str,
    repository: &str,
    user: Option<String>,
    remove: bool,
) -> Reply {
    match find(harbor, name, user.as_deref()).await {
        Ok(_) if remove && user.is_none() => reply::errors(401, "UNAUTHORIZED", "unauthorized"),
        Ok(project) => {
            let once = unescape(repository).unwrap_or_default();
            let full = format!("{}/{}", project.name, unescape(&once).unwrap_or_default());
            if harbor.store.has_repository(&full) {
                if remove {
                    artifacts::remove_repository(harbor, &full);
                    return reply::nothing(200);
                }
                let count = harbor.store.artifacts(&full).len();
                return reply::json(
                    200,
                    &json!({"artifact_count": count, "name": full, "project_id": project.id}),
                );
            }
            reply::errors(404, "NOT_FOUND", &format!("repository {full} not found"))
        }
        Err(refused) => refused,
    }
}
