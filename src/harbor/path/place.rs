//! One reading of one path: which route of Harbor's it takes. Knows nothing of encodings.

use crate::harbor::class::Class;
use http::Method;

/// The part of Harbor that answers, by the locations of its nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    Registry,
    Service,
    Api,
    Session,
    Chart,
    Root,
}

impl Site {
    pub(super) fn is_core(self) -> bool {
        self != Site::Root
    }
}

#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) class: Class,
    pub(super) site: Site,
    pub(super) repository: Option<&'a str>,
    pub(super) upload: Option<&'a str>,
    pub(super) reference: Option<&'a str>,
    pub(super) project: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn new(class: Class, site: Site) -> Place<'a> {
        Place {
            class,
            site,
            repository: None,
            upload: None,
            reference: None,
            project: None,
        }
    }

    fn of(self, project: Option<&'a str>) -> Place<'a> {
        Place { project, ..self }
    }
}

/// Where Harbor 1.5 kept what later versions keep under `/c/`.
const SESSIONS_OF_1_5: [&str; 5] = ["/login", "/log_out", "/reset", "/userExists", "/sendEmail"];

pub(super) fn place<'a>(method: &Method, path: &'a str) -> Place<'a> {
    if let Some(rest) = below(path, "/v2") {
        return registry(method, rest);
    }
    if let Some(rest) = below(path, "/api") {
        return Place::new(api(method), Site::Api).of(project_of_api(rest));
    }
    if let Some(rest) = below(path, "/service") {
        // nginx refuses every path with this beginning, whatever follows.
        if rest.starts_with("notifications") {
            return Place::new(Class::Internal, Site::Service);
        }
        let token = matches!(rest, "token" | "token/");
        let class = if token { Class::Token } else { api(method) };
        return Place::new(class, Site::Service);
    }
    if let Some(rest) = below(path, "/chartrepo") {
        return Place::new(Class::Chart, Site::Chart).of(project_of_charts(rest));
    }
    if below(path, "/c").is_some() {
        return Place::new(Class::UiSession, Site::Session);
    }
    let class = if below(path, "/v1").is_some() || below(path, "/registryproxy").is_some() {
        Class::Internal
    } else if SESSIONS_OF_1_5.contains(&path) {
        Class::UiSession
    } else if path.starts_with('/') && reads(method) {
        Class::UiAsset
    } else {
        Class::Other
    };
    Place::new(class, Site::Root)
}

/// What follows `prefix` and a slash; empty for the prefix itself.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    match path.strip_prefix(prefix)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn api(method: &Method) -> Class {
    if reads(method) || method == Method::OPTIONS {
        Class::ApiRead
    } else {
        Class::ApiWrite
    }
}

/// Routes below `/v2/`. Read from the right: a repository may be called `manifests`, `blobs` or `tags`.
fn registry<'a>(method: &Method, rest: &'a str) -> Place<'a> {
    let other = Place::new(Class::Other, Site::Registry);
    let only_read = |class| if reads(method) { class } else { Class::Other };
    if rest.is_empty() {
        let ping = reads(method) || method == Method::OPTIONS;
        let class = if ping { Class::Ping } else { Class::Other };
        return Place::new(class, Site::Registry);
    }
    if rest == "_catalog" {
        return Place::new(only_read(Class::Catalog), Site::Registry);
    }
    let Some((front, last)) = rest.rsplit_once('/') else {
        return other;
    };
    let Some((name, kind)) = front.rsplit_once('/') else {
        return other;
    };
    let starts = |name| Place {
        repository: Some(name),
        ..Place::new(
            if method == Method::POST {
                Class::UploadStart
            } else {
                Class::Other
            },
            Site::Registry,
        )
    };
    let found = match (kind, last) {
        ("manifests" | "blobs" | "referrers", "") => return other,
        ("manifests", reference) => Place {
            repository: Some(name),
            reference: Some(reference),
            ..Place::new(manifest(method), Site::Registry)
        },
        ("blobs", "uploads") => starts(name),
        ("blobs", digest) => Place {
            repository: Some(name),
            reference: Some(digest),
            ..Place::new(blob(method), Site::Registry)
        },
        ("uploads", uuid) => match name.strip_suffix("/blobs") {
            Some(name) if uuid.is_empty() => starts(name),
            Some(name) => Place {
                repository: Some(name),
                upload: Some(uuid),
                ..Place::new(upload(method), Site::Registry)
            },
            None => return other,
        },
        ("tags", "list") => Place {
            repository: Some(name),
            ..Place::new(only_read(Class::Tags), Site::Registry)
        },
        ("referrers", digest) => Place {
            repository: Some(name),
            reference: Some(digest),
            ..Place::new(only_read(Class::Referrers), Site::Registry)
        },
        _ => return other,
    };
    match found.repository {
        Some(name) if !name.is_empty() => found,
        _ => other,
    }
}

fn manifest(method: &Method) -> Class {
    match *method {
        Method::GET | Method::HEAD => Class::ManifestRead,
        Method::PUT => Class::ManifestWrite,
        Method::DELETE => Class::ManifestDelete,
        _ => Class::Other,
    }
}

fn blob(method: &Method) -> Class {
    match *method {
        Method::HEAD => Class::BlobHead,
        Method::GET => Class::BlobRead,
        Method::DELETE => Class::BlobDelete,
        _ => Class::Other,
    }
}

fn upload(method: &Method) -> Class {
    match *method {
        Method::PATCH => Class::UploadChunk,
        Method::PUT => Class::UploadFinish,
        Method::GET | Method::HEAD => Class::UploadStatus,
        Method::DELETE => Class::UploadCancel,
        _ => Class::Other,
    }
}

