//! Replication in the API of Harbor 1.5: targets, policies, jobs.

use serde_json::{Value, json};

use super::super::api1::{failure, lines, not_found, pretty};
use super::super::nginx::Ask;
use super::super::paging::paged;
use super::super::reply::{self, Reply};
use super::super::session::{pairs, parameter};
use super::super::{Harbor, users};
use super::peer::Peer;
use super::{Deleted, Policy, Remote, Task};

/// Whether these parts of a path are answered here.
pub fn is_here(parts: &[&str]) -> bool {
    matches!(
        parts,
        ["targets", ..] | ["policies" | "jobs", "replication", ..] | ["replications"]
    )
}

/// Answers for what [`is_here`].
pub async fn answer(harbor: &Harbor, ask: &mut Ask, parts: &[&str], user: Option<&str>) -> Reply {
    if !user.is_some_and(users::is_admin) {
        return failure(harbor, if user.is_some() { 403 } else { 401 }, "");
    }
    let body = ask.body.collect(1 << 16).await;
    let wish: Value = serde_json::from_slice(&body).unwrap_or_default();
    match parts {
        ["targets", rest @ ..] => targets(harbor, ask, rest, &wish).await,
        ["policies", _, rest @ ..] => policies(harbor, ask, rest, &wish),
        ["jobs", _, rest @ ..] => jobs(harbor, ask, rest, &wish),
        _ => run(harbor, ask, &wish),
    }
}

fn made(ask: &Ask, id: u64) -> Reply {
    let location = format!("{}/{id}", ask.path.trim_end_matches('/'));
    reply::with(reply::nothing(201), "location", &location)
}

async fn targets(harbor: &Harbor, ask: &Ask, rest: &[&str], wish: &Value) -> Reply {
    let replication = &harbor.replication;
    let text = |name: &str| wish[name].as_str().unwrap_or_default().to_owned();
    let id = match rest {
        ["ping"] => wish["id"].as_u64(),
        [id, ..] => id.parse().ok(),
        [] => None,
    };
    let known = id.and_then(|id| replication.state().remotes.get(&id).cloned());
    match (ask.method.as_str(), rest, known) {
        ("GET", [], _) => {
            let state = replication.state();
            let all: Vec<Value> = state.remotes.values().map(document).collect();
            pretty(&lines(&Value::from(all)))
        }
        ("POST", [], _) => {
            let mut state = replication.state();
            let twin = |r: &Remote| r.name == text("name") || r.url == text("endpoint");
            if state.remotes.values().any(twin) {
                return failure(harbor, 409, "name or endpoint is already used");
            }
            let id = state.next();
            let remote = Remote {
                id,
                name: text("name"),
                url: text("endpoint"),
                insecure: wish["insecure"] == true,
                user: text("username"),
                secret: text("password"),
                created: super::now(),
            };
            state.remotes.insert(id, remote);
            made(ask, id)
        }
        ("POST", ["ping"] | [_, "ping"], Some(remote)) => {
            match Peer::new(harbor, &remote).reach().await {
                Ok(()) => reply::nothing(200),
                Err(_) => failure(harbor, 400, "can not connect to the target"),
            }
        }
        ("GET", [_], Some(remote)) => pretty(&lines(&document(&remote))),
        ("PUT", [_], Some(mut remote)) => {
            for (name, place) in [
                ("name", &mut remote.name),
                ("endpoint", &mut remote.url),
                ("username", &mut remote.user),
                ("password", &mut remote.secret),
            ] {
                if wish[name].is_string() {
                    *place = text(name);
                }
            }
            replication.state().remotes.insert(remote.id, remote);
            reply::nothing(200)
        }
        ("DELETE", [_], Some(remote)) => {
            let mut state = replication.state();
            if state.policies.values().any(|policy| policy.to == remote.id) {
                return failure(harbor, 412, "the target is used by policies");
            }
            state.remotes.remove(&remote.id);
            reply::nothing(200)
        }
        _ => failure(harbor, 404, "target not found"),
    }
}

fn document(remote: &Remote) -> Value {
    json!({
        "id": remote.id,
        "endpoint": remote.url,
        "name": remote.name,
        "username": remote.user,
        "password": "",
        "type": 0,
        "insecure": remote.insecure,
        "creation_time": remote.created,
        "update_time": remote.created,
    })
}

