//! Replication in the API of Harbor 1.10 and 2.x: the same documents under other paths.

use http::Method;
use serde_json::{Value, json};

use super::super::api1;
use super::super::nginx::Ask;
use super::super::paging::paged;
use super::super::reply::{self, Reply};
use super::super::session::{pairs, parameter};
use super::super::{Dialect, Harbor, users};
use super::peer::Peer;
use super::{Execution, Policy, Remote, State, Task};

/// Whether these parts of a path are answered here.
pub fn is_here(parts: &[&str]) -> bool {
    matches!(
        parts,
        ["registries", ..] | ["replication", "policies" | "executions", ..]
    )
}

/// Answers for what [`is_here`].
pub async fn answer(harbor: &Harbor, ask: &mut Ask, parts: &[&str], user: Option<&str>) -> Reply {
    if !user.is_some_and(users::is_admin) {
        let (status, code) = match user {
            Some(_) => (403, "FORBIDDEN"),
            None => (401, "UNAUTHORIZED"),
        };
        return refuse(harbor, status, code, &code.to_lowercase());
    }
    let body = ask.body.collect(1 << 16).await;
    let wish: Value = serde_json::from_slice(&body).unwrap_or_default();
    match parts {
        ["registries", rest @ ..] => registries(harbor, ask, rest, &wish).await,
        ["replication", "policies", rest @ ..] => policies(harbor, ask, rest, &wish),
        ["replication", _, rest @ ..] => executions(harbor, ask, rest, &wish),
        _ => refuse(harbor, 404, "NOT_FOUND", "not found"),
    }
}

fn refuse(harbor: &Harbor, status: u16, code: &str, message: &str) -> Reply {
    if harbor.options.dialect == Dialect::Harbor2 {
        reply::errors(status, code, message)
    } else {
        api1::failure(harbor, status, message)
    }
}

fn unknown(harbor: &Harbor, what: &str, id: &str) -> Reply {
    refuse(harbor, 404, "NOT_FOUND", &format!("{what} {id} not found"))
}

fn tell(harbor: &Harbor, document: &Value) -> Reply {
    if harbor.options.dialect == Dialect::Harbor2 {
        reply::json(200, document)
    } else {
        api1::pretty(&api1::lines(document))
    }
}

fn made(ask: &Ask, id: u64) -> Reply {
    let location = format!("{}/{id}", ask.path.trim_end_matches('/'));
    reply::with(reply::nothing(201), "location", &location)
}

async fn registries(harbor: &Harbor, ask: &Ask, rest: &[&str], wish: &Value) -> Reply {
    let replication = &harbor.replication;
    let text = |name: &str| wish[name].as_str().unwrap_or_default().to_owned();
    match (ask.method.as_str(), rest) {
        ("GET", []) => {
            let remotes: Vec<Remote> = replication.state().remotes.values().cloned().collect();
            let wanted = parameter(&pairs(&ask.query), "name").to_owned();
            let all = remotes
                .iter()
                .filter(|remote| remote.name.contains(&wanted));
            let all = all.map(|remote| remote_document(remote, true)).collect();
            paged(ask, all, |page| tell(harbor, page))
        }
        ("POST", []) => {
            let mut remote = Remote {
                id: 0,
                name: text("name"),
                url: text("url"),
                insecure: wish["insecure"] == true,
                user: String::new(),
                secret: String::new(),
                created: super::now(),
            };
            trust(&mut remote, wish);
            let taken = |state: &State| state.remotes.values().any(|r| r.name == remote.name);
            if remote.name.is_empty() || remote.url.is_empty() {
                return refuse(harbor, 400, "BAD_REQUEST", "name and url are needed");
            }
            if taken(&replication.state()) {
                let message = format!("registry {} already exists", remote.name);
                return refuse(harbor, 409, "CONFLICT", &message);
            }
            if Peer::new(harbor, &remote).reach().await.is_err() {
                return refuse(harbor, 400, "BAD_REQUEST", "the registry is unhealthy");
            }
            let mut state = replication.state();
            let id = state.next();
            remote.id = id;
            state.remotes.insert(id, remote);
            made(ask, id)
        }
        ("POST", ["ping"]) => {
            let id = wish["id"].as_u64().unwrap_or_default();
            let Some(remote) = replication.state().remotes.get(&id).cloned() else {
                return unknown(harbor, "registry", &id.to_string());
            };
            match Peer::new(harbor, &remote).reach().await {
                Ok(()) => reply::nothing(200),
                Err(_) => refuse(harbor, 400, "BAD_REQUEST", "the registry is unhealthy"),
            }
        }
        (method, [number]) => {
            let id = number.parse().unwrap_or_default();
            let Some(mut remote) = replication.state().remotes.get(&id).cloned() else {
                return unknown(harbor, "registry", number);
            };
            match method {
                "GET" => {
                    let healthy = Peer::new(harbor, &remote).reach().await.is_ok();
                    tell(harbor, &remote_document(&remote, healthy))
                }
                "PUT" => {
                    if wish["name"].is_string() {
                        remote.name = text("name");
                    }
                    if wish["url"].is_string() {
                        remote.url = text("url");
                    }
                    trust(&mut remote, wish);
                    replication.state().remotes.insert(id, remote);
                    reply::nothing(200)
                }
                "DELETE" => {
                    let mut state = replication.state();
                    if state.policies.values().any(|policy| policy.to == id) {
                        let message = "the registry is referenced by replication policies";
                        return refuse(harbor, 412, "PRECONDITION", message);
                    }
                    state.remotes.remove(&id);
                    reply::nothing(200)
                }
                _ => refuse(harbor, 405, "METHOD_NOT_ALLOWED", "method not allowed"),
            }
        }
        _ => unknown(harbor, "path", &ask.path),
    }
}

