//! Registries, policies and executions: Harbor's own copying, set up for one repository and run once.

use serde_json::{Value, json};

use super::{Call, PAGE, glob, list, number, root, text};
use crate::harbor::dialect::Dialect;

/// Another Harbor as this one knows it: a registry (1.8 and later) or a target (1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its number.
    pub id: u64,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub url: String,
}

fn remotes_path(dialect: Dialect) -> String {
    let place = match dialect {
        Dialect::Harbor15 => "targets",
        _ => "registries",
    };
    format!("{}/{place}", root(dialect))
}

/// Asks for a page of the other Harbors that this one knows.
pub fn remotes(dialect: Dialect, page: usize) -> Call {
    let base = remotes_path(dialect);
    Call::get(match dialect {
        // No pages there.
        Dialect::Harbor15 => base,
        _ => format!("{base}?page={page}&page_size={PAGE}"),
    })
}

/// What a good answer to [`remotes`] says.
pub fn remotes_listed(body: &[u8]) -> Option<Vec<Remote>> {
    let remote = |document: &Value| {
        let url = match text(document, "url") {
            "" => text(document, "endpoint"),
            url => url,
        };
        Some(Remote {
            id: number(document, "id")?,
            name: text(document, "name").to_owned(),
            url: url.to_owned(),
        })
    };
    Some(list(body)?.iter().filter_map(remote).collect())
}

/// Makes another Harbor known.
pub fn add_remote(dialect: Dialect, name: &str, url: &str, user: &str, password: &str) -> Call {
    let body = match dialect {
        Dialect::Harbor15 => {
            json!({"name": name, "endpoint": url, "username": user, "password": password,
            "type": 0, "insecure": false})
        }
        _ => json!({"name": name, "type": "harbor", "url": url, "insecure": false,
            "credential": {"type": "basic", "access_key": user, "access_secret": password}}),
    };
    Call::post(remotes_path(dialect), body)
}

/// Forgets one.
pub fn remove_remote(dialect: Dialect, id: u64) -> Call {
    Call::delete(format!("{}/{id}", remotes_path(dialect)))
}

/// A policy as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its number.
    pub id: u64,
    /// What it is called.
    pub name: String,
    /// Whether it runs.
    pub enabled: bool,
    /// The [`Remote`] that it copies to; 0 when it copies from somewhere.
    pub to: u64,
    /// The repositories that it names: patterns with the project (1.8 and later).
    pub names: Vec<String>,
    /// The projects that it is for (1.5).
    pub projects: Vec<String>,
}

impl Policy {
    /// Whether it copies this repository.
    pub fn copies(&self, repository: &str) -> bool {
        let (project, name) = repository.split_once('/').unwrap_or((repository, ""));
        if !self.projects.is_empty() {
            let named = self
                .names
                .iter()
                .all(|pattern| glob::matches(pattern, name));
            return named && self.projects.iter().any(|one| one == project);
        }
        self.names
            .iter()
            .all(|pattern| glob::matches(pattern, repository))
    }
}

fn policies_path(dialect: Dialect) -> String {
    let place = match dialect {
        Dialect::Harbor15 => "policies/replication",
        _ => "replication/policies",
    };
    format!("{}/{place}", root(dialect))
}

/// Asks for a page of the policies.
pub fn policies(dialect: Dialect, page: usize) -> Call {
    let base = policies_path(dialect);
    Call::get(format!("{base}?page={page}&page_size={PAGE}"))
}

/// What a good answer to [`policies`] says.
pub fn policies_listed(body: &[u8]) -> Option<Vec<Policy>> {
    let policy = |document: &Value| {
        let target = document.pointer("/targets/0/id");
        let remote = document.pointer("/dest_registry/id").or(target);
        let each = |key: &str| {
            document
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        let named = each("filters").filter_map(|filter| {
            let kind = match text(filter, "type") {
                "" => text(filter, "kind"),
                kind => kind,
            };
            let value = match text(filter, "value") {
                "" => text(filter, "pattern"),
                value => value,
            };
            matches!(kind, "name" | "repository").then(|| value.to_owned())
        });
        Some(Policy {
            id: number(document, "id")?,
            name: text(document, "name").to_owned(),
            enabled: document.get("enabled") != Some(&Value::Bool(false)),
            to: remote.and_then(Value::as_u64).unwrap_or_default(),
            names: named.collect(),
            projects: each("projects")
                .map(|project| text(project, "name").to_owned())
                .collect(),
        })
    };
    Some(list(body)?.iter().filter_map(policy).collect())
}

/// Which images a policy of ours is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'w> {
    /// What the policy is called.
    pub name: &'w str,
    /// `project/name`.
    pub repository: &'w str,
    /// The number of its project at the node, which 1.5 asks for.
    pub project: u64,
    /// The tags. In 1.5, patterns have no alternatives: give one.
    pub tags: &'w [&'w str],
    /// The [`Remote`] to copy to.
    pub to: u64,
}

