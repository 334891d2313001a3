//! What a test asks of a node directly, or does to it, past every door.

use std::net::IpAddr;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::HarborNode;
use super::dial::{Answer, Dialer};
use super::registry_client::RegistryClient;
use super::replication::Execution;
use super::users::ACCOUNTS;

/// What pushes of tests call themselves, unless they say otherwise.
pub const DOCKER: &str = "docker/26.1.3 go/go1.21.10 kernel/6.1.0 os/linux arch/amd64";

/// The kind of an image's manifest.
const IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";

impl HarborNode {
    /// The digest of what the node has under a tag or digest, if it has all of it: manifest, blobs, children. Read off
    /// its files, so a dead node can be asked as well and no log shows it.
    pub fn has(&self, repository: &str, reference: &str) -> Option<String> {
        let store = &self.harbor.store;
        let digest = store.manifest(repository, reference)?;
        let manifest: Value = serde_json::from_slice(&store.blob(&digest)?).ok()?;
        let parts = |key: &str| -> Vec<String> {
            let all = manifest[key].as_array().into_iter().flatten();
            all.filter_map(|part| part["digest"].as_str().map(str::to_owned))
                .collect()
        };
        let config = manifest["config"]["digest"].as_str().map(str::to_owned);
        let blobs = parts("layers").into_iter().chain(config);
        let children = parts("manifests");
        let whole = blobs.into_iter().all(|blob| store.links(repository, &blob))
            && children
                .iter()
                .all(|child| self.has(repository, child).is_some());
        whole.then_some(digest)
    }

