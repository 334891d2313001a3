//! `/api/` of Harbor 1.10 and 1.5.

use http::Method;
use serde_json::{Value, json};

use super::core1::plain;
use super::database::Project;
use super::faults::{Component, Mode, Switch};
use super::nginx::Ask;
use super::paging::paged;
use super::reply::{self, Chunked, Reply};
use super::session::{Session, pairs, parameter};
use super::{Dialect, Harbor, replication, repositories1, users};

/// Marks an answer that goes out before the framework sets its XSRF cookie.
#[derive(Clone)]
pub struct NoXsrf;

pub async fn answer(harbor: &Harbor, ask: &mut Ask, session: &Session) -> Reply {
    let new = harbor.options.dialect == Dialect::Harbor1;
    let rest = ask
        .path
        .strip_prefix("/api/")
        .unwrap_or_default()
        .trim_end_matches('/')
        .to_owned();
    let parts: Vec<&str> = rest.split('/').collect();
    match (ask.method.as_str(), parts.as_slice()) {
        ("GET", ["ping"]) => return pretty("\"Pong\""),
        ("GET", ["health"]) if new => return pretty(&harbor.health.document1()),
        ("GET", ["systeminfo"]) => return system(harbor).await,
        (
            "GET" | "POST" | "DELETE",
            ["projects" | "statistics", ..]
            | ["users", "current"]
            | ["repositories", "top"]
            | ["logs", ..],
        ) => {}
        ("GET" | "DELETE", ["repositories", ..]) => {}
        (_, parts) if replicates(new, parts) => {}
        _ => return not_found(harbor),
    }
    if ask.method == Method::DELETE && harbor.faults.on(Switch::ReadOnly) {
        return plain(
            503,
            "The system is in read only mode. Any modification is prohibited.\n",
        );
    }
    if harbor.database().await.is_err() {
        return failure(harbor, 500, "Internal Server Error");
    }
    let user = match users::basic(&ask.headers) {
        Some((name, password)) => {
            let lock = harbor.options.timing.lock;
            harbor
                .users
                .check(&name, &password, lock)
                .await
                .then_some(name)
        }
        None => session.user.clone(),
    };
    match (parts.as_slice(), user) {
        (["projects"], user) if ask.method == Method::GET => list(harbor, ask, user.as_deref()),
        (["repositories", "top"], _) => top(harbor),
        (["repositories", rest @ ..], user) if user.is_some() || ask.is_safe() => {
            repositories1::answer(harbor, ask, rest, user.as_deref())
        }
        (_, None) => {
            // The user is asked for before the framework gets to its cookie.
            let mut refused = failure(harbor, 401, "UnAuthorize");
            refused.extensions_mut().insert(NoXsrf);
            refused
        }
        (["projects"], Some(user)) => create(harbor, ask, &user).await,
        (["users", "current"], Some(user)) => pretty(&lines(&current(harbor, &user))),
        (["statistics"], _) => pretty(&lines(
            &json!({"total_project_count": harbor.store.projects().len()}),
        )),
        (parts, user) if new && replicates(new, parts) => {
            replication::api::answer(harbor, ask, parts, user.as_deref()).await
        }
        (parts, user) if replicates(new, parts) => {
            replication::api15::answer(harbor, ask, parts, user.as_deref()).await
        }
        (["projects", id], _) => match harbor
            .store
            .projects()
            .iter()
            .find(|p| p.id.to_string() == *id)
        {
            Some(project) => pretty(&lines(&document(harbor, project))),
            None => failure(harbor, 404, "Not Found"),
        },
        _ => pretty("[]"),
    }
}

/// Whether a path is about replication, in its dialect's words.
fn replicates(new: bool, parts: &[&str]) -> bool {
    if new {
        replication::api::is_here(parts)
    } else {
        replication::api15::is_here(parts)
    }
}

/// The framework's 404; 1.5 sends it in chunks.
pub fn not_found(harbor: &Harbor) -> Reply {
    let mut reply = reply::beego_404();
    if harbor.options.dialect == Dialect::Harbor15 {
        *reply.body_mut() = super::body::unsized_full(
            "\n<!DOCTYPE html>\n<html lang=\"en\"><title>Page Not Found</title></html>",
        );
        reply.headers_mut().remove("content-length");
        reply.extensions_mut().clear();
    }
    reply
}

pub fn failure(harbor: &Harbor, status: u16, message: &str) -> Reply {
    if harbor.options.dialect == Dialect::Harbor15 {
        return plain(status, "\n");
    }
    plain(
        status,
        &format!("{{\"code\":{status},\"message\":\"{message}\"}}\n"),
    )
}

