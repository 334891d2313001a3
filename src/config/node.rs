//! `[[cluster.node]]`: one Harbor behind the door.

use std::path::PathBuf;

use super::scope::Scope;
use super::{At, Certificate, Part, Url, Wrong, room};

/// The weight of a node that names none.
const WEIGHT: u32 = 10;

/// One Harbor.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where its table begins.
    pub at: At,
    /// What logs, metrics and operators call it: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// Where it is reached.
    pub endpoints: Endpoints,
    /// Its share of the work beside the others, 0 to 1000; 0: only when all others have none either.
    pub weight: u32,
    /// Requests at once; none: as many as any node.
    pub requests: Option<u32>,
    /// What it is in the topology of its cluster.
    pub part: Part,
    /// The authorities that its certificate must come from, PEM; none: those of the machine.
    pub ca: Option<PathBuf>,
    /// What Seawall shows when the node asks for a certificate.
    pub client_certificate: Option<Certificate>,
}

/// Where a node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// Through Harbor's own nginx.
    Whole(Url),
    /// At its parts, doing what Harbor's nginx does. Without `portal`, core serves the user interface, as before
    /// Harbor 1.7.
    Parts {
        /// Registry, API and logins.
        core: Url,
        /// The pages of the user interface.
        portal: Option<Url>,
    },
}

impl Endpoints {
    /// Where requests to the registry and the API go.
    pub const fn main(&self) -> &Url {
        match self {
            Self::Whole(url) => url,
            Self::Parts { core, .. } => core,
        }
    }

    /// Every place, the main one first.
    pub fn all(&self) -> impl Iterator<Item = &Url> {
        let portal = match self {
            Self::Whole(_) => None,
            Self::Parts { portal, .. } => portal.as_ref(),
        };
        std::iter::once(self.main()).chain(portal)
    }
}

impl Node {
    /// A node of which nothing but its place is known.
    pub fn new(name: String, url: Url) -> Self {
        Self {
            at: At::default(),
            name,
            endpoints: Endpoints::Whole(url),
            weight: WEIGHT,
            requests: None,
            part: Part::default(),
            ca: None,
            client_certificate: None,
        }
    }

    pub(super) fn read(mut scope: Scope<'_>) -> Option<Self> {
        let name = scope.word("name", |name| read_name(name, "a node"));
        scope.need("name", "give the node a name, like \"harbor-1\"");
        let weight = scope.number("weight", 0..=1000).unwrap_or(WEIGHT);
        let requests = room::read_requests(&mut scope, "requests");
        let endpoints = read_endpoints(&mut scope);
        let part = Part::read(&mut scope);
        let ca = scope.readable("ca");
        let client_certificate = Certificate::read(scope.table("client_certificate"));
        let plain = |endpoints: &Endpoints| endpoints.all().all(|url| !url.https);
        if endpoints.as_ref().is_some_and(plain) {
            for key in ["ca", "client_certificate"] {
                scope.useless(key, "means nothing for a node without https");
            }
        }
        let at = scope.at();
        scope.finish();
        Some(Self {
            at,
            name: name?,
            endpoints: endpoints?,
            weight,
            requests,
            part,
            ca,
            client_certificate,
        })
    }
}

fn read_endpoints(scope: &mut Scope<'_>) -> Option<Endpoints> {
    let url = scope.word("url", str::parse::<Url>);
    let core = scope.word("core", str::parse::<Url>);
    let portal = scope.word("portal", str::parse::<Url>);
    let (has_url, has_core) = (scope.has("url"), scope.has("core"));
    if has_url {
        let fix =
            "remove one of the two: `url` is Harbor as a whole, `core` and `portal` are its parts";
        for key in ["core", "portal"].into_iter().filter(|key| scope.has(key)) {
            scope.wrong(key, Wrong::new("is given beside `url`", fix));
        }
    } else if !has_core {
        let fix = "write where the node is reached: url = \"http://…\", or `core` and `portal`";
        scope.need(if scope.has("portal") { "core" } else { "url" }, fix);
    }
    match (url, core) {
        (Some(url), None) => Some(Endpoints::Whole(url)),
        (None, Some(core)) => Some(Endpoints::Parts { core, portal }),
        _ => None,
    }
}

/// Whether `text` is 1 to 64 of `A-Z a-z 0-9 . _ -`.
pub(super) fn is_name(text: &str) -> bool {
    let sound = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    sound && (1..=64).contains(&text.len())
}

/// Reads the name of something that logs, metrics and operators call by it.
pub(super) fn read_name(name: &str, owner: &str) -> Result<String, Wrong> {
    if is_name(name) {
        Ok(name.to_owned())
    } else {
        Err(Wrong::new(
            format!("`{}` cannot be the name of {owner}", name.escape_debug()),
            "write 1 to 64 letters, digits, dots, underscores and hyphens",
        ))
    }
}