/// Makes a policy for exactly these images, to be run by hand. It replaces what the peer has under these tags.
pub fn add_policy(dialect: Dialect, wanted: &Wanted<'_>) -> Call {
    let Wanted {
        name,
        repository,
        project,
        tags,
        to,
    } = wanted;
    let tags = match tags {
        [one] => (*one).to_owned(),
        several => format!("{{{}}}", several.join(",")),
    };
    let body = match dialect {
        Dialect::Harbor15 => {
            let (_, short) = repository.split_once('/').unwrap_or(("", repository));
            json!({"name": name, "projects": [{"project_id": project}], "targets": [{"id": to}],
                "trigger": {"kind": "Manual"}, "replicate_existing_image_now": false, "replicate_deletion": false,
                "filters": [{"kind": "repository", "pattern": short}, {"kind": "tag", "pattern": tags}]})
        }
        _ => {
            json!({"name": name, "enabled": true, "override": true, "deletion": false, "replicate_deletion": false,
            "src_registry": null, "dest_registry": {"id": to}, "dest_namespace": "",
            "dest_namespace_replace_count": 0, "trigger": {"type": "manual"},
            "filters": [{"type": "name", "value": repository}, {"type": "tag", "value": tags}]})
        }
    };
    Call::post(policies_path(dialect), body)
}

/// Deletes a policy; Harbor refuses while it runs.
pub fn remove_policy(dialect: Dialect, id: u64) -> Call {
    Call::delete(format!("{}/{id}", policies_path(dialect)))
}

/// Runs a policy once. 1.8 and later answer with the number of the execution in `Location`, 1.5 with nothing.
pub fn run(dialect: Dialect, policy: u64) -> Call {
    let place = match dialect {
        Dialect::Harbor15 => "replications",
        _ => "replication/executions",
    };
    let path = format!("{}/{place}", root(dialect));
    Call::post(path, json!({"policy_id": policy}))
}

/// Asks how a run is. In 1.5, where runs have no number, for the jobs of its policy.
pub fn poll(dialect: Dialect, policy: u64, execution: u64) -> Call {
    let root = root(dialect);
    Call::get(match dialect {
        Dialect::Harbor15 => {
            format!("{root}/jobs/replication?policy_id={policy}&page=1&page_size={PAGE}")
        }
        _ => format!("{root}/replication/executions/{execution}"),
    })
}

/// Stops what runs of a policy, so that it can be deleted.
pub fn stop(dialect: Dialect, policy: u64, execution: u64) -> Call {
    let root = root(dialect);
    let (path, body) = match dialect {
        Dialect::Harbor15 => (
            format!("{root}/jobs/replication"),
            Some(json!({"policy_id": policy, "status": "stop"})),
        ),
        _ => (format!("{root}/replication/executions/{execution}"), None),
    };
    Call {
        method: http::Method::PUT,
        path,
        body,
    }
}

/// How a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// It is not at its end.
    Runs,
    /// Harbor says that all is copied.
    Done,
    /// It ended otherwise, for this reason.
    Failed(String),
}

