//! The Harbor at the other end, as replication sees it.

use http::Method;
use serde_json::json;

use super::super::dial::{Answer, Dialer};
use super::super::registry_client::{AGENT, RegistryClient};
use super::super::{Dialect, Harbor};
use super::Remote;
use super::policy::{Artifact, Deleted};

/// What Harbor's API client calls itself.
const PLAIN: &str = "Go-http-client/1.1";

/// The other Harbor.
pub struct Peer {
    pub registry: RegistryClient,
    api: Dialer,
    dialect: Dialect,
}

impl Peer {
    /// The Harbor that `remote` tells of, asked from this node's own address.
    pub fn new(harbor: &Harbor, remote: &Remote) -> Self {
        let dialer = |agent: &str| Dialer {
            from: harbor.options.address.ip(),
            agent: agent.to_owned(),
        };
        let mut registry =
            RegistryClient::new(dialer(AGENT), &remote.url, &remote.user, &remote.secret);
        registry.follows_realm = harbor.options.replication.follows_realm;
        Self {
            registry,
            api: dialer(PLAIN),
            dialect: harbor.options.dialect,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> Result<Answer, String> {
        let url = format!("{}{path}", self.registry.url);
        let basic = self.registry.basic();
        let lines = [
            ("authorization", basic.as_str()),
            ("content-type", "application/json"),
        ];
        self.api.send(method, &url, &lines, body).await
    }

    /// Whether it is there: what building the adapter asks.
    pub async fn reach(&self) -> Result<(), String> {
        let path = match self.dialect {
            Dialect::Harbor2 => "/api/version",
            Dialect::Harbor1 | Dialect::Harbor15 => "/api/systeminfo",
        };
        let answer = self.ask(Method::GET, path, String::new()).await?;
        answer.among(&[200], "no harbor").map(drop)
    }

    /// Makes a project unless it is there.
    pub async fn prepare(&self, project: &str, public: bool) -> Result<(), String> {
        let path = match self.dialect {
            Dialect::Harbor2 => "/api/v2.0/projects",
            Dialect::Harbor1 | Dialect::Harbor15 => "/api/projects",
        };
        let wish = json!({"project_name": project, "metadata": {"public": public.to_string()}});
        let asked = format!("{path}?name={project}&page_size=100");
        let known = self.ask(Method::GET, &asked, String::new()).await?;
        let known = known.among(&[200], "cannot list projects")?;
        let known: Vec<serde_json::Value> = serde_json::from_slice(&known.body).unwrap_or_default();
        if known.iter().any(|one| one["name"] == project) {
            return Ok(());
        }
        let made = self.ask(Method::POST, path, wish.to_string()).await?;
        made.among(&[201, 409], "cannot make the project").map(drop)
    }

    /// Deletes what this node has deleted, if it is still there.
    pub async fn delete(&self, artifact: &Artifact) -> Result<(), String> {
        let repository = artifact.repository.as_str();
        for reference in artifact.references() {
            if self
                .registry
                .digest(repository, &reference)
                .await?
                .is_none()
            {
                continue;
            }
            let path = if self.dialect == Dialect::Harbor2 {
                let (project, rest) = repository.split_once('/').unwrap_or((repository, ""));
                let rest = rest.replace('/', "%252F");
                let tag = match artifact.deleted {
                    Deleted::Tag => format!("/tags/{reference}"),
                    _ => String::new(),
                };
                format!(
                    "/api/v2.0/projects/{project}/repositories/{rest}/artifacts/{reference}{tag}"
                )
            } else {
                format!("/api/repositories/{repository}/tags/{reference}")
            };
            let answer = self.ask(Method::DELETE, &path, String::new()).await?;
            answer.among(&[200, 404], "cannot delete")?;
        }
        Ok(())
    }
}
