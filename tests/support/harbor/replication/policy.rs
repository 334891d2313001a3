//! What is replicated where: policies, their filters, and what they choose.

use serde_json::{Value, json};

use super::super::Dialect;
use super::super::database::Database;
use super::pattern::{matches, matches15};

/// One filter of a policy.
#[derive(Clone, Debug)]
pub struct Filter {
    /// `name` or `tag`; others let everything through.
    pub kind: String,
    pub pattern: String,
    pub excludes: bool,
}

/// A policy, whatever dialect it was told in.
#[derive(Clone, Debug)]
pub struct Policy {
    pub id: u64,
    pub name: String,
    pub enabled: bool,
    pub overrides: bool,
    pub replicates_deletion: bool,
    /// The id of a registry.
    pub to: u64,
    pub event_based: bool,
    pub filters: Vec<Filter>,
    /// The projects of a policy of 1.5, which has no others.
    pub projects: Option<Vec<String>>,
    /// As it was told.
    pub document: Value,
}

/// An artifact with the tags that a policy has chosen, or one that is gone.
#[derive(Clone, Debug)]
pub struct Artifact {
    pub repository: String,
    pub digest: String,
    pub tags: Vec<String>,
    pub deleted: Deleted,
}

/// What became of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    No,
    /// Only a tag was taken off it.
    Tag,
    Whole,
}

impl Artifact {
    /// What names it at the other side: its tags, else its digest.
    pub fn references(&self) -> Vec<String> {
        if self.tags.is_empty() {
            vec![self.digest.clone()]
        } else {
            self.tags.clone()
        }
    }
}

impl Policy {
    /// The artifact as far as the filters let it through.
    pub fn choose(&self, mut artifact: Artifact, dialect: Dialect) -> Option<Artifact> {
        let (project, rest) = artifact.repository.split_once('/')?;
        if self
            .projects
            .as_ref()
            .is_some_and(|all| !all.iter().any(|p| p == project))
        {
            return None;
        }
        let old = dialect == Dialect::Harbor15;
        let matches = if old { matches15 } else { matches };
        for filter in &self.filters {
            match filter.kind.as_str() {
                // 1.5 leaves the project away.
                "repository" if old && !matches(&filter.pattern, rest) => return None,
                "name" if !matches(&filter.pattern, &artifact.repository) => return None,
                "tag"
                    if artifact.tags.is_empty()
                        && matches(&filter.pattern, "") == filter.excludes =>
                {
                    return None;
                }
                "tag" if !artifact.tags.is_empty() => {
                    let keeps = |tag: &String| matches(&filter.pattern, tag) != filter.excludes;
                    artifact.tags.retain(keeps);
                    if artifact.tags.is_empty() {
                        return None;
                    }
                }
                _ => {}
            }
        }
        Some(artifact)
    }

    /// Everything in the node's database that the policy chooses.
    pub fn chosen(&self, store: &Database, dialect: Dialect) -> Vec<Artifact> {
        let all = store.repositories().into_iter().flat_map(|repository| {
            let artifacts = store.artifacts(&repository).into_iter();
            artifacts.map(move |(digest, tags)| Artifact {
                repository: repository.clone(),
                digest,
                tags,
                deleted: Deleted::No,
            })
        });
        // 1.x knows no artifact without a tag.
        all.filter(|artifact| dialect == Dialect::Harbor2 || !artifact.tags.is_empty())
            .filter_map(|artifact| self.choose(artifact, dialect))
            .collect()
    }

    /// Reads a policy of 1.10 or 2.x.
    pub fn read(id: u64, document: &Value) -> Self {
        let flag = |name: &str, default: bool| document[name].as_bool().unwrap_or(default);
        let filters = document["filters"].as_array().into_iter().flatten();
        Self {
            id,
            name: document["name"].as_str().unwrap_or_default().to_owned(),
            enabled: flag("enabled", false),
            overrides: flag("override", false),
            replicates_deletion: flag("replicate_deletion", false) || flag("deletion", false),
            to: document["dest_registry"]["id"].as_u64().unwrap_or_default(),
            event_based: document["trigger"]["type"] == "event_based",
            filters: filters.map(filter).collect(),
            projects: None,
            document: document.clone(),
        }
    }

    /// Reads a policy of 1.5; `name_of` knows the projects.
    pub fn read15(id: u64, document: &Value, name_of: impl Fn(u64) -> Option<String>) -> Self {
        let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
        let projects = list("projects");
        let projects = projects
            .iter()
            .filter_map(|p| name_of(p["project_id"].as_u64()?));
        let filters = list("filters");
        Self {
            id,
            name: document["name"].as_str().unwrap_or_default().to_owned(),
            enabled: true,
            overrides: true,
            replicates_deletion: document["replicate_deletion"] == true,
            to: document["targets"][0]["id"].as_u64().unwrap_or_default(),
            event_based: document["trigger"]["kind"] == "Immediate",
            filters: filters.iter().map(filter).collect(),
            projects: Some(projects.collect()),
            document: document.clone(),
        }
    }

    /// The policy as the API tells it.
    pub fn told(&self) -> Value {
        let mut document = self.document.clone();
        document["id"] = json!(self.id);
        document
    }
}

fn filter(document: &Value) -> Filter {
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    Filter {
        kind: text("type") + &text("kind"),
        pattern: text("value") + &text("pattern"),
        excludes: document["decoration"] == "excludes",
    }
}
