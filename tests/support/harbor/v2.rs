//! `/v2/` of Harbor 2.x: core decides, the registry serves.

use http::{Method, header};
use serde_json::Value;

use super::core2::{self, Visit, Who};
use super::faults::Switch;
use super::nginx::Ask;
use super::reply::{self, Reply};
use super::session::{pairs, parameter, unescape};
use super::{Harbor, changes, lag, registry, users};

/// What a path under `/v2/` names.
pub enum Thing {
    Base,
    Catalog,
    Tags(String),
    Referrers(String),
    Manifest(String, String),
    Blob(String, String),
    Uploads(String),
    Upload(String, String),
    Unknown,
}

pub fn thing(path: &str) -> Thing {
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    match rest {
        "" => return Thing::Base,
        "_catalog" => return Thing::Catalog,
        _ => {}
    }
    let text = |s: &str| s.to_owned();
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Thing::Tags(text(name));
    }
    if let Some((name, upload)) = rest.rsplit_once("/blobs/uploads/") {
        return if upload.is_empty() {
            Thing::Uploads(text(name))
        } else {
            Thing::Upload(text(name), text(upload))
        };
    }
    if let Some(name) = rest.strip_suffix("/blobs/uploads") {
        return Thing::Uploads(text(name));
    }
    for (part, make) in [
        (
            "/manifests/",
            Thing::Manifest as fn(String, String) -> Thing,
        ),
        ("/blobs/", Thing::Blob),
        ("/referrers/", |name, _| Thing::Referrers(name)),
    ] {
        if let Some((name, reference)) = rest.rsplit_once(part) {
            return make(text(name), unescape(reference).unwrap_or_default());
        }
    }
    Thing::Unknown
}

impl Thing {
    pub fn repository(&self) -> Option<&str> {
        match self {
            Self::Tags(name)
            | Self::Referrers(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _) => Some(name),
            Self::Base | Self::Catalog | Self::Unknown => None,
        }
    }
}

pub async fn answer(harbor: &Harbor, ask: &mut Ask, visit: &mut Visit) -> Reply {
    let thing = thing(&ask.path);
    let who = core2::who(harbor, &ask.headers, &visit.session).await;
    if let Err(refused) = allow(harbor, ask, &thing, &who).await {
        return refused;
    }
    match &thing {
        Thing::Catalog => catalog(harbor, ask),
        Thing::Tags(name) => tags(harbor, name),
        Thing::Manifest(name, reference)
            if ask.method == Method::GET || ask.method == Method::HEAD =>
        {
            match manifest(harbor, ask, name, reference).await {
                Ok(digest) => {
                    // Core asks by digest, which spares clients without Accept the oldest format.
                    ask.target = format!("/v2/{name}/manifests/{digest}");
                    forward(harbor, ask).await
                }
                Err(own) => own,
            }
        }
        Thing::Blob(_, digest) if ask.method == Method::HEAD && !harbor.store.has_blob(digest) => {
            reply::errors(404, "NOT_FOUND", &format!("blob {digest} not found"))
        }
        Thing::Upload(name, upload) => match lag::stale(harbor, name, upload) {
            Some(reply) => reply,
            None => send_upload(harbor, ask, upload).await,
        },
        Thing::Uploads(_) | Thing::Manifest(..) if !ask.is_safe() => {
            let mounts = pairs(&ask.query).iter().any(|(name, _)| name == "mount");
            let grows = ask.method == Method::PUT || mounts;
            if grows && harbor.faults.on(Switch::QuotaExceeded) {
                return full();
            }
            let before = tags_before(harbor, ask, &thing);
            let reply = forward(harbor, ask).await;
            note(harbor, ask, &thing, before, &reply);
            let opened = reply.headers().get("docker-upload-uuid");
            if let Some(upload) = opened.and_then(|uuid| uuid.to_str().ok()) {
                lag::wrote(harbor, upload, true);
            }
            reply
        }
        _ => forward(harbor, ask).await,
    }
}

/// The tags that a DELETE of a manifest will take with it.
pub fn tags_before(harbor: &Harbor, ask: &Ask, thing: &Thing) -> Vec<String> {
    match thing {
        Thing::Manifest(name, digest) if ask.method == Method::DELETE => {
            harbor.store.tags_of(name, digest)
        }
        _ => Vec::new(),
    }
}

