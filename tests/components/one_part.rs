//! One part of one node of two.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::Duration;

use crate::support::client::request;
use crate::support::cluster::Cluster;
use crate::support::door::{Plan, eventually};
use crate::support::harbor::{Component, Dialect, Mode};

use Component::{Adminserver, Core, Database, Jobservice, Portal, Redis, Registry, Registryctl};
use Dialect::{Harbor1, Harbor2, Harbor15};
use Kind::{Api, Page, Pull, Push, Session, Token};
use Mode::{Down, Hung};

/// The door's probes: interval, timeout and fall, as in the harness.
const INTERVAL: Duration = Duration::from_millis(210);
const TIMEOUT: Duration = Duration::from_secs(1);
const FALL: u32 = 3;
/// What a node's own word may be late: its poll, and the limit of one poll.
const STALE: Duration = Duration::from_millis(200 + 1200);
/// For a machine that has other work.
const SLACK: Duration = Duration::from_millis(1200);

/// A kind of request, by what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pull,
    Push,
    Token,
    Api,
    Session,
    Page,
}

impl Kind {
    const ALL: [Kind; 6] = [Pull, Push, Token, Api, Session, Page];

    fn ask(self, dialect: Dialect) -> (&'static str, &'static str) {
        let old = dialect == Harbor15;
        match self {
            Pull => ("GET", "/v2/library/app/manifests/1"),
            Push => ("POST", "/v2/library/app/blobs/uploads/"),
            Token => (
                "GET",
                "/service/token?service=harbor-registry&scope=repository:library/app:pull",
            ),
            Api if dialect == Harbor2 => ("GET", "/api/v2.0/systeminfo?seen=1"),
            Api => ("GET", "/api/systeminfo?seen=1"),
            Session if old => ("GET", "/log_out"),
            Session => ("GET", "/c/log_out"),
            Page => ("GET", "/harbor/projects"),
        }
    }
}

struct Case {
    dialect: Dialect,
    part: Component,
    mode: Mode,
    account: bool,
    /// What the door calls bad: the part, or what hides it.
    seen: &'static str,
    moves: &'static [Kind],
}

fn plan(account: bool, slow: bool) -> impl FnOnce(&mut Plan) {
    move |plan| {
        if slow {
            // Each command to a hung Redis takes the stand-in 240 ms where the real one takes 12 s.
            plan.more = plan.more.replace("\"1s\"", "\"400ms\"");
        }
        plan.cluster = "balance = \"round-robin\"".to_owned();
        if account {
            plan.more.push_str(
                "[cluster.account]\nuser = \"robot$seawall\"\npassword = \"Robot12345\"\n",
            );
        }
    }
}

/// How many of a dozen requests each node got.
async fn spread(cluster: &Cluster, kind: Kind, dialect: Dialect) -> [usize; 2] {
    let (method, target) = kind.ask(dialect);
    let before: Vec<usize> = cluster
        .nodes
        .iter()
        .map(|node| seen(node, target))
        .collect();
    for turn in 0..12 {
        // Uploads of one repository begin at one node: a crowd pushes to many.
        let target = target.replace("/app/blobs", &format!("/app-{turn}/blobs"));
        let answer = request(&cluster.door, method, &target, "").await;
        assert!(
            answer.status != 0 && answer.status != 503,
            "{kind:?}: {}",
            answer.head
        );
    }
    let after: Vec<usize> = cluster
        .nodes
        .iter()
        .map(|node| seen(node, target))
        .collect();
    [after[0] - before[0], after[1] - before[1]]
}

fn seen(node: &crate::support::harbor::HarborNode, target: &str) -> usize {
    let entries = node.log().entries();
    entries
        .iter()
        .filter(|entry| entry.target == target || is_push(&entry.target) && is_push(target))
        .count()
}

fn is_push(target: &str) -> bool {
    target.ends_with("/blobs/uploads/")
}

async fn break_one(case: Case) {
    let cluster = Cluster::start_with(
        case.dialect,
        2,
        |_| {},
        plan(case.account, case.part == Redis),
    )
    .await;
    cluster.nodes[0].set(case.part, case.mode).await;
    let word = |name: &str| cluster.door.node(name)["components"][case.seen]["status"].clone();
    let mut limit = INTERVAL * FALL + TIMEOUT + SLACK;
    if !case.account {
        limit += STALE;
    }
    eventually("the door knows", limit, || word("harbor-1") == "unhealthy");
    let serves = cluster.door.node("harbor-1")["serves"].clone();
    for (slug, kind) in [("registry", Pull), ("api", Api), ("ui", Page)] {
        assert_eq!(
            serves[slug],
            !case.moves.contains(&kind),
            "{slug}: {serves}"
        );
    }
    for kind in Kind::ALL {
        let [broken, other] = spread(&cluster, kind, case.dialect).await;
        if case.moves.contains(&kind) {
            assert_eq!((broken, other), (0, 12), "{kind:?} should move");
        } else {
            assert!(
                broken >= 4 && other >= 4,
                "{kind:?} should stay: {broken}/{other}"
            );
        }
    }
    assert_eq!(word("harbor-2"), "healthy");
    cluster.nodes[0].set(case.part, Mode::Ok).await;
    eventually("it comes back", Duration::from_secs(8), || {
        cluster.door.node("harbor-1")["state"] == "up"
    });
}

