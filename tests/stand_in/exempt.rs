//! What is not compared, and why. A line that excuses nothing fails the test.

/// Part of a scenario that is not compared.
pub struct Exempt {
    /// Version and scenario; `*` at the end stands for anything.
    pub scenario: &'static str,
    pub method: &'static str,
    /// How the path begins, or the whole of it after `=`.
    pub path: &'static str,
    /// A header's lower-case name, `status`, `code`, `message`, `end`, or `*`.
    pub aspect: &'static str,
    pub why: &'static str,
}

/// Scenarios of the recordings that are not among the fixtures at all.
pub const LEFT_OUT: [(&str, &str); 11] = [
    (
        "v2.9.5-csrf-keys-differ-ui-login-browser",
        "a browser's repeat of csrf-keys-differ, whose requests are compared",
    ),
    (
        "v2.9.5-ui-create-project-browser",
        "a browser's repeat of ui-project-create",
    ),
    (
        "v2.9.5-db-hung",
        "answers depend on the moment the database comes back; see a_hung_database_holds_requests_and_looks_healthy",
    ),
    (
        "v2.9.5-redis-hung",
        "the same for Redis; see a_hung_redis_slows_everything_down",
    ),
    (
        "v2.9.5-stalled-upload",
        "the sender's silence is the point; see a_stalled_upload_ends_without_an_answer",
    ),
    (
        "v2.9.5-push-node-dies",
        "a death in the middle of a request; see a_stopped_node_resets_and_refuses_until_it_comes_back",
    ),
    (
        "v2.9.5-nginx-down",
        "refused connections only; see a_stopped_node_resets_and_refuses_until_it_comes_back",
    ),
    (
        "v2.9.5-upload-mid-patch-core-dies",
        "a death in the middle; see a_core_that_dies_mid_upload_is_a_502",
    ),
    (
        "v2.9.5-upload-mid-patch-node-dies",
        "the same: nginx survived, core died",
    ),
    (
        "v2.9.5-upload-mid-patch-registry-dies",
        "a death in the middle; see a_registry_that_dies_mid_upload_is_a_502",
    ),
    (
        "v2.9.5-upload-client-aborts",
        "the client's death; see an_aborted_upload_spoils_its_state",
    ),
];

pub const EXEMPT: [Exempt; 5] = [
    Exempt {
        scenario: "v1.5.2-*",
        method: "GET",
        path: "=/",
        aspect: "*",
        why: "the recorded 1.5 had no page templates installed; a real one answers 200",
    },
    Exempt {
        scenario: "v1.5.2-api-anon",
        method: "GET",
        path: "/harbor/projects",
        aspect: "*",
        why: "the same missing templates",
    },
    Exempt {
        scenario: "v1.5.2-adminserver-down",
        method: "GET",
        path: "/service/token#0",
        aspect: "*",
        why: "the first exchange was recorded while Redis was still away",
    },
    Exempt {
        scenario: "v2.9.5-ui-browse-browser",
        method: "GET",
        path: "/api/v2.0/audit-logs",
        aspect: "*",
        why: "the stand-in keeps no audit log: a short list without pages",
    },
    Exempt {
        scenario: "v2.9.5-ui-browse-browser",
        method: "GET",
        path: "/api/v2.0/schedules",
        aspect: "link",
        why: "the stand-in has no schedules, hence no second page",
    },
];
