//! The database: nodes that share one list the same projects, with the same numbers and dates.

use std::collections::BTreeSet;

use http::HeaderValue;
use serde_json::Value;

use super::finding::{Code, Finding, Severity};
use super::group::{Pair, compare, split};
use super::node::Node;
use super::remedy;
use crate::harbor::dialect::Dialect;

/// How often lists that differ are read again: somebody may just have made a project.
const ROUNDS: usize = 3;

/// Number, name and date of birth of projects.
pub type Projects = BTreeSet<(u64, String, String)>;

/// What was seen of databases.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The projects that each node lists.
    pub projects: Vec<Option<Projects>>,
    /// Blobs of one that the storage of the other has and its database does not know.
    pub unknown: Vec<Pair>,
}

/// Lists the projects of every node; `accounts` are what it takes of credentials.
pub async fn observe(nodes: &[Node], account: Option<&HeaderValue>) -> Vec<Option<Projects>> {
    let mut lists = Vec::new();
    for _ in 0..ROUNDS {
        lists.clear();
        for node in nodes {
            lists.push(projects(node, account).await);
        }
        if compare(&lists).iter().all(|(_, same)| *same) {
            break;
        }
    }
    lists
}

async fn projects(node: &Node, account: Option<&HeaderValue>) -> Option<Projects> {
    let path = match node.dialect? {
        Dialect::Harbor2 => "/api/v2.0/projects?page=1&page_size=100",
        Dialect::Harbor1 | Dialect::Harbor15 => "/api/projects?page=1&page_size=100",
        Dialect::Registry => return None,
    };
    let answer = node.get(path, account).await.ok()?;
    (answer.status == 200).then_some(())?;
    read(&answer.body)
}

fn read(body: &[u8]) -> Option<Projects> {
    let list: Value = serde_json::from_slice(body).ok()?;
    // 1.x writes null for nothing.
    if list.is_null() {
        return Some(Projects::new());
    }
    let text = |of: &Value, name: &str| {
        of.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    // Versions differ in what they write behind the seconds.
    let born = |of: &Value| text(of, "creation_time").chars().take(19).collect();
    let all = list.as_array()?.iter().map(|project| {
        let number = project
            .get("project_id")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        (number, text(project, "name"), born(project))
    });
    Some(all.collect())
}

/// Who has another database.
pub fn judge(names: &[String], seen: &Seen, dialect: Option<Dialect>) -> Option<Finding> {
    let lists = compare(&seen.projects);
    let known =
        |a: usize, b: usize| seen.unknown.contains(&(a, b)) || seen.unknown.contains(&(b, a));
    let agreed = lists.iter().filter(|((a, b), _)| !known(*a, *b)).copied();
    let unknown = seen.unknown.iter().map(|pair| (*pair, false));
    let split = split(agreed.chain(unknown))?;
    let who = super::finding::list(&remedy::names(names, &split.odd));
    let what = match (split.model, seen.unknown.first()) {
        (None, Some((from, to))) => format!(
            "{} does not know a blob that was pushed through {}",
            remedy::name(names, *to),
            remedy::name(names, *from)
        ),
        (None, None) => format!("{who} do not list the same projects"),
        (Some(model), _) => format!(
            "{who} does not list the same projects as {} and the others",
            remedy::name(names, model)
        ),
    };
    Some(Finding {
        code: Code::DatabaseNotShared,
        severity: Severity::Error,
        nodes: remedy::names(names, &split.odd),
        what,
        symptom: "projects, users and images are there or not, at random; pushes fail with 404 or 401 half-way".to_owned(),
        fix: remedy::copy(names, &split, remedy::database(dialect), "run ./prepare and restart Harbor"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn projects_are_read_by_number_name_and_date() {
        let list = br#"[{"project_id":1,"name":"library","creation_time":"2026-01-02T03:04:05.678Z","repo_count":7}]"#;
        let expected = (1, "library".to_owned(), "2026-01-02T03:04:05".to_owned());
        assert_eq!(read(list).unwrap(), BTreeSet::from([expected]));
        assert_eq!(read(b"null").unwrap(), BTreeSet::new());
        assert_eq!(read(b"{}"), None);
    }

    #[test]
    fn a_blob_that_is_stored_and_unknown_outweighs_equal_lists() {
        let list = Some(Projects::new());
        let seen = Seen {
            projects: vec![list.clone(), list],
            unknown: vec![(0, 1)],
        };
        let names = ["a".to_owned(), "b".to_owned()];
        let finding = judge(&names, &seen, None).unwrap();
        assert_eq!(finding.nodes, names);
        assert!(
            finding.what.contains("b does not know a blob"),
            "{}",
            finding.what
        );
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = read(&body);
        }
    }
}
