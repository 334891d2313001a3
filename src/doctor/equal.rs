//! Where every node has a database of its own: the users and robots that a person must make on each.

use std::collections::BTreeSet;

use http::HeaderValue;
use serde_json::Value;

use super::finding::{Code, Finding, Severity, clean};
use super::node::Node;
use crate::harbor::dialect::Dialect;

/// How many names a sentence bears.
const MOST_NAMES: usize = 10;

/// The names that a node knows; absent where it does not tell.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Users.
    pub users: Option<BTreeSet<String>>,
    /// Robots that belong to no project.
    pub robots: Option<BTreeSet<String>>,
}

/// Asks every node for its users and robots, which it tells administrators.
pub async fn observe(nodes: &[Node], account: Option<&HeaderValue>) -> Vec<Known> {
    let mut all = Vec::new();
    for node in nodes {
        let mut known = Known::default();
        let paths = match node.dialect {
            Some(Dialect::Harbor2) => ("/api/v2.0/users", Some("/api/v2.0/robots")),
            Some(Dialect::Harbor1 | Dialect::Harbor15) => ("/api/users", None),
            Some(Dialect::Registry) | None => {
                all.push(known);
                continue;
            }
        };
        known.users = names(node, paths.0, "username", account).await;
        if let Some(path) = paths.1 {
            known.robots = names(node, path, "name", account).await;
        }
        all.push(known);
    }
    all
}

async fn names(
    node: &Node,
    path: &str,
    field: &str,
    account: Option<&HeaderValue>,
) -> Option<BTreeSet<String>> {
    let path = format!("{path}?page=1&page_size=100");
    let answer = node.get(&path, account).await.ok()?;
    (answer.status == 200).then_some(())?;
    let list: Value = serde_json::from_slice(&answer.body).ok()?;
    let all = list.as_array()?.iter();
    Some(
        all.filter_map(|one| Some(clean(one.get(field)?.as_str()?)))
            .collect(),
    )
}

/// Who lacks users or robots that others have.
pub fn judge(names: &[String], known: &[Known]) -> Vec<Finding> {
    let users = known
        .iter()
        .map(|known| known.users.as_ref())
        .collect::<Vec<_>>();
    let robots = known
        .iter()
        .map(|known| known.robots.as_ref())
        .collect::<Vec<_>>();
    let kinds = [
        (Code::UsersDiffer, "users", users),
        (Code::RobotsDiffer, "robots", robots),
    ];
    kinds
        .into_iter()
        .filter_map(|(code, kind, sets)| one(names, code, kind, &sets))
        .collect()
}

fn one(
    names: &[String],
    code: Code,
    kind: &str,
    sets: &[Option<&BTreeSet<String>>],
) -> Option<Finding> {
    let every: BTreeSet<&String> = sets.iter().flatten().copied().flatten().collect();
    let mut nodes = Vec::new();
    let mut said = Vec::new();
    for (name, set) in names.iter().zip(sets) {
        let Some(set) = set else { continue };
        let lacks: Vec<&str> = every
            .iter()
            .filter(|one| !set.contains(**one))
            .map(|one| one.as_str())
            .collect();
        if !lacks.is_empty() {
            let more = lacks.len().saturating_sub(MOST_NAMES);
            let shown: Vec<&str> = lacks.into_iter().take(MOST_NAMES).collect();
            let tail = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            said.push(format!("{name} lacks {}{tail}", shown.join(", ")));
            nodes.push(name.clone());
        }
    }
    (!nodes.is_empty()).then(|| Finding {
        code,
        severity: Severity::Warning,
        fix: format!(
            "make the same {kind} with the same secrets on {}",
            super::finding::list(&nodes)
        ),
        what: format!("the nodes do not have the same {kind}: {}", said.join("; ")),
        symptom: "they can log in or not, depending on the node".to_owned(),
        nodes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_somebody_is_named_with_whom() {
        let set = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let known = [set(&["admin", "ann"]), set(&["admin"]), None].map(|users| Known {
            users,
            robots: None,
        });
        let names = ["a", "b", "c"].map(str::to_owned);
        let findings = judge(&names, &known);
        let said: Vec<_> = findings
            .iter()
            .map(|one| (one.code, one.nodes.join(",")))
            .collect();
        assert_eq!(said, [(Code::UsersDiffer, "b".to_owned())]);
        assert!(findings.iter().all(|one| one.what.ends_with("b lacks ann")));
    }
}