macro_rules! broken {
    ($($name:ident: $dialect:ident $part:ident $mode:ident $(with $account:ident)? shows $seen:literal, moves $moves:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            break_one(Case {
                dialect: $dialect,
                part: $part,
                mode: $mode,
                account: concat!($(stringify!($account))?) == "account",
                seen: $seen,
                moves: &$moves,
            })
            .await;
        }
    )*};
}

const ALL_BUT_PAGES: [Kind; 5] = [Pull, Push, Token, Api, Session];

broken! {
    a_dead_core_of_2_x_leaves_the_pages_alone: Harbor2 Core Down with account shows "core", moves ALL_BUT_PAGES;
    a_hung_core_of_2_x_leaves_the_pages_alone: Harbor2 Core Hung with account shows "core", moves ALL_BUT_PAGES;
    a_dead_registry_of_2_x_moves_pulls_and_pushes_only: Harbor2 Registry Down with account shows "registry", moves [Pull, Push];
    a_hung_registry_of_2_x_moves_pulls_and_pushes_only: Harbor2 Registry Hung with account shows "registry", moves [Pull, Push];
    a_dead_registry_of_2_x_is_found_without_an_account: Harbor2 Registry Down shows "registry", moves [Pull, Push];
    a_hung_registry_of_2_x_is_found_without_an_account: Harbor2 Registry Hung shows "registry", moves [Pull, Push];
    a_dead_database_of_2_x_leaves_the_pages_alone: Harbor2 Database Down with account shows "database", moves ALL_BUT_PAGES;
    a_hung_database_of_2_x_is_seen_although_harbor_calls_it_healthy: Harbor2 Database Hung with account shows "database", moves ALL_BUT_PAGES;
    a_hung_database_of_2_x_is_found_without_an_account: Harbor2 Database Hung shows "database", moves ALL_BUT_PAGES;
    a_dead_redis_of_2_x_moves_pushes_and_sessions_only: Harbor2 Redis Down with account shows "redis", moves [Push, Session];
    a_hung_redis_of_2_x_counts_as_a_hung_core: Harbor2 Redis Hung with account shows "core", moves ALL_BUT_PAGES;
    a_dead_portal_of_2_x_moves_pages_only: Harbor2 Portal Down with account shows "portal", moves [Page];
    a_hung_portal_of_2_x_moves_pages_only: Harbor2 Portal Hung with account shows "portal", moves [Page];
    a_dead_jobservice_of_2_x_moves_nothing: Harbor2 Jobservice Down with account shows "jobservice", moves [];
    a_hung_jobservice_of_2_x_moves_nothing: Harbor2 Jobservice Hung shows "jobservice", moves [];
    a_dead_registryctl_of_2_x_moves_nothing: Harbor2 Registryctl Down with account shows "registryctl", moves [];
    a_hung_registryctl_of_2_x_moves_nothing: Harbor2 Registryctl Hung shows "registryctl", moves [];
    a_dead_core_of_1_10_leaves_the_pages_alone: Harbor1 Core Down shows "core", moves ALL_BUT_PAGES;
    a_hung_core_of_1_10_leaves_the_pages_alone: Harbor1 Core Hung shows "core", moves ALL_BUT_PAGES;
    a_dead_registry_of_1_10_moves_pulls_and_pushes_only: Harbor1 Registry Down shows "registry", moves [Pull, Push];
    a_hung_registry_of_1_10_moves_pulls_and_pushes_only: Harbor1 Registry Hung shows "registry", moves [Pull, Push];
    a_dead_database_of_1_10_leaves_the_pages_alone: Harbor1 Database Down shows "database", moves ALL_BUT_PAGES;
    a_hung_database_of_1_10_leaves_the_pages_alone: Harbor1 Database Hung shows "database", moves ALL_BUT_PAGES;
    a_dead_redis_of_1_10_takes_its_core_with_it: Harbor1 Redis Down shows "core", moves ALL_BUT_PAGES;
    a_hung_redis_of_1_10_takes_its_core_with_it: Harbor1 Redis Hung shows "core", moves ALL_BUT_PAGES;
    a_dead_portal_of_1_10_moves_pages_only: Harbor1 Portal Down shows "portal", moves [Page];
    a_dead_jobservice_of_1_10_moves_nothing: Harbor1 Jobservice Down shows "jobservice", moves [];
    a_dead_registryctl_of_1_10_moves_nothing: Harbor1 Registryctl Down shows "registryctl", moves [];
    a_dead_registry_of_1_5_moves_pulls_and_pushes_only: Harbor15 Registry Down shows "registry", moves [Pull, Push];
    a_dead_database_of_1_5_leaves_the_pages_alone: Harbor15 Database Down shows "database", moves ALL_BUT_PAGES;
    a_dead_adminserver_of_1_5_leaves_the_pages_alone: Harbor15 Adminserver Down shows "adminserver", moves ALL_BUT_PAGES;
    a_dead_ui_of_1_5_moves_everything: Harbor15 Core Down shows "core", moves Kind::ALL;
}
