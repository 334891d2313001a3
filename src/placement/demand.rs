//! What a request asks of the nodes' data, where they have data of their own.

use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, Method, Uri};
use std::net::IpAddr;

use super::Placement;
use crate::balance;
use crate::config::Topology;
use crate::harbor::auth::{scope, token};
use crate::harbor::class::{Class, Lane};
use crate::harbor::path::Target;
use crate::harbor::removal::{self, Removal};
use crate::upstream::nodes::Nodes;

/// The name under which Harbor's own replication asks (`src/common/http/modifier`, `src/pkg/registry/client.go`).
const REPLICATION: &str = "harbor-registry-client";

/// What a request asks of the nodes' data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing: the answer of one is as good as that of another.
    Any,
    /// Content that is named by its digest: whoever has it.
    Content(Box<str>),
    /// What a name stands for now: a push a moment ago must show.
    Name(Box<str>),
    /// To be written, or to see what its push will meet: the one that writes the project, and its word is final.
    Write(Box<str>),
    /// The same for what may be read elsewhere while that one cannot be asked at all.
    Look(Box<str>),
    /// The word of the one that writes the project; of another one rather than none.
    Word(Box<str>),
    /// What a node reads back of itself.
    Own(Nodes),
}

/// A request's demand, and what has to be known of the request when it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asks {
    /// What it asks.
    pub demand: Demand,
    /// Whether it comes with a token, which may be good at some nodes alone.
    pub bears: bool,
    /// The hash of the id of the key that signed its token.
    pub key: Option<u64>,
    /// The image that it reads, writes or deletes.
    pub image: Option<Removal>,
    /// Whether it comes from Harbor's own replication, whose changes are nobody's news.
    pub replicates: bool,
}

impl Asks {
    /// Reads it off a request of `client`; `None` where all nodes share their data.
    pub fn of(
        target: &Target<'_>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        client: IpAddr,
        placement: &Placement,
    ) -> Option<Box<Self>> {
        if !placement.is_apart() {
            return None;
        }
        let topology = placement.layout().topology;
        let claims = headers.get(AUTHORIZATION).and_then(token::claims);
        let replicates = headers
            .get(USER_AGENT)
            .is_some_and(|agent| agent.as_bytes() == REPLICATION.as_bytes());
        let own = replicates
            .then(|| placement.nodes_at(client))
            .filter(|nodes| !nodes.is_empty());
        let may_push = |repository: &str| {
            claims
                .as_ref()
                .is_some_and(|claims| claims.may_push(repository))
        };
        let looks = method == Method::HEAD;
        let demand = match own {
            Some(nodes) if is_pull(target.class) => Demand::Own(nodes),
            _ => demand(target, uri, topology, |name| looks && may_push(name)),
        };
        let image = match target.class {
            Class::ManifestRead | Class::ManifestWrite | Class::ManifestDelete => target
                .repository
                .as_deref()
                .zip(target.reference.as_deref())
                .map(|(repository, reference)| Removal {
                    repository: repository.to_owned(),
                    reference: reference.to_owned(),
                }),
            Class::ApiWrite => removal::removal(method, uri.path()),
            _ => None,
        };
        Some(Box::new(Asks {
            demand,
            bears: claims.is_some(),
            key: claims
                .as_ref()
                .and_then(|claims| claims.key.as_ref())
                .map(|key| balance::hash(key.as_bytes())),
            image,
            replicates,
        }))
    }

    /// The project that it writes.
    pub fn writes(&self) -> Option<&str> {
        match &self.demand {
            Demand::Write(project) => Some(project),
            _ => None,
        }
    }
}

const fn is_pull(class: Class) -> bool {
    matches!(
        class,
        Class::ManifestRead | Class::BlobRead | Class::BlobHead | Class::Tags
    )
}

