//! What sticks to a node, and where it is kept.

use super::*;

fn sessions(keys: &str) -> Config {
    read(&format!("{LEAST}[sessions]\n{keys}")).unwrap()
}

fn warnings(keys: &str) -> Vec<String> {
    let warnings = sessions(keys).warnings();
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_store_and_what_belongs_to_it_are_read() {
    let config = sessions(
        "store = \"rediss+sentinel://:p@a,b/set/9\"\nprefix = \"x\"\nbudget = \"1s\"\ndoor = \"lb-1\"\nca = \"ca.pem\"\n\
         client_certificate = { chain = \"c.pem\", key = \"c-key.pem\" }\nsentinel_password = \"s\"",
    );
    let sessions = config.sessions;
    let store = sessions.store.unwrap();
    assert_eq!(store.to_string(), "rediss+sentinel://a:26379,b:26379/set/9");
    assert_eq!(store.password, Some(Secret::new("p")));
    assert_eq!((sessions.at.line, sessions.prefix.as_str()), (5, "x"));
    assert_eq!(sessions.budget, Duration::from_secs(1));
    assert_eq!(sessions.door, "lb-1");
    assert!(sessions.ca.is_some() && sessions.client_certificate.is_some());
    assert_eq!(sessions.sentinel_password, Some(Secret::new("s")));
}

#[test]
fn each_kind_of_affinity_is_tuned_alone() {
    let text = format!(
        "{LEAST}[affinity]\nui = {{ ttl = \"8h\" }}\n[affinity.push]\nenabled = false\nentries = 100"
    );
    let affinity = read(&text).unwrap().affinity;
    assert_eq!(affinity.ui.ttl, Duration::from_secs(8 * 3600));
    assert!(affinity.ui.enabled && !affinity.push.enabled);
    assert_eq!(affinity.push.entries, 100);
    assert_eq!(affinity.upload, Affinity::default().upload);
}

#[test]
fn what_cannot_stand_in_a_store_is_refused() {
    for (key, value, what) in [
        ("store", "redis://a/x", "number of a database"),
        ("store", "", "is empty"),
        ("prefix", "", "cannot be a prefix"),
        ("prefix", "sea wall:", "cannot be a prefix"),
        ("prefix", "sea*", "cannot be a prefix"),
        ("prefix", "[sea]", "cannot be a prefix"),
        ("prefix", "ä:", "cannot be a prefix"),
        ("prefix", "cache:seawall:", "that Harbor deletes"),
        ("budget", "0s", "out of range"),
        ("budget", "2s", "out of range"),
        ("door", "", "cannot be the name of a door"),
        ("door", "lb 1", "cannot be the name of a door"),
        ("colour", "red", "is not a known key"),
    ] {
        let found = problems(&format!("[sessions]\n{key} = \"{value}\""));
        assert_eq!(found.len(), 1, "{found:?}");
        let start = format!("5: sessions.{key}: ");
        assert!(
            found[0].starts_with(&start) && found[0].contains(what),
            "{found:?}"
        );
    }
    let long = "a".repeat(65);
    for key in ["prefix", "door"] {
        let found = problems(&format!("[sessions]\n{key} = \"{long}\""));
        assert!(found[0].contains("1 to 64"), "{found:?}");
    }
}

#[test]
fn keys_that_mean_nothing_for_the_store_are_refused() {
    let plain = "[sessions]\nstore = \"redis://a/8\"\n";
    for (table, given, key) in [
        (plain, "ca = \"c\"", "ca"),
        (
            plain,
            "client_certificate = { chain = \"c\", key = \"k\" }",
            "client_certificate",
        ),
        (plain, "sentinel_password = \"p\"", "sentinel_password"),
        (
            plain,
            "sentinel_password_file = \"p\"",
            "sentinel_password_file",
        ),
        ("[sessions]\n", "ca = \"c\"", "ca"),
    ] {
        let found = problems(&format!("{table}{given}"));
        assert_eq!(found.len(), 1, "{found:?}");
        let about = format!(" sessions.{key}: means nothing");
        assert!(found[0].contains(&about), "{found:?}");
    }
    let elsewhere = "[sessions]\nstore_file = \"s\"\nca = \"c\"\nsentinel_password = \"p\"";
    assert_eq!(problems(elsewhere), [""; 0]);
}

#[test]
fn affinity_out_of_range_is_told_the_range() {
    for (given, range) in [
        ("ttl = \"59s\"", "from 1m to 30d"),
        ("ttl = \"31d\"", "from 1m to 30d"),
        ("entries = 99", "from 100 to 10000000"),
    ] {
        let found = problems(&format!("[affinity.upload]\n{given}"));
        assert!(found[0].ends_with(range), "{found:?}");
    }
    let found = problems("[affinity.uplaod]");
    assert!(found[0].contains("did you mean `upload`?"), "{found:?}");
}

#[test]
fn requests_on_a_node_in_maintenance_may_be_cut_off_at_once() {
    let given = |value: &str| format!("[timeouts]\nmaintenance = \"{value}\"");
    assert_eq!(problems(&given("0s")), [""; 0]);
    assert!(problems(&given("2h"))[0].ends_with("from 0s to 1h"));
}

#[test]
fn a_store_in_a_database_of_harbor_is_warned_of() {
    assert_eq!(
        warnings("store = \"redis://:p@a\""),
        [
            "seawall.toml:5: sessions.store: database 0 is one of those that Harbor uses itself; add /8 (or any above 7) to the address"
        ]
    );
    assert!(warnings("store = \"a:6379,100,p,7\"")[0].contains("database 7 is"));
    for fine in [
        "",
        "store = \"redis://a/8\"",
        "store = \"redis+cluster://a\"",
    ] {
        assert_eq!(warnings(fine), [""; 0], "{fine}");
    }
}

#[test]
fn a_changed_store_is_shown_without_its_login() {
    let changed = |old, new| changes(&sessions(old), &sessions(new));
    assert_eq!(
        changed(
            "store = \"redis://u:hunter2@a/8\"",
            "store = \"redis://u:hunter2@b/8\""
        ),
        ["sessions: store redis://a:6379/8 → redis://b:6379/8"]
    );
    assert_eq!(
        changed(
            "store = \"redis://u:hunter2@a/8\"",
            "store = \"redis://v:hunter3@a/8\""
        ),
        [
            "sessions: user of the store changed",
            "sessions: password of the store changed"
        ]
    );
    assert_eq!(
        changed("", "store = \"redis://:p@a/8\"\nbudget = \"50ms\""),
        [
            "sessions: store none → redis://a:6379/8",
            "sessions: password of the store changed",
            "sessions: budget 20ms → 50ms"
        ]
    );
    assert_eq!(
        changed("", "[affinity.ui]\nttl = \"2h\""),
        ["affinity.ui: ttl 1h → 2h"]
    );
}

#[test]
fn no_password_of_a_store_is_in_a_printed_configuration() {
    let keys = "store = \"redis+sentinel://u:hunter2@a/m/8\"\nsentinel_password = \"hunter3\"";
    assert!(!format!("{:?}", sessions(keys)).contains("hunter"));
}
