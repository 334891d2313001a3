//! The kinds of registry a node may be, and the questions to put to each.

use super::component::{Component, Components};

/// The version family of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Harbor 2.x: the API is under `/api/v2.0`, core checks credentials itself.
    Harbor2,
    /// Harbor 1.8 to 1.10: the first with a health document; the registry answers `/v2/`.
    Harbor1,
    /// Harbor 1.5 (and up to 1.7): no health document, pages come from core.
    Harbor15,
    /// A plain distribution registry.
    Registry,
}

/// A small request that shows how a part of a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// The one word that core says without help (1.x: with Redis' help).
    Ping,
    /// Harbor's own health document: always 200, up to 10 s old, and blind to a database that hangs.
    Document,
    /// `GET /v2/` without credentials: the registry itself in 1.x, core alone in 2.x.
    Registry,
    /// A list of one public project: the cheapest anonymous question that reads the database.
    Database,
    /// `GET /`.
    Portal,
    /// `GET /v2/` with an account: core, database and registry together in 2.x.
    Deep,
    /// The system information of 1.5, which asks the adminserver.
    Config,
}

impl Dialect {
    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Harbor2 => "harbor-2",
            Dialect::Harbor1 => "harbor-1",
            Dialect::Harbor15 => "harbor-1.5",
            Dialect::Registry => "registry",
        }
    }

    /// The questions to put to such a node. `portal`: there is a portal to ask, through the node's nginx or at an
    /// address of its own. `account`: there is an account that has not been refused.
    pub const fn checks(self, portal: bool, account: bool) -> &'static [Check] {
        use Check::{Config, Database, Deep, Document, Ping, Portal, Registry};
        match (self, portal, account) {
            // Deep asks for everything that the anonymous `/v2/` would.
            (Dialect::Harbor2, true, true) => &[Ping, Document, Database, Portal, Deep],
            (Dialect::Harbor2, false, true) => &[Ping, Document, Database, Deep],
            (Dialect::Harbor2 | Dialect::Harbor1, true, _) => {
                &[Ping, Document, Registry, Database, Portal]
            }
            (Dialect::Harbor2 | Dialect::Harbor1, false, _) => {
                &[Ping, Document, Registry, Database]
            }
            (Dialect::Harbor15, _, _) => &[Ping, Registry, Database, Config],
            (Dialect::Registry, _, _) => &[Registry],
        }
    }

    /// What to `GET` for a check.
    pub const fn path(self, check: Check) -> &'static str {
        let two = matches!(self, Dialect::Harbor2);
        match check {
            Check::Ping if two => "/api/v2.0/ping",
            Check::Ping => "/api/ping",
            Check::Document if two => "/api/v2.0/health",
            Check::Document => "/api/health",
            Check::Database if two => "/api/v2.0/projects?page=1&page_size=1",
            Check::Database => "/api/projects?page=1&page_size=1",
            Check::Config if two => "/api/v2.0/systeminfo",
            Check::Config => "/api/systeminfo",
            Check::Registry | Check::Deep => "/v2/",
            Check::Portal => "/",
        }
    }

    /// The components worth showing for such a node: those it has and can be asked about. A verdict may call a
    /// component good that is not among them, so that nothing waits for what does not exist.
    pub const fn parts(self) -> Components {
        use Component::{
            Adminserver, Chartmuseum, Clair, Core, Database, Jobservice, Notary, Portal, Redis,
            Registry, Registryctl, Trivy,
        };
        match self {
            Dialect::Harbor2 => Components::of(&[
                Core,
                Registry,
                Database,
                Redis,
                Portal,
                Jobservice,
                Registryctl,
                Trivy,
                Chartmuseum,
                Notary,
            ]),
            Dialect::Harbor1 => Components::of(&[
                Core,
                Registry,
                Database,
                Redis,
                Portal,
                Jobservice,
                Registryctl,
                Chartmuseum,
                Notary,
                Clair,
            ]),
            Dialect::Harbor15 => Components::of(&[Core, Registry, Database, Redis, Adminserver]),
            Dialect::Registry => Components::of(&[Registry]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_only_used_where_core_checks_it() {
        for dialect in [Dialect::Harbor1, Dialect::Harbor15, Dialect::Registry] {
            assert!(!dialect.checks(true, true).contains(&Check::Deep));
        }
        assert!(Dialect::Harbor2.checks(true, true).contains(&Check::Deep));
        assert!(!Dialect::Harbor2.checks(true, false).contains(&Check::Deep));
    }

    #[test]
    fn each_harbor_is_asked_for_its_database() {
        for dialect in [Dialect::Harbor2, Dialect::Harbor1, Dialect::Harbor15] {
            for portal in [true, false] {
                for account in [true, false] {
                    let checks = dialect.checks(portal, account);
                    assert!(checks.contains(&Check::Database) && checks.contains(&Check::Ping));
                }
            }
        }
    }
}