/// What a good answer to [`poll`] says.
pub fn course(dialect: Dialect, body: &[u8]) -> Option<Course> {
    if dialect == Dialect::Harbor15 {
        let jobs = list(body)?;
        let states: Vec<&str> = jobs.iter().map(|job| text(job, "status")).collect();
        let runs = ["pending", "running", "retrying", "scheduled"];
        return Some(
            if states.is_empty() || states.iter().any(|state| runs.contains(state)) {
                Course::Runs
            } else if states.iter().all(|state| *state == "finished") {
                Course::Done
            } else {
                let failed = states.iter().filter(|state| **state != "finished").count();
                Course::Failed(format!(
                    "{failed} of {} jobs failed; see their log in Harbor",
                    states.len()
                ))
            },
        );
    }
    let document: Value = serde_json::from_slice(body).ok()?;
    let count = |key: &str| number(&document, key).unwrap_or_default();
    Some(match text(&document, "status") {
        "Succeed" | "Succeeded" | "Success" => Course::Done,
        "InProgress" | "Running" | "Pending" | "Initialized" | "Scheduled" => Course::Runs,
        "" => return None,
        other => {
            let (failed, total) = (count("failed"), count("total"));
            Course::Failed(match text(&document, "status_text") {
                "" => format!("{other}, {failed} of {total} tasks failed; see their log in Harbor"),
                why => format!("{other}: {}", why.chars().take(200).collect::<String>()),
            })
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WANTED: Wanted<'_> = Wanted {
        name: "seawall-reconcile-x",
        repository: "library/a/b",
        project: 7,
        tags: &["1", "2"],
        to: 3,
    };

    #[test]
    fn a_policy_names_exactly_its_repository_and_tags() {
        for dialect in [Dialect::Harbor2, Dialect::Harbor1] {
            let body = add_policy(dialect, &WANTED).body.unwrap();
            assert_eq!(body["filters"][0]["value"], "library/a/b");
            assert_eq!(body["filters"][1]["value"], "{1,2}");
            assert_eq!(body["trigger"]["type"], "manual");
            assert_eq!(body["dest_registry"]["id"], 3);
        }
    }

    #[test]
    fn a_policy_of_1_5_has_its_project_beside_the_name() {
        let one = Wanted {
            tags: &["1"],
            ..WANTED
        };
        let body = add_policy(Dialect::Harbor15, &one).body.unwrap();
        assert_eq!(body["filters"][0]["pattern"], "a/b");
        assert_eq!(body["filters"][1]["pattern"], "1");
        assert_eq!(body["projects"][0]["project_id"], 7);
        assert_eq!(body["trigger"]["kind"], "Manual");
    }

    #[test]
    fn an_execution_is_read_as_it_ends() {
        let course = |body: &str| course(Dialect::Harbor2, body.as_bytes());
        assert_eq!(course(r#"{"status":"InProgress"}"#), Some(Course::Runs));
        assert_eq!(
            course(r#"{"status":"Succeed","total":2}"#),
            Some(Course::Done)
        );
        let unreachable = course(r#"{"status":"Failed","total":0,"status_text":"no route"}"#);
        assert_eq!(
            unreachable,
            Some(Course::Failed("Failed: no route".to_owned()))
        );
        let failed = course(r#"{"status":"Failed","total":2,"failed":1,"status_text":""}"#);
        assert!(matches!(failed, Some(Course::Failed(why)) if why.contains("1 of 2")));
        assert_eq!(course("[]"), None);
    }

    #[test]
    fn jobs_of_1_5_end_together() {
        let course = |body: &str| course(Dialect::Harbor15, body.as_bytes()).unwrap();
        assert_eq!(course("[]"), Course::Runs);
        assert_eq!(
            course(r#"[{"status":"finished"},{"status":"retrying"}]"#),
            Course::Runs
        );
        assert_eq!(course(r#"[{"status":"finished"}]"#), Course::Done);
        assert!(matches!(
            course(r#"[{"status":"error"}]"#),
            Course::Failed(_)
        ));
    }

    #[test]
    fn a_policy_says_what_it_copies() {
        let body = br#"[{"id":1,"name":"all","enabled":true,"dest_registry":{"id":4},"filters":[{"type":"name","value":"{library,team}/**"},{"type":"tag","value":"1"}]},
            {"id":2,"name":"old","projects":[{"project_id":1,"name":"library"}],"targets":[{"id":5}],"filters":null}]"#;
        let all = policies_listed(body).unwrap();
        assert!(all[0].copies("team/x") && !all[0].copies("other/x"));
        assert!(all[1].copies("library/x") && !all[1].copies("team/x"));
        assert_eq!((all[0].to, all[1].to), (4, 5));
    }

    #[test]
    fn remotes_are_read_in_every_dialect() {
        let body = br#"[{"id":1,"name":"b","url":"https://b"},{"id":2,"name":"c","endpoint":"https://c"}]"#;
        let urls: Vec<_> = remotes_listed(body)
            .unwrap()
            .into_iter()
            .map(|one| one.url)
            .collect();
        assert_eq!(urls, ["https://b", "https://c"]);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>) {
            let _ = course(Dialect::Harbor2, &body);
            let _ = course(Dialect::Harbor15, &body);
            let _ = policies_listed(&body);
            let _ = remotes_listed(&body);
        }
    }
}
