//! `/service/token`: who may do what, signed.

use http::Method;
use serde_json::{Value, json};

use super::faults::{Component, Mode};
use super::nginx::Ask;
use super::reply::{self, Reply};
use super::session::{pairs, parameter};
use super::token::{LIFETIME, Scope, scopes};
use super::{Dialect, Harbor, users};

/// The token service of 2.x.
pub async fn token2(harbor: &Harbor, ask: &Ask) -> Reply {
    if ask.method != Method::GET {
        return reply::errors(405, "METHOD_NOT_ALLOWED", "method not allowed");
    }
    let parameters = pairs(&ask.query);
    let service = parameter(&parameters, "service");
    if service != "harbor-registry" {
        let message = format!("Unable to handle service: {service}");
        return reply::text(400, "text/plain; charset=utf-8", message);
    }
    let scopes = scopes(&parameters);
    let reachable = harbor.database().await.is_ok();
    let mut user = None;
    if let Some((name, password)) = users::basic(&ask.headers) {
        let right = reachable
            && harbor
                .users
                .check(&name, &password, harbor.options.timing.lock)
                .await;
        if right {
            user = Some(name);
        } else if reachable || scopes.is_empty() {
            return reply::nothing(401);
        }
    } else if scopes.is_empty() {
        return reply::nothing(401);
    }
    let access = access(harbor, user.as_deref(), &scopes, reachable);
    let token = harbor.key().sign(user.as_deref(), &access);
    let issued = super::time::seconds(harbor.now());
    let content = format!(
        r#"{{"token":"{token}","access_token":"","expires_in":{LIFETIME},"issued_at":"{issued}"}}"#
    );
    reply::compressible(200, "application/json; charset=utf-8", content)
}

/// The token service of 1.x: it wants a user or something to ask for, and writes its answer over several lines.
pub async fn token1(harbor: &Harbor, ask: &Ask) -> Reply {
    if ask.method != Method::GET {
        return reply::beego_404();
    }
    let parameters = pairs(&ask.query);
    let service = parameter(&parameters, "service");
    if service != "harbor-registry" {
        let message = format!("Unable to handle service: {service}");
        return reply::text(400, "text/plain; charset=utf-8", message);
    }
    let configured = harbor.faults.of(Component::Adminserver) == Mode::Ok;
    if harbor.database().await.is_err() || !configured {
        return reply::nothing(500);
    }
    let scopes = scopes(&parameters);
    let mut user = None;
    if let Some((name, password)) = users::basic(&ask.headers) {
        if !harbor
            .users
            .check(&name, &password, harbor.options.timing.lock)
            .await
        {
            return reply::nothing(401);
        }
        user = Some(name);
    } else if scopes.is_empty() {
        return reply::nothing(401);
    }
    let access = access(harbor, user.as_deref(), &scopes, true);
    let token = harbor.key().sign(user.as_deref(), &access);
    let issued = super::time::seconds(harbor.now());
    let content = if harbor.options.dialect == Dialect::Harbor15 {
        format!(
            "{{\n  \"token\": \"{token}\",\n  \"expires_in\": {LIFETIME},\n  \"issued_at\": \"{issued}\"\n}}"
        )
    } else {
        format!(
            "{{\n  \"token\": \"{token}\",\n  \"access_token\": \"\",\n  \"expires_in\": {LIFETIME},\n  \"issued_at\": \"{issued}\"\n}}"
        )
    };
    reply::compressible(200, "application/json; charset=utf-8", content)
}

fn access(harbor: &Harbor, user: Option<&str>, scopes: &[Scope], reachable: bool) -> Value {
    if scopes.is_empty() {
        return Value::Null;
    }
    let one = |scope: &Scope| {
        let actions = if reachable {
            granted(harbor, user, scope)
        } else {
            Vec::new()
        };
        // The order of the keys is Harbor's.
        format!(
            r#"{{"type":{},"name":{},"actions":{}}}"#,
            json!(scope.kind),
            json!(scope.name),
            json!(actions)
        )
    };
    let all: Vec<String> = scopes.iter().map(one).collect();
    serde_json::from_str(&format!("[{}]", all.join(","))).expect("made of JSON")
}

fn granted(harbor: &Harbor, user: Option<&str>, scope: &Scope) -> Vec<&'static str> {
    let dialect = harbor.options.dialect;
    if scope.kind != "repository" {
        let all = scope.kind == "registry" && user.is_some_and(users::is_admin);
        return if all { vec!["*"] } else { Vec::new() };
    }
    let project = scope.name.split('/').next().unwrap_or_default();
    let Some(project) = harbor.store.project(project) else {
        return Vec::new();
    };
    let owner =
        user.is_some_and(|u| users::is_admin(u) || project.owner == u || u.starts_with("robot$"));
    if owner {
        return match dialect {
            Dialect::Harbor2 => vec!["pull", "push", "delete"],
            Dialect::Harbor1 => vec!["pull", "push", "delete", "*"],
            // The registry of 1.5 deletes for `*`; the one here, which is newer, for `delete`.
            Dialect::Harbor15 if scope.actions.iter().any(|action| action == "*") => {
                vec!["push", "*", "pull", "delete"]
            }
            Dialect::Harbor15 => vec!["push", "*", "pull"],
        };
    }
    if project.public {
        vec!["pull"]
    } else {
        Vec::new()
    }
}