/// Takes over the credentials of a document, which says them in one of two ways.
fn trust(remote: &mut Remote, wish: &Value) {
    let credential = &wish["credential"];
    for (name, place) in [
        ("access_key", &mut remote.user),
        ("access_secret", &mut remote.secret),
    ] {
        let told = credential[name].as_str().or_else(|| wish[name].as_str());
        if let Some(told) = told {
            told.clone_into(place);
        }
    }
}

fn remote_document(remote: &Remote, healthy: bool) -> Value {
    json!({
        "id": remote.id,
        "name": remote.name,
        "description": "",
        "type": "harbor",
        "url": remote.url,
        "credential": {"type": "basic", "access_key": remote.user, "access_secret": "*****"},
        "insecure": remote.insecure,
        "status": if healthy { "healthy" } else { "unhealthy" },
        "creation_time": remote.created,
        "update_time": remote.created,
    })
}

fn policies(harbor: &Harbor, ask: &Ask, rest: &[&str], wish: &Value) -> Reply {
    let mut state = harbor.replication.state();
    let id = rest.first().and_then(|id| id.parse::<u64>().ok());
    if let (Some(number), false) = (
        rest.first(),
        id.is_some_and(|id| state.policies.contains_key(&id)),
    ) {
        return unknown(harbor, "replication policy", number);
    }
    match (ask.method.as_str(), id) {
        ("GET", None) => {
            let wanted = parameter(&pairs(&ask.query), "name").to_owned();
            let all = state
                .policies
                .values()
                .filter(|policy| policy.name.contains(&wanted));
            let all = all.map(|policy| policy_document(&state, policy)).collect();
            paged(ask, all, |page| tell(harbor, page))
        }
        ("GET", Some(id)) => tell(harbor, &policy_document(&state, &state.policies[&id])),
        ("POST" | "PUT", _) => {
            let new = id.unwrap_or(0);
            let mut policy = Policy::read(new, wish);
            if policy.name.is_empty() {
                return refuse(harbor, 400, "BAD_REQUEST", "empty name");
            }
            if state
                .policies
                .values()
                .any(|p| p.name == policy.name && p.id != new)
            {
                let message = format!("replication policy {} already exists", policy.name);
                return refuse(harbor, 409, "CONFLICT", &message);
            }
            if !state.remotes.contains_key(&policy.to) {
                return refuse(harbor, 400, "BAD_REQUEST", "registry not found");
            }
            if let Some(id) = id {
                state.policies.insert(id, policy);
                return reply::nothing(200);
            }
            policy.id = state.next();
            let id = policy.id;
            state.policies.insert(id, policy);
            made(ask, id)
        }
        ("DELETE", Some(id)) => {
            let busy = |e: &Execution| e.policy == id && e.end.is_none();
            if state.executions.values().any(busy) {
                let message = format!("the policy {id} has running executions, can not be deleted");
                return refuse(harbor, 412, "PRECONDITION", &message);
            }
            state.policies.remove(&id);
            state
                .executions
                .retain(|_, execution| execution.policy != id);
            reply::nothing(200)
        }
        _ => refuse(harbor, 405, "METHOD_NOT_ALLOWED", "method not allowed"),
    }
}

