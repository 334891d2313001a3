//! What a request for a token asks for.

use percent_encoding::percent_decode_str;

/// A repository that a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `project/name`.
    pub repository: String,
    /// Whether it is to be pushed to.
    pub push: bool,
}

/// The repository that decides who shall make the token for a query such as `scope=repository:a/b:push,pull`: the first
/// one pushed to, else the first one named (docker names the one it mounts from, too).
pub fn decisive(query: &str) -> Option<Scope> {
    let mut first = None;
    for pair in query.split('&') {
        let Some(value) = pair.strip_prefix("scope=") else {
            continue;
        };
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8_lossy();
        for one in value.split(' ') {
            match read(one) {
                Some(scope) if scope.push => return Some(scope),
                Some(scope) => first = first.or(Some(scope)),
                None => {}
            }
        }
    }
    first
}

/// `repository:NAME:ACTION,ACTION`; a name may hold the port of a host.
fn read(text: &str) -> Option<Scope> {
    let (name, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
    let push = actions
        .split(',')
        .any(|action| matches!(action, "push" | "*" | "delete"));
    (!name.is_empty()).then(|| Scope {
        repository: name.to_owned(),
        push,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn repository(query: &str) -> Option<(String, bool)> {
        decisive(query).map(|scope| (scope.repository, scope.push))
    }

    #[test]
    fn of_several_repositories_the_one_pushed_to_decides() {
        let query = "account=admin&scope=repository%3Alibrary%2Fbase%3Apull&scope=repository%3Ateam%2Fapp%3Apush%2Cpull&service=harbor-registry";
        assert_eq!(repository(query), Some(("team/app".to_owned(), true)));
        let pulls = "scope=repository:a/b:pull+repository:c/d:pull";
        assert_eq!(repository(pulls), Some(("a/b".to_owned(), false)));
        let spaced = "scope=repository:a/b:pull%20repository:c/d:pull,push";
        assert_eq!(repository(spaced), Some(("c/d".to_owned(), true)));
    }

    #[test]
    fn a_login_and_a_catalog_name_no_repository() {
        for query in [
            "",
            "service=x&account=y",
            "scope=registry:catalog:*",
            "scope=",
            "scope=repository::pull",
        ] {
            assert_eq!(repository(query), None, "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "(scope=)?(repository:)?[ -~]*") {
            let _ = decisive(&query);
        }
    }
}