/// Passes on what a request did to a manifest.
pub fn note(harbor: &Harbor, ask: &Ask, thing: &Thing, before: Vec<String>, reply: &Reply) {
    match thing {
        Thing::Manifest(name, reference) if ask.method == Method::PUT => {
            changes::put(harbor, &ask.headers, name, reference, reply);
        }
        Thing::Manifest(name, digest) if ask.method == Method::DELETE => {
            changes::deleted(harbor, name, digest, before, reply);
        }
        _ => {}
    }
}

/// A PATCH or PUT of a blob: core keeps the accepted size in Redis and fails if it cannot.
async fn send_upload(harbor: &Harbor, ask: &mut Ask, upload: &str) -> Reply {
    if ask.method == Method::PUT && harbor.faults.on(Switch::QuotaExceeded) {
        return full();
    }
    let patch = ask.method == Method::PATCH;
    let reply = forward(harbor, ask).await;
    if patch && reply.status() == 202 {
        lag::wrote(harbor, upload, false);
        let range = reply
            .headers()
            .get(header::RANGE)
            .and_then(|v| v.to_str().ok());
        let last = range
            .and_then(|r| r.split_once('-'))
            .and_then(|(_, last)| last.parse::<u64>().ok());
        let size = last.map_or(0, |last| last + 1);
        if harbor
            .sessions
            .accept_upload(upload, size, &harbor.faults)
            .await
            .is_err()
        {
            return core2::internal();
        }
    }
    reply
}

fn full() -> Reply {
    let message = "adding 1.0 MiB of storage resource, which when updated to current usage of 10.0 MiB will exceed the configured upper limit of 10.0 MiB.";
    reply::errors(403, "DENIED", message)
}

async fn forward(harbor: &Harbor, ask: &mut Ask) -> Reply {
    let has_body = !http_body::Body::is_end_stream(&ask.body);
    match harbor.registry.forward(ask, true).await {
        Ok(response) => registry::pass(response),
        // Core stops reading, and nginx, still sending, takes that for its death.
        Err(error) if has_body && error.kind() != std::io::ErrorKind::ConnectionRefused => {
            reply::nginx_page(502, "nginx")
        }
        Err(_) => reply::nothing(502),
    }
}

/// Lets the request through or refuses it with a challenge.
async fn allow(harbor: &Harbor, ask: &Ask, thing: &Thing, who: &Who) -> Result<(), Reply> {
    match thing {
        Thing::Base | Thing::Unknown => match who {
            Who::Anonymous => Err(challenge(harbor, ask, "unauthorized", &Needs::new())),
            _ => Ok(()),
        },
        Thing::Catalog => match who {
            Who::User(name) if users::is_admin(name) => Ok(()),
            _ => Err(basic("unauthorized to list catalog")),
        },
        _ => {
            let name = thing.repository().unwrap_or_default();
            let scopes = needed(ask, name);
            if !core2::has_credentials(&ask.headers)
                && !matches!(who, Who::User(_))
                && matches!(ask.method, Method::GET | Method::HEAD)
            {
                let message = "authorize header needed to send HEAD to repository";
                return Err(challenge(harbor, ask, message, &scopes));
            }
            for (repository, actions) in &scopes {
                let project = project_of(harbor, repository).await?;
                let refused = actions
                    .iter()
                    .find(|action| !may(who, repository, &project, action));
                if let Some(action) = refused {
                    let message = format!(
                        "unauthorized to access repository: {repository}, action: {action}"
                    );
                    return Err(challenge(harbor, ask, &message, &scopes));
                }
            }
            Ok(())
        }
    }
}