    /// The digest of what the node serves under a tag, once all of it was pulled from there and is what its names say.
    /// `None`: it knows no such tag.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub async fn serves(&self, repository: &str, tag: &str) -> Result<Option<String>, String> {
        let client = self.client(DOCKER);
        let (repository, tag) = (repository.to_owned(), tag.to_owned());
        self.run(async move {
            let Some(named) = client.digest(&repository, &tag).await? else {
                return Ok(None);
            };
            let (manifest, _) = client.manifest(&repository, &tag).await?;
            let document: Value = serde_json::from_slice(&manifest).map_err(|e| e.to_string())?;
            let layers = document["layers"].as_array().ok_or("no layers")?;
            let mut parts = vec![(named.clone(), manifest)];
            for part in layers.iter().chain([&document["config"]]) {
                let name = part["digest"].as_str().ok_or("a part without a digest")?;
                parts.push((name.to_owned(), client.blob(&repository, name).await?));
            }
            match parts.iter().find(|(name, bytes)| digest(bytes) != *name) {
                Some((name, _)) => Err(format!("{name} has another digest")),
                None => Ok(Some(named)),
            }
        })
        .await
    }

    /// Asks the node's API as its administrator; status and document (null without one).
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let content = body.map_or_else(String::new, |body| body.to_string());
        let answer = self.send(method, path, content).await;
        let document = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status.as_u16(), document)
    }

    /// Makes something by a POST to the node's API; its id.
    ///
    /// # Panics
    /// If the node refuses it.
    pub async fn make(&self, path: &str, body: Value) -> u64 {
        let answer = self.send("POST", path, body.to_string()).await;
        let location = answer.header("location").to_owned();
        let id = location.rsplit('/').next().and_then(|id| id.parse().ok());
        id.unwrap_or_else(|| panic!("POST {path}: {}: {:?}", answer.status, answer.body))
    }

    /// Every run of a policy that the node knows of, oldest first, in whatever dialect.
    pub fn executions(&self) -> Vec<Execution> {
        let state = self.harbor.replication.state();
        state.executions.values().cloned().collect()
    }

    async fn send(&self, method: &str, path: &str, content: String) -> Answer {
        let client = self.client("curl/7.88.1");
        let url = format!("{}{path}", self.url());
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.run(async move {
            let basic = client.basic();
            let lines = [
                ("authorization", basic.as_str()),
                ("content-type", "application/json"),
            ];
            let answer = client.dialer.send(method, &url, &lines, content).await;
            answer.expect("the node answers")
        })
        .await
    }

    /// Pushes a small image straight to the node, as docker does; `salt` makes it unlike others. Returns its digest.
    ///
    /// # Panics
    /// If the node refuses it.
    pub async fn push(&self, repository: &str, tag: &str, salt: &str) -> String {
        self.push_as(DOCKER, repository, tag, salt).await
    }

    /// The same by another client.
    pub async fn push_as(&self, agent: &str, repository: &str, tag: &str, salt: &str) -> String {
        let client = self.client(agent);
        let (repository, tag, salt) = (repository.to_owned(), tag.to_owned(), salt.to_owned());
        self.run(async move { push(&client, &repository, &tag, &salt).await })
            .await
            .expect("the node takes it")
    }

    /// Pushes a blob straight to the node.
    ///
    /// # Panics
    /// If the node refuses it.
    pub async fn push_blob(&self, repository: &str, content: Bytes) {
        let client = self.client(DOCKER);
        let repository = repository.to_owned();
        self.run(async move {
            let digest = digest(&content);
            client.push_blob(&repository, &digest, content).await
        })
        .await
        .expect("the node takes it");
    }

    /// Pushes an image for many platforms, made of images that are there already. Returns its digest.
    ///
    /// # Panics
    /// If the node refuses it.
    pub async fn push_list(&self, repository: &str, tag: &str, children: &[&str]) -> String {
        let client = self.client(DOCKER);
        let kind = "application/vnd.docker.distribution.manifest.list.v2+json";
        let child = |digest: &&str| {
            let size = self.harbor.store.blob(digest).map_or(0, |all| all.len());
            json!({"mediaType": IMAGE, "size": size, "digest": digest, "platform": {"architecture": "amd64", "os": "linux"}})
        };
        let children: Vec<Value> = children.iter().map(child).collect();
        let list = json!({"schemaVersion": 2, "mediaType": kind, "manifests": children});
        let list = list.to_string();
        let digest = digest(list.as_bytes());
        let (repository, tag) = (repository.to_owned(), tag.to_owned());
        self.run(async move {
            client
                .push_manifest(&repository, &tag, kind, Bytes::from(list))
                .await
        })
        .await
        .expect("the node takes it");
        digest
    }

    /// Deletes what a digest names by the registry's API. Returns the status.
    pub async fn delete_manifest(&self, repository: &str, digest: &str) -> u16 {
        let client = self.client(DOCKER);
        let (repository, digest) = (repository.to_owned(), digest.to_owned());
        self.run(async move { client.delete(&repository, &digest).await })
            .await
            .expect("the node answers")
    }

    /// A bearer token of this node for one repository, to pull, push and delete.
    pub async fn token(&self, repository: &str) -> String {
        let client = self.client(DOCKER);
        let repository = repository.to_owned();
        let value = self
            .run(async move { client.bearer(&repository).await })
            .await;
        let value = value.expect("the node gives a token");
        value.trim_start_matches("Bearer ").to_owned()
    }

    /// A client of this node, who comes from no node's address.
    fn client(&self, agent: &str) -> RegistryClient {
        let dialer = Dialer {
            from: IpAddr::from([127, 0, 0, 1]),
            agent: agent.to_owned(),
        };
        let (user, password, _) = ACCOUNTS[0];
        RegistryClient::new(dialer, &self.url(), user, password)
    }
}

/// Pushes a small image as docker does; its digest.
pub async fn push(
    client: &RegistryClient,
    repository: &str,
    tag: &str,
    salt: &str,
) -> Result<String, String> {
    let layer = format!("layer of {salt}");
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Labels": {"salt": salt}}, "rootfs": {"type": "layers", "diff_ids": []}});
    let mut parts = Vec::new();
    for (content, kind) in [
        (config.to_string(), "container.image.v1+json"),
        (layer, "image.rootfs.diff.tar.gzip"),
    ] {
        let digest = digest(content.as_bytes());
        parts.push(json!({
            "mediaType": format!("application/vnd.docker.{kind}"),
            "size": content.len(),
            "digest": digest,
        }));
        if !client.has_blob(repository, &digest).await? {
            client
                .push_blob(repository, &digest, Bytes::from(content))
                .await?;
        }
    }
    let kind = IMAGE;
    let manifest =
        json!({"schemaVersion": 2, "mediaType": kind, "config": parts[0], "layers": [parts[1]]});
    let manifest = manifest.to_string();
    let digest = digest(manifest.as_bytes());
    client
        .push_manifest(repository, tag, kind, Bytes::from(manifest))
        .await?;
    Ok(digest)
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}