pub fn pretty(content: &str) -> Reply {
    reply::compressible(200, "application/json; charset=utf-8", content.to_owned())
}

pub fn lines(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON is written")
}

async fn system(harbor: &Harbor) -> Reply {
    let old = harbor.options.dialect == Dialect::Harbor15;
    if old && harbor.faults.unhung(Component::Adminserver).await != Mode::Ok {
        return reply::text(500, "text/plain; charset=utf-8", "Unexpected error");
    }
    if !old && harbor.database().await.is_err() {
        return failure(harbor, 500, "Internal Server Error");
    }
    let url = harbor.options.external_url.trim_end_matches('/');
    let host = url.split("://").last().unwrap_or_default();
    let mut document = json!({
        "with_notary": false,
        "with_admiral": false,
        "auth_mode": "db_auth",
        "registry_url": host,
        "project_creation_restriction": "everyone",
        "self_registration": old,
        "has_ca_root": false,
        "harbor_version": harbor.options.version,
        "registry_storage_provider_name": "filesystem",
        "read_only": harbor.faults.on(Switch::ReadOnly),
    });
    if old {
        document["with_clair"] = false.into();
        document["next_scan_all"] = 0.into();
    } else {
        document["external_url"] = url.into();
        document["with_chartmuseum"] = false.into();
    }
    pretty(&lines(&document))
}

fn current(harbor: &Harbor, name: &str) -> Value {
    let admin = users::is_admin(name);
    let old = harbor.options.dialect == Dialect::Harbor15;
    let id = users::ACCOUNTS
        .iter()
        .position(|(n, _, _)| *n == name)
        .map_or(0, |i| i + 1);
    json!({
        "user_id": id,
        "username": name,
        "email": "",
        "realname": name,
        "comment": format!("{name} user"),
        "deleted": if old { json!(0) } else { json!(false) },
        "has_admin_role": if old { json!(u8::from(admin)) } else { json!(admin) },
        "creation_time": "2026-01-02T03:04:05Z",
    })
}

fn document(harbor: &Harbor, project: &Project) -> Value {
    let prefix = format!("{}/", project.name);
    let count = harbor
        .store
        .repositories()
        .iter()
        .filter(|r| r.starts_with(&prefix))
        .count();
    json!({
        "project_id": project.id,
        "owner_id": 1,
        "name": project.name,
        "creation_time": project.created,
        "update_time": project.created,
        "owner_name": "",
        "repo_count": count,
        "metadata": {"public": project.public.to_string()},
    })
}

fn list(harbor: &Harbor, ask: &Ask, user: Option<&str>) -> Reply {
    let asked = pairs(&ask.query);
    let name = parameter(&asked, "name");
    let all: Vec<Value> = harbor
        .store
        .projects()
        .iter()
        .filter(|p| p.public || user.is_some_and(|u| users::is_admin(u) || p.owner == u))
        .filter(|p| p.name.contains(name))
        .map(|p| document(harbor, p))
        .collect();
    paged(ask, all, |page| pretty(&lines(page)))
}

/// The most pulled public repositories; fails with the registry if there are any (1.5 asks it for their tags).
fn top(harbor: &Harbor) -> Reply {
    let public: Vec<String> = harbor
        .store
        .repositories()
        .into_iter()
        .filter(|r| {
            r.split('/')
                .next()
                .and_then(|p| harbor.store.project(p))
                .is_some_and(|p| p.public)
        })
        .collect();
    if !public.is_empty() && !harbor.registry.is_running() {
        return failure(harbor, 500, "Internal Server Error");
    }
    let all: Vec<Value> = public
        .iter()
        .map(|name| json!({"name": name, "pull_count": 0}))
        .collect();
    pretty(&lines(&Value::from(all)))
}

async fn create(harbor: &Harbor, ask: &mut Ask, user: &str) -> Reply {
    let body = ask.body.collect(1 << 16).await;
    let wish: Value = serde_json::from_slice(&body).unwrap_or_default();
    let name = wish["project_name"].as_str().unwrap_or_default();
    let public = wish["metadata"]["public"] == "true" || wish["public"] == true;
    match harbor.store.create(name, public, user) {
        Some(id) => reply::with(
            reply::nothing(201),
            "location",
            &format!("/api/projects/{id}"),
        ),
        None => failure(harbor, 409, "The project already exists"),
    }
}
