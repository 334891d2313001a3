//! What a request is and whom it concerns, from its method and path.
//!
//! The path is forwarded byte for byte, but nodes clean it before they route: nginx decodes and merges slashes,
//! core merges slashes again. So an unusual path is read twice, as it came and cleaned; when the two readings
//! disagree somebody is probing for the gap between us and the node, and the request is [`Confused`].

pub mod canonical;
mod place;

use super::class::Class;
use http::Method;
use place::{Place, place};
use std::borrow::Cow;

/// What a request is and whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// What it is.
    pub class: Class,
    /// `project/name` of a registry request; cleaned when the path was unusual.
    pub repository: Option<Cow<'a, str>>,
    /// The uuid of an upload session.
    pub upload: Option<&'a str>,
    /// Tag or digest of a manifest, blob or referrers request.
    pub reference: Option<Cow<'a, str>>,
    /// Whether Harbor's nginx sends this path to core; everything else is the portal's (Harbor 1.5 has core only).
    pub core: bool,
    project: Option<Cow<'a, str>>,
}

impl Target<'_> {
    /// The project concerned: the first component of the repository, or the name (or number) in an API or chart
    /// path. Still percent-encoded where the client encoded it, except for what may stand in a path as it is.
    pub fn project(&self) -> Option<&str> {
        match &self.repository {
            Some(name) => name.split('/').find(|part| !part.is_empty()),
            None => self.project.as_deref(),
        }
    }
}

/// The path means one thing as it came and another once cleaned, or nothing certain at all. The answer is 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confused;

impl std::fmt::Display for Confused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the path is ambiguous")
    }
}

impl std::error::Error for Confused {}