fn policies(harbor: &Harbor, ask: &Ask, rest: &[&str], wish: &Value) -> Reply {
    let mut state = harbor.replication.state();
    let id = rest.first().and_then(|id| id.parse::<u64>().ok());
    if !rest.is_empty() && !id.is_some_and(|id| state.policies.contains_key(&id)) {
        return failure(harbor, 404, "policy not found");
    }
    let told = |policy: &Policy| {
        let errors = state.executions.values().filter(|e| e.policy == policy.id);
        let errors: usize = errors.map(|e| e.count("Failed")).sum();
        let mut document = policy.told();
        document["error_job_count"] = json!(errors);
        document
    };
    match (ask.method.as_str(), id) {
        ("GET", None) => {
            let all = state.policies.values().map(told).collect();
            paged(ask, all, |page| pretty(&lines(page)))
        }
        ("GET", Some(id)) => pretty(&lines(&told(&state.policies[&id]))),
        ("POST" | "PUT", _) => {
            let projects = harbor.store.projects();
            let name_of = |id: u64| {
                let found = projects.iter().find(|p| p.id as u64 == id);
                found.map(|p| p.name.clone())
            };
            let new = id.unwrap_or_else(|| state.next());
            let policy = Policy::read15(new, wish, name_of);
            if policy.name.is_empty() || policy.projects.as_ref().is_none_or(Vec::is_empty) {
                return failure(harbor, 400, "name and projects are needed");
            }
            if !state.remotes.contains_key(&policy.to) {
                return failure(harbor, 404, "target not found");
            }
            state.policies.insert(new, policy.clone());
            drop(state);
            if wish["replicate_existing_image_now"] == true {
                harbor.replication.run_whole(policy);
            }
            if id.is_some() {
                reply::nothing(200)
            } else {
                made(ask, new)
            }
        }
        ("DELETE", Some(id)) => {
            let busy = state
                .executions
                .values()
                .any(|e| e.policy == id && e.end.is_none());
            if busy {
                return failure(harbor, 412, "the policy has running jobs");
            }
            state.policies.remove(&id);
            reply::nothing(200)
        }
        _ => not_found(harbor),
    }
}

fn run(harbor: &Harbor, ask: &Ask, wish: &Value) -> Reply {
    if ask.method != http::Method::POST {
        return not_found(harbor);
    }
    let id = wish["policy_id"].as_u64().unwrap_or_default();
    let policy = harbor.replication.state().policies.get(&id).cloned();
    match policy.and_then(|policy| harbor.replication.run_whole(policy)) {
        Some(_) => reply::nothing(200),
        None => failure(harbor, 404, "policy not found"),
    }
}

fn jobs(harbor: &Harbor, ask: &Ask, rest: &[&str], wish: &Value) -> Reply {
    let replication = &harbor.replication;
    let asked = pairs(&ask.query);
    match (ask.method.as_str(), rest) {
        ("GET", []) => {
            let Ok(policy) = parameter(&asked, "policy_id").parse::<u64>() else {
                return failure(harbor, 400, "invalid policy_id");
            };
            let statuses: Vec<&str> = asked
                .iter()
                .filter(|(name, _)| name == "status")
                .map(|(_, value)| value.as_str())
                .collect();
            let repository = parameter(&asked, "repository");
            let state = replication.state();
            let tasks = state
                .executions
                .values()
                .rev()
                .filter(|e| e.policy == policy);
            let all = tasks
                .flat_map(|execution| &execution.tasks)
                .filter(|task| statuses.is_empty() || statuses.contains(&status(task)))
                .filter(|task| task.artifact.repository.contains(repository))
                .map(|task| job(policy, task))
                .collect();
            paged(ask, all, |page| pretty(&lines(page)))
        }
        ("PUT", []) => {
            let policy = wish["policy_id"].as_u64().unwrap_or_default();
            if wish["status"] != "stop" {
                return failure(harbor, 400, "unrecognized status");
            }
            let state = replication.state();
            let running = state.executions.values();
            let running = running.filter(|e| e.policy == policy && e.end.is_none());
            let running: Vec<u64> = running.map(|e| e.id).collect();
            drop(state);
            for id in running {
                replication.stop(id);
            }
            reply::nothing(200)
        }
        ("GET", [id, "log"]) => {
            let state = replication.state();
            let mut tasks = state.executions.values().flat_map(|e| &e.tasks);
            match tasks.find(|task| task.id.to_string() == *id) {
                Some(task) => reply::text(200, "text/plain", task.log.clone()),
                None => failure(harbor, 404, "job not found"),
            }
        }
        _ => not_found(harbor),
    }
}

fn status(task: &Task) -> &'static str {
    match task.status {
        "Pending" => "pending",
        "InProgress" => "running",
        "Retrying" => "retrying",
        "Succeed" => "finished",
        "Stopped" => "stopped",
        _ => "error",
    }
}

fn job(policy: u64, task: &Task) -> Value {
    let copied = task.artifact.deleted == Deleted::No;
    json!({
        "id": task.id,
        "status": status(task),
        "repository": task.artifact.repository,
        "policy_id": policy,
        "operation": if copied { "transfer" } else { "delete" },
        "tags": task.artifact.references(),
        "creation_time": task.start,
        "update_time": task.end.as_ref().unwrap_or(&task.start),
    })
}
