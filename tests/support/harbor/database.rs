//! What Harbor keeps in its database. Projects and the times of pushes are lines of files beside the storage, so that
//! nodes that share storage share them, or in a directory of their own; repositories, tags and blobs are read off the
//! registry's own files.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A project.
#[derive(Clone, Debug)]
pub struct Project {
    pub id: usize,
    pub name: String,
    pub public: bool,
    pub owner: String,
    pub created: String,
}

/// The database of a cluster.
pub struct Database {
    storage: PathBuf,
    directory: PathBuf,
}

impl Database {
    /// `directory` is where what is not read off the registry's files is kept.
    pub fn open(storage: &Path, directory: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("the database's directory can be made");
        Self {
            storage: storage.to_owned(),
            directory: directory.to_owned(),
        }
    }

    pub fn projects(&self) -> Vec<Project> {
        let fixed = [("library", true), ("private", false)];
        let mut all: Vec<Project> = fixed
            .iter()
            .enumerate()
            .map(|(index, (name, public))| Project {
                id: index + 1,
                name: (*name).to_owned(),
                public: *public,
                owner: "admin".to_owned(),
                created: "2026-01-02T03:04:05.678Z".to_owned(),
            })
            .collect();
        let lines = std::fs::read_to_string(self.file()).unwrap_or_default();
        for line in lines.lines() {
            let Ok(value) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let name = value["name"].as_str().unwrap_or_default().to_owned();
            if all.iter().any(|p| p.name == name) {
                continue;
            }
            all.push(Project {
                id: all.len() + 1,
                name,
                public: value["public"] == true,
                owner: value["owner"].as_str().unwrap_or("admin").to_owned(),
                created: value["created"].as_str().unwrap_or_default().to_owned(),
            });
        }
        all
    }

    pub fn project(&self, name: &str) -> Option<Project> {
        self.projects().into_iter().find(|p| p.name == name)
    }

    /// Adds a project and returns its id; `None` if the name is taken.
    pub fn create(&self, name: &str, public: bool, owner: &str) -> Option<usize> {
        if self.project(name).is_some() {
            return None;
        }
        let created = super::time::json(std::time::SystemTime::now());
        let line = json!({"name": name, "public": public, "owner": owner, "created": created});
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file())
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .expect("the storage is writable");
        self.project(name).map(|p| p.id)
    }

    /// All repositories that hold a manifest, sorted.
    pub fn repositories(&self) -> Vec<String> {
        let root = self.root().join("repositories");
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.sort();
        found
    }

    pub fn has_repository(&self, name: &str) -> bool {
        self.root()
            .join("repositories")
            .join(name)
            .join("_manifests")
            .is_dir()
    }

    /// Takes a repository with all its manifests away. Its blobs stay until somebody collects garbage.
    pub fn remove(&self, name: &str) {
        let place = self.root().join("repositories").join(name);
        std::fs::remove_dir_all(place.join("_manifests")).expect("the storage is writable");
    }

    /// Sorted tags of a repository.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let tags = self
            .root()
            .join("repositories")
            .join(repository)
            .join("_manifests/tags");
        let mut names: Vec<String> = std::fs::read_dir(tags)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The digests of a repository's manifests, sorted, with their tags.
    pub fn artifacts(&self, repository: &str) -> Vec<(String, Vec<String>)> {
        let place = self.root().join("repositories").join(repository);
        let revisions = place.join("_manifests/revisions/sha256");
        let mut all: Vec<(String, Vec<String>)> = std::fs::read_dir(revisions)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| std::fs::read_to_string(entry.path().join("link")).ok())
            .map(|digest| (digest.trim().to_owned(), Vec::new()))
            .collect();
        all.sort();
        for tag in self.tags(repository) {
            let digest = self.manifest(repository, &tag);
            if let Some((_, tags)) = all.iter_mut().find(|(d, _)| Some(d) == digest.as_ref()) {
                tags.push(tag);
            }
        }
        all
    }

    /// The tags of a digest.
    pub fn tags_of(&self, repository: &str, digest: &str) -> Vec<String> {
        let all = self.artifacts(repository).into_iter();
        let mut found = all.filter(|(one, _)| one == digest);
        found.next().map(|(_, tags)| tags).unwrap_or_default()
    }

    /// Takes a manifest away with all its tags. Its blobs stay.
    pub fn remove_artifact(&self, repository: &str, digest: &str) {
        for tag in self.tags_of(repository, digest) {
            self.untag(repository, &tag);
        }
        let place = self.root().join("repositories").join(repository);
        let revision = digest.replacen(':', "/", 1);
        let revision = place.join("_manifests/revisions").join(revision);
        std::fs::remove_dir_all(revision).expect("the storage is writable");
    }

    /// Takes a tag off what it names.
    pub fn untag(&self, repository: &str, tag: &str) {
        let place = self.root().join("repositories").join(repository);
        let tag = place.join("_manifests/tags").join(tag);
        std::fs::remove_dir_all(tag).expect("the storage is writable");
    }

    /// The digest that a tag or digest names in a repository.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<String> {
        let manifests = self
            .root()
            .join("repositories")
            .join(repository)
            .join("_manifests");
        let link = match reference.split_once(':') {
            Some((algorithm, hex)) => manifests
                .join("revisions")
                .join(algorithm)
                .join(hex)
                .join("link"),
            None => manifests.join("tags").join(reference).join("current/link"),
        };
        std::fs::read_to_string(link)
            .ok()
            .map(|digest| digest.trim().to_owned())
    }

    /// Whether any repository holds the blob.
    pub fn has_blob(&self, digest: &str) -> bool {
        self.data(digest).is_some_and(|file| file.is_file())
    }

    /// The content of a blob or manifest.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        std::fs::read(self.data(digest)?).ok()
    }

    /// Whether a repository holds the blob.
    pub fn links(&self, repository: &str, digest: &str) -> bool {
        let layers = self.root().join("repositories").join(repository);
        let link = digest.replacen(':', "/", 1);
        self.has_blob(digest) && layers.join("_layers").join(link).join("link").is_file()
    }

    fn data(&self, digest: &str) -> Option<PathBuf> {
        let (algorithm, hex) = digest.split_once(':')?;
        let blobs = self.root().join("blobs").join(algorithm);
        Some(blobs.join(hex.get(..2)?).join(hex).join("data"))
    }

    fn root(&self) -> PathBuf {
        self.storage.join("docker/registry/v2")
    }

    /// Where pushes are noted.
    pub fn pushes(&self) -> PathBuf {
        self.directory.join("pushes.jsonl")
    }

    fn file(&self) -> PathBuf {
        self.directory.join("projects.jsonl")
    }
}

fn walk(root: &Path, directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == "_manifests" {
            if let Ok(repository) = directory.strip_prefix(root) {
                found.push(repository.to_string_lossy().into_owned());
            }
        } else if !name.starts_with('_') && entry.path().is_dir() {
            walk(root, &entry.path(), found);
        }
    }
}