/// Reads a request line. Allocates only for paths with `%`, `//`, `/.` or `\`.
///
/// # Errors
///
/// [`Confused`] when the path as it came and its cleaned form fall in different classes, go to different parts of
/// Harbor, or name different uploads.
pub fn classify<'a>(method: &Method, path_and_query: &'a str) -> Result<Target<'a>, Confused> {
    let path = path_and_query
        .split_once('?')
        .map_or(path_and_query, |(path, _)| path);
    let raw = place(method, path);
    if !canonical::is_unusual(path) {
        return Ok(Target {
            class: raw.class,
            repository: raw.repository.map(Cow::Borrowed),
            upload: raw.upload,
            reference: raw.reference.map(Cow::Borrowed),
            core: raw.site.is_core(),
            project: raw.project.map(Cow::Borrowed),
        });
    }
    if !canonical::is_well_encoded(path) {
        return Err(Confused);
    }
    let clean = canonical::clean(path);
    let Place {
        class,
        site,
        repository,
        upload,
        reference,
        project,
    } = place(method, &clean);
    if (class, site, upload) != (raw.class, raw.site, raw.upload) {
        return Err(Confused);
    }
    let owned = |text: &str| Cow::Owned(text.to_owned());
    Ok(Target {
        class,
        repository: repository.map(owned),
        upload: raw.upload,
        reference: reference.map(owned),
        core: site.is_core(),
        project: project.map(owned),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<'a>(method: &str, path: &'a str) -> Result<Target<'a>, Confused> {
        classify(&Method::from_bytes(method.as_bytes()).unwrap(), path)
    }

    fn class(method: &str, path: &str) -> Option<Class> {
        read(method, path).ok().map(|target| target.class)
    }

    #[test]
    fn a_double_encoded_repository_in_an_api_path_is_fine() {
        let path = "/api/v2.0/projects/p/repositories/a%252Fb/artifacts?page=1";
        let target = read("GET", path).unwrap();
        assert_eq!(target.class, Class::ApiRead);
        assert_eq!(target.project(), Some("p"));
        assert!(target.core);
    }

    #[test]
    fn paths_that_mean_two_things_are_refused() {
        for path in [
            "//api/v2.0/ping",
            "/v2/..%2fapi/v2.0/ping",
            "/v2/../api/v2.0/ping",
            "/api/%2e%2e/service/notifications/jobs",
            "/service//notifications/jobs",
            "/service/%6eotifications",
            "/%76%32/",
            "/v2\\..\\api",
            "/x/%5c../v2/",
            "/v2/library/app/manifests%2F1",
            "/v2/library/app/blobs/uploads/%61bc",
            "/./v1/x",
        ] {
            assert_eq!(read("GET", path), Err(Confused), "{path}");
        }
    }

    #[test]
    fn a_path_with_a_broken_encoding_is_refused() {
        for path in ["/c/%%32F", "/c/%", "/c/%2", "/c/%zz", "/c/%2%46"] {
            assert_eq!(read("GET", path), Err(Confused), "{path}");
        }
        assert!(read("GET", "/c/%25%32F").is_ok());
    }

    #[test]
    fn a_path_that_leaves_core_once_cleaned_is_refused() {
        assert_eq!(read("POST", "/v2/../x"), Err(Confused));
    }

    #[test]
    fn a_path_that_reads_alike_both_ways_is_not_confused_with_what_it_almost_says() {
        // Neither reading is of core: as it came it is no service, and cleaned it is the root.
        assert_eq!(class("GET", "/service/.."), None);
        assert_eq!(class("GET", "/%73ervice/.."), Some(Class::UiAsset));
    }

    #[test]
    fn the_repository_of_an_unusual_path_is_the_cleaned_one() {
        for path in [
            "/v2/library%2Fapp/manifests/1%2e0",
            "/v2//library/app/manifests/1.0",
            "/v2/x/../library/./app/manifests/1.0",
        ] {
            let target = read("GET", path).unwrap();
            assert_eq!(target.class, Class::ManifestRead, "{path}");
            assert_eq!(target.repository.as_deref(), Some("library/app"));
            assert_eq!(target.reference.as_deref(), Some("1.0"));
            assert_eq!(target.project(), Some("library"));
        }
    }

    #[test]
    fn encoded_line_ends_stay_encoded() {
        let target = read("GET", "/v2/a%0d%0ab/c/manifests/1").unwrap();
        assert_eq!(target.repository.as_deref(), Some("a%0d%0ab/c"));
    }

    #[test]
    fn an_ordinary_path_is_borrowed() {
        let target = read("GET", "/v2/library/app/manifests/latest").unwrap();
        assert!(matches!(target.repository, Some(Cow::Borrowed(_))));
    }

    fn shape() -> impl Strategy<Value = String> {
        let name = "[a-z0-9]{1,6}(/[a-z0-9_.-]{0,5}[a-z0-9]){0,3}";
        let tails = [
            "manifests/1.0",
            "blobs/sha256:00ff",
            "blobs/uploads/",
            "blobs/uploads/1-2",
            "tags/list",
            "referrers/sha256:aa",
            "x",
        ];
        prop_oneof![
            (name, proptest::sample::select(tails.to_vec()))
                .prop_map(|(n, t)| format!("/v2/{n}/{t}")),
            "/(api|c|service|chartrepo|v1|v2|harbor)(/[a-z0-9.-]{1,8}){0,3}",
        ]
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(method in "[A-Z]{1,7}", path in "\\PC*") {
            let _ = read(&method, &path);
        }

        #[test]
        fn no_soup_of_separators_makes_it_panic(path in "(/|//|\\.|\\.\\.|%2[EeFf]|%5c|\\\\|v2|api|blobs|uploads|manifests|%|%2)*") {
            let _ = read("GET", &path);
        }

        #[test]
        fn encoding_a_letter_never_changes_the_class(path in shape(), at in any::<prop::sample::Index>()) {
            let plain = class("GET", &path);
            let at = at.index(path.len());
            let encoded: String = path.bytes().enumerate().map(|(i, b)| match b {
                b'/' => "/".to_owned(),
                b if i == at => format!("%{b:02x}"),
                b => char::from(b).to_string(),
            }).collect();
            let seen = class("GET", &encoded);
            prop_assert!(plain.is_none() || seen.is_none() || seen == plain, "{} {:?} {:?}", encoded, seen, plain);
        }
    }
}