fn demand(
    target: &Target<'_>,
    uri: &Uri,
    topology: Topology,
    is_of_a_push: impl Fn(&str) -> bool,
) -> Demand {
    let project = || Box::from(target.project().unwrap_or_default());
    let repository = || target.repository.as_deref().unwrap_or_default();
    match target.class {
        Class::Ping => Demand::Any,
        Class::Token => match scope::decisive(uri.query().unwrap_or_default()) {
            // The nearest tier knows who may pull; the one above may be far away.
            Some(scope) if !scope.push && topology == Topology::Tiered => Demand::Any,
            None if topology == Topology::Tiered => Demand::Any,
            Some(scope) => Demand::Word(Box::from(first(&scope.repository))),
            None => Demand::Word(Box::default()),
        },
        Class::BlobRead => Demand::Content(repository().into()),
        Class::ManifestRead if is_of_a_push(repository()) => Demand::Look(repository().into()),
        Class::ManifestRead | Class::Tags | Class::Referrers => Demand::Name(repository().into()),
        class if class.lane() == Lane::Registry && class != Class::Catalog => {
            Demand::Write(project())
        }
        Class::ApiWrite | Class::Chart => Demand::Write(project()),
        // Pages and what names no project: one node for all, so that people see one world.
        _ => Demand::Word(project()),
    }
}

/// The project of a repository.
pub fn first(repository: &str) -> &str {
    repository.split('/').next().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::harbor::path::classify;

    fn asked(topology: Topology, method: &Method, path: &str, may_push: bool) -> Demand {
        let target = classify(method, path).unwrap();
        let looks = *method == Method::HEAD;
        demand(&target, &path.parse().unwrap(), topology, |_| {
            looks && may_push
        })
    }

    fn replicated(method: Method, path: &str) -> Demand {
        asked(Topology::Replicated, &method, path, false)
    }

    #[test]
    fn everything_that_belongs_to_a_push_is_for_the_writer() {
        let write = Demand::Write("a".into());
        for (method, path) in [
            (Method::HEAD, "/v2/a/b/blobs/sha256:0"),
            (
                Method::POST,
                "/v2/a/b/blobs/uploads/?mount=sha256:0&from=c/d",
            ),
            (Method::PATCH, "/v2/a/b/blobs/uploads/x"),
            (Method::PUT, "/v2/a/b/blobs/uploads/x?digest=sha256:0"),
            (Method::PUT, "/v2/a/b/manifests/1"),
            (Method::DELETE, "/v2/a/b/manifests/sha256:0"),
            (Method::DELETE, "/api/v2.0/projects/a/repositories/b"),
        ] {
            assert_eq!(replicated(method, path), write, "{path}");
        }
        let path = "/v2/a/b/manifests/1";
        let looks = |may_push| asked(Topology::Replicated, &Method::HEAD, path, may_push);
        assert_eq!(looks(true), Demand::Look("a/b".into()));
        assert_eq!(looks(false), Demand::Name("a/b".into()));
    }

    #[test]
    fn a_pull_reads_names_and_content() {
        assert_eq!(
            replicated(Method::GET, "/v2/a/b/manifests/1"),
            Demand::Name("a/b".into())
        );
        assert_eq!(
            replicated(Method::GET, "/v2/a/b/blobs/sha256:0"),
            Demand::Content("a/b".into())
        );
    }

    #[test]
    fn what_names_no_project_has_one_node_for_all() {
        for path in ["/", "/api/v2.0/projects", "/v2/_catalog", "/c/oidc/login"] {
            assert_eq!(
                replicated(Method::GET, path),
                Demand::Word("".into()),
                "{path}"
            );
        }
        assert_eq!(
            replicated(Method::POST, "/api/v2.0/projects"),
            Demand::Write("".into())
        );
    }

    #[test]
    fn a_token_comes_from_where_it_is_needed() {
        let token = |topology, query: &str| {
            let path = format!("/service/token?service=x&{query}");
            asked(topology, &Method::GET, &path, false)
        };
        let (pull, push) = (
            "scope=repository:a/b:pull",
            "scope=repository:a/b:pull,push",
        );
        for query in [pull, push] {
            let asked = token(Topology::Replicated, query);
            assert_eq!(asked, Demand::Word("a".into()), "{query}");
        }
        assert_eq!(token(Topology::Tiered, pull), Demand::Any);
        assert_eq!(token(Topology::Tiered, push), Demand::Word("a".into()));
    }
}