/// `v2.0/projects/NAME/…`, `projects/NAME/…` and `chartrepo/NAME/…`.
fn project_of_api(rest: &str) -> Option<&str> {
    let is_version = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
    };
    let rest = match rest.split_once('/') {
        Some((version, rest)) if is_version(version) => rest,
        _ => rest,
    };
    match rest.split_once('/')? {
        ("projects", rest) => first(rest),
        ("chartrepo", rest) => project_of_charts(rest),
        _ => None,
    }
}

fn project_of_charts(rest: &str) -> Option<&str> {
    first(rest).filter(|name| !matches!(*name, "index.yaml" | "health" | "charts"))
}

fn first(rest: &str) -> Option<&str> {
    rest.split('/').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn class(method: &str, path: &str) -> Class {
        place(&Method::from_bytes(method.as_bytes()).unwrap(), path).class
    }

    #[test]
    fn every_family_of_paths_finds_its_class() {
        use Class::*;
        for (method, path, expected) in [
            ("GET", "/v2", Ping),
            ("GET", "/v2/", Ping),
            ("HEAD", "/v2/", Ping),
            ("POST", "/v2/", Other),
            ("GET", "/v2/_catalog", Catalog),
            ("GET", "/v2/library/app/tags/list", Tags),
            ("GET", "/v2/library/app/manifests/1.0", ManifestRead),
            ("HEAD", "/v2/app/manifests/sha256:aa", ManifestRead),
            ("PUT", "/v2/library/app/manifests/1.0", ManifestWrite),
            ("DELETE", "/v2/a/b/c/manifests/1.0", ManifestDelete),
            ("POST", "/v2/a/b/manifests/1.0", Other),
            ("HEAD", "/v2/a/b/blobs/sha256:aa", BlobHead),
            ("GET", "/v2/a/b/blobs/sha256:aa", BlobRead),
            ("DELETE", "/v2/a/b/blobs/sha256:aa", BlobDelete),
            ("POST", "/v2/a/b/blobs/uploads/", UploadStart),
            ("POST", "/v2/a/b/blobs/uploads", UploadStart),
            ("GET", "/v2/a/b/blobs/uploads/", Other),
            ("PATCH", "/v2/a/b/blobs/uploads/1-2", UploadChunk),
            ("PUT", "/v2/a/b/blobs/uploads/1-2", UploadFinish),
            ("GET", "/v2/a/b/blobs/uploads/1-2", UploadStatus),
            ("HEAD", "/v2/a/b/blobs/uploads/1-2", UploadStatus),
            ("DELETE", "/v2/a/b/blobs/uploads/1-2", UploadCancel),
            ("GET", "/v2/a/b/referrers/sha256:aa", Referrers),
            ("GET", "/v2/a/b", Other),
            ("GET", "/v2/manifests/x", Other),
            ("GET", "/v2/a/b/manifests/", Other),
            ("GET", "/v2x/a/manifests/1", UiAsset),
            ("GET", "/service/token", Token),
            ("POST", "/service/token", Token),
            ("GET", "/service/notifications", Internal),
            ("POST", "/service/notifications/jobs/1", Internal),
            ("GET", "/service/other", ApiRead),
            ("GET", "/v1/", Internal),
            ("GET", "/v1", Internal),
            ("GET", "/registryproxy/v2/", Internal),
            ("GET", "/registryproxy", Internal),
            ("GET", "/api/v2.0/health", ApiRead),
            ("OPTIONS", "/api/v2.0/ping", ApiRead),
            ("PUT", "/api/internal/renameadmin", ApiWrite),
            ("GET", "/chartrepo/p/index.yaml", Chart),
            ("POST", "/c/login", UiSession),
            ("GET", "/c/oidc/callback", UiSession),
            ("POST", "/login", UiSession),
            ("GET", "/log_out", UiSession),
            ("GET", "/", UiAsset),
            ("GET", "/harbor/projects", UiAsset),
            ("POST", "/", Other),
            ("OPTIONS", "*", Other),
            ("GET", "", Other),
        ] {
            assert_eq!(class(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_repository_may_be_called_like_a_route() {
        for (path, repository) in [
            ("/v2/a/manifests/manifests/1", "a/manifests"),
            ("/v2/a/manifests/tags/list", "a/manifests"),
            ("/v2/a/blobs/uploads/manifests/1", "a/blobs/uploads"),
            ("/v2/tags/list/tags/list", "tags/list"),
            ("/v2/a/blobs/blobs/uploads/1-2", "a/blobs"),
        ] {
            assert_eq!(
                place(&Method::GET, path).repository,
                Some(repository),
                "{path}"
            );
        }
    }

    #[test]
    fn core_gets_what_nginx_would_give_it() {
        for path in ["/v2/x", "/api/x", "/service/x", "/chartrepo/x", "/c/x"] {
            assert!(place(&Method::GET, path).site.is_core(), "{path}");
        }
        for path in ["/", "/harbor/c/", "/login", "/apix", "/v1/"] {
            assert!(!place(&Method::GET, path).site.is_core(), "{path}");
        }
    }

    #[test]
    fn the_project_is_read_from_api_and_chart_paths() {
        for (path, project) in [
            ("/api/v2.0/projects/p/members", Some("p")),
            ("/api/projects/7", Some("7")),
            ("/api/v2.0/projects", None),
            ("/api/v2.0/projects/", None),
            ("/api/v2.0/users/current", None),
            ("/api/chartrepo/p/charts", Some("p")),
            ("/chartrepo/p/charts/x.tgz", Some("p")),
            ("/chartrepo/index.yaml", None),
        ] {
            assert_eq!(place(&Method::GET, path).project, project, "{path}");
        }
    }
}