type Needs = Vec<(String, Vec<&'static str>)>;

fn needed(ask: &Ask, name: &str) -> Needs {
    let own = match ask.method {
        Method::GET | Method::HEAD => vec!["pull"],
        Method::DELETE => vec!["delete"],
        _ => vec!["pull", "push"],
    };
    let mut all = vec![(name.to_owned(), own)];
    let parameters = pairs(&ask.query);
    let from = parameter(&parameters, "from");
    if ask.method == Method::POST && !from.is_empty() {
        all.push((from.to_owned(), vec!["pull"]));
    }
    all
}

async fn project_of(harbor: &Harbor, repository: &str) -> Result<super::database::Project, Reply> {
    let name = repository.split('/').next().unwrap_or_default();
    if harbor.database().await.is_err() {
        let refused = "failed to connect to `host=127.0.0.1 user=postgres database=registry`: dial error (dial tcp 127.0.0.1:5433: connect: connection refused)";
        return Err(unchallenged(refused));
    }
    harbor
        .store
        .project(name)
        .ok_or_else(|| unchallenged(&format!("project {name} not found")))
}

fn may(who: &Who, repository: &str, project: &super::database::Project, action: &str) -> bool {
    if action == "pull" && project.public {
        return true;
    }
    match who {
        Who::Anonymous => false,
        Who::User(name) => {
            users::is_admin(name) || project.owner == *name || name.starts_with("robot$")
        }
        Who::Token(claims) => claims["access"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|access| access["name"] == repository)
            .flat_map(|access| access["actions"].as_array().cloned().unwrap_or_default())
            .any(|granted| granted == action),
    }
}

fn refused(message: &str) -> Reply {
    let reply = reply::errors(401, "UNAUTHORIZED", &format!("{message}: {message}"));
    reply::with(reply, "docker-distribution-api-version", "registry/2.0")
}

/// A refusal whose `Www-Authenticate` is there and empty.
fn unchallenged(message: &str) -> Reply {
    reply::with(refused(message), "www-authenticate", "")
}

fn basic(message: &str) -> Reply {
    reply::with(
        refused(message),
        "www-authenticate",
        "Basic realm=\"harbor\"",
    )
}

fn challenge(harbor: &Harbor, ask: &Ask, message: &str, scopes: &Needs) -> Reply {
    if core2::has_credentials(&ask.headers) {
        return basic(message);
    }
    let internal = ask.host == harbor.options.core_host;
    let external = harbor.options.external_url.trim_end_matches('/');
    let base = if internal {
        format!("http://{}", ask.host)
    } else {
        external.to_owned()
    };
    let mut value = format!("Bearer realm=\"{base}/service/token\",service=\"harbor-registry\"");
    if !scopes.is_empty() {
        let all: Vec<String> = scopes
            .iter()
            .map(|(name, actions)| format!("repository:{name}:{}", actions.join(",")))
            .collect();
        value.push_str(&format!(",scope=\"{}\"", all.join(" ")));
    }
    reply::with(refused(message), "www-authenticate", &value)
}

/// The digest of a manifest, or what core answers itself, from its database.
async fn manifest(
    harbor: &Harbor,
    ask: &Ask,
    name: &str,
    reference: &str,
) -> Result<String, Reply> {
    if harbor.database().await.is_err() {
        return Err(core2::internal());
    }
    let Some(digest) = harbor.store.manifest(name, reference) else {
        let message = if harbor.store.has_repository(name) {
            let mark = if reference.contains(':') { '@' } else { ':' };
            format!("artifact {name}{mark}{reference} not found")
        } else {
            format!("repository {name} not found")
        };
        return Err(reply::errors(404, "NOT_FOUND", &message));
    };
    let known = ask
        .headers
        .get(header::IF_NONE_MATCH)
        .and_then(|v| v.to_str().ok());
    if known.is_some_and(|tag| tag.trim_matches('"') == digest) {
        return Err(reply::bare(304));
    }
    Ok(digest)
}

fn tags(harbor: &Harbor, name: &str) -> Reply {
    if !harbor.store.has_repository(name) {
        return reply::errors(404, "NOT_FOUND", &format!("repository {name} not found"));
    }
    let tags = harbor.store.tags(name);
    let content = format!(
        "{{\"name\":{},\"tags\":{}}}\n",
        Value::from(name),
        serde_json::json!(tags)
    );
    reply::text(200, "application/json; charset=utf-8", content)
}

fn catalog(harbor: &Harbor, ask: &Ask) -> Reply {
    let parameters = pairs(&ask.query);
    let mut all = harbor.store.repositories();
    if let Ok(limit) = parameter(&parameters, "n").parse::<usize>() {
        all.truncate(limit);
    }
    let content = format!("{}\n", serde_json::json!({"repositories": all}));
    reply::text(200, "application/json; charset=utf-8", content)
}
