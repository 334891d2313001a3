//! What a request to Harbor's API deletes, as far as its path tells.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// A tag, an image or a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// `project/name`.
    pub repository: String,
    /// Tag or digest; empty for the whole repository.
    pub reference: String,
}

/// Reads `DELETE` of an artifact, tag or repository: `/api/v2.0/projects/P/repositories/R[/artifacts/A[/tags/T]]` with R
/// encoded twice (Harbor 2, `api/v2.0/swagger.yaml`), `/api/repositories/P/R[/tags/T]` (Harbor 1, `src/ui/router.go`).
pub fn removal(method: &Method, path_and_query: &str) -> Option<Removal> {
    if method != Method::DELETE {
        return None;
    }
    let path = path_and_query.split('?').next()?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        [
            "api",
            version,
            "projects",
            project,
            "repositories",
            rest @ ..,
        ] if version.starts_with('v') => {
            let (repository, reference) = match rest {
                [name] => (name, Cow::Borrowed("")),
                [name, "artifacts", reference] => (name, once(reference)),
                [name, "artifacts", _, "tags", tag] => (name, once(tag)),
                _ => return None,
            };
            let name = once(repository);
            let name = once(&name);
            found(&format!("{}/{name}", once(project)), &reference)
        }
        ["api", "repositories", rest @ ..] => {
            let whole = rest.join("/");
            let whole = once(&whole);
            match whole.rsplit_once("/tags/") {
                Some((repository, tag)) if !tag.contains('/') => found(repository, tag),
                _ => found(&whole, ""),
            }
        }
        _ => None,
    }
}

fn once(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

fn found(repository: &str, reference: &str) -> Option<Removal> {
    let (project, name) = repository.split_once('/')?;
    (!project.is_empty() && !name.is_empty()).then(|| Removal {
        repository: repository.to_owned(),
        reference: reference.to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deletes(path: &str) -> Option<(String, String)> {
        removal(&Method::DELETE, path).map(|found| (found.repository, found.reference))
    }

    fn pair(repository: &str, reference: &str) -> Option<(String, String)> {
        Some((repository.to_owned(), reference.to_owned()))
    }

    #[test]
    fn what_harbor_2_deletes_is_seen() {
        let base = "/api/v2.0/projects/team/repositories/app%252Fweb";
        assert_eq!(deletes(base), pair("team/app/web", ""));
        let artifact = format!("{base}/artifacts/sha256:0a");
        assert_eq!(deletes(&artifact), pair("team/app/web", "sha256:0a"));
        let encoded = format!("{base}/artifacts/sha256%3A0a?x=y");
        assert_eq!(deletes(&encoded), pair("team/app/web", "sha256:0a"));
        let tag = format!("{base}/artifacts/sha256:0a/tags/1.0");
        assert_eq!(deletes(&tag), pair("team/app/web", "1.0"));
    }

    #[test]
    fn what_harbor_1_deletes_is_seen() {
        let base = "/api/repositories/team/app/web";
        assert_eq!(deletes(base), pair("team/app/web", ""));
        assert_eq!(
            deletes(&format!("{base}/tags/1.0")),
            pair("team/app/web", "1.0")
        );
        let encoded = "/api/repositories/team%2Fapp/tags/1.0";
        assert_eq!(deletes(encoded), pair("team/app", "1.0"));
    }

    #[test]
    fn nothing_else_deletes_an_image() {
        let base = "/api/v2.0/projects/team/repositories/app";
        assert_eq!(removal(&Method::GET, base), None);
        for path in [
            "/api/v2.0/projects/team",
            "/api/v2.0/users/3",
            "/api/repositories/alone",
            "/api/v2.0/projects/team/repositories/app/artifacts/1/labels/2",
            "/api/v2.0/projects/team/repositories/app/artifacts/1/accessories/x/y",
        ] {
            assert_eq!(deletes(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "(/api)?(/v2.0/projects|/repositories)?[ -~]*") {
            let _ = deletes(&path);
        }
    }
}