fn policy_document(state: &State, policy: &Policy) -> Value {
    let mut document = policy.told();
    if let Some(remote) = state.remotes.get(&policy.to) {
        document["dest_registry"] = remote_document(remote, true);
    }
    document
}

fn executions(harbor: &Harbor, ask: &Ask, rest: &[&str], wish: &Value) -> Reply {
    let replication = &harbor.replication;
    let method = ask.method.as_str();
    let asked = pairs(&ask.query);
    let all_or = |name: &str, value: &str| {
        let wanted = parameter(&asked, name);
        wanted.is_empty() || wanted == value
    };
    let [number, rest @ ..] = rest else {
        if method == "POST" {
            let id = wish["policy_id"].as_u64().unwrap_or_default();
            let policy = replication.state().policies.get(&id).cloned();
            return match policy {
                None => unknown(harbor, "replication policy", &id.to_string()),
                Some(policy) if !policy.enabled => {
                    let message = format!("the policy {id} is disabled");
                    let new = harbor.options.dialect == Dialect::Harbor2;
                    refuse(
                        harbor,
                        if new { 412 } else { 400 },
                        "PRECONDITION",
                        &message,
                    )
                }
                Some(policy) => match replication.run_whole(policy) {
                    Some(id) => made(ask, id),
                    None => refuse(harbor, 500, "UNKNOWN", "internal server error"),
                },
            };
        }
        let state = replication.state();
        let all = state.executions.values().rev().filter(|e| {
            all_or("policy_id", &e.policy.to_string())
                && all_or("status", e.status)
                && all_or("trigger", e.trigger)
        });
        let all = all.map(execution_document).collect();
        return paged(ask, all, |page| tell(harbor, page));
    };
    let id = number.parse().unwrap_or_default();
    let execution = replication.state().executions.get(&id).cloned();
    let Some(execution) = execution else {
        return unknown(harbor, "replication execution", number);
    };
    match (method, rest) {
        ("GET", []) => tell(harbor, &execution_document(&execution)),
        ("PUT", []) => {
            replication.stop(id);
            reply::nothing(200)
        }
        ("GET", ["tasks"]) => {
            let tasks = execution
                .tasks
                .iter()
                .filter(|task| all_or("status", task.status));
            let all = tasks.map(|task| task_document(&execution, task)).collect();
            paged(ask, all, |page| tell(harbor, page))
        }
        ("GET", ["tasks", task, "log"]) => {
            let task = execution
                .tasks
                .iter()
                .find(|one| one.id.to_string() == *task);
            match task {
                Some(task) => reply::text(200, "text/plain", task.log.clone()),
                None => unknown(harbor, "task", number),
            }
        }
        _ => refuse(harbor, 405, "METHOD_NOT_ALLOWED", "method not allowed"),
    }
}

fn execution_document(execution: &Execution) -> Value {
    let running = ["Pending", "InProgress", "Retrying"];
    let running: usize = running.iter().map(|status| execution.count(status)).sum();
    json!({
        "id": execution.id,
        "policy_id": execution.policy,
        "status": execution.status,
        "status_text": execution.status_text,
        "trigger": execution.trigger,
        "start_time": execution.start,
        "end_time": execution.end.as_deref().unwrap_or("0001-01-01T00:00:00.000Z"),
        "total": execution.tasks.len(),
        "failed": execution.count("Failed"),
        "succeed": execution.count("Succeed"),
        "in_progress": running,
        "stopped": execution.count("Stopped"),
    })
}

fn task_document(execution: &Execution, task: &Task) -> Value {
    let copied = task.artifact.deleted == super::Deleted::No;
    let names = task.artifact.references().join(",");
    let resource = format!("{}:[{names}]", task.artifact.repository);
    json!({
        "id": task.id,
        "execution_id": execution.id,
        "status": if task.status == "Retrying" { "InProgress" } else { task.status },
        "operation": if copied { "copy" } else { "deletion" },
        "resource_type": "image",
        "src_resource": resource,
        "dst_resource": resource,
        "job_id": format!("{:024x}", task.id),
        "start_time": task.start,
        "end_time": task.end.as_deref().unwrap_or("0001-01-01T00:00:00.000Z"),
    })
}
