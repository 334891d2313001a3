#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

/// What an address says: how it displays, user, password.
fn said(text: &str) -> (String, Option<String>, Option<String>) {
    let store: Store = text
        .parse()
        .unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
    let password = store.password.as_ref().map(|p| p.expose().to_owned());
    (store.to_string(), store.user, password)
}

#[test]
fn every_form_of_an_address_is_read() {
    let one = "redis://10.0.0.5:6379/8";
    let sentinel = "redis+sentinel://a:26379,b:26380,c:26379/mymaster/8";
    for (text, shown, user, password) in [
        ("redis://10.0.0.5:6379/8", one, "", ""),
        ("REDIS://10.0.0.5/8", one, "", ""),
        ("redis://10.0.0.5", "redis://10.0.0.5:6379/0", "", ""),
        ("redis://10.0.0.5/", "redis://10.0.0.5:6379/0", "", ""),
        ("redis://10.0.0.5:7000/0", "redis://10.0.0.5:7000/0", "", ""),
        ("redis://u:p@10.0.0.5/8", one, "u", "p"),
        ("redis://u@10.0.0.5/8", one, "u", ""),
        ("redis://:p@10.0.0.5/8", one, "", "p"),
        ("redis://:@10.0.0.5/8", one, "", ""),
        ("redis://@10.0.0.5/8", one, "", ""),
        ("redis://anonymous:p@10.0.0.5/8", one, "", "p"),
        ("redis://u%3a:p%40%2f%25@10.0.0.5/8", one, "u:", "p@/%"),
        ("redis://:p@/?:#%x@10.0.0.5/8", one, "", "p@/?:#%x"),
        ("redis://10.0.0.5/8?idle_timeout_seconds=30", one, "", ""),
        ("redis://10.0.0.5/8?", one, "", ""),
        ("redis://Redis.Local", "redis://redis.local:6379/0", "", ""),
        ("redis://[FD00::0:5]/9", "redis://[fd00::5]:6379/9", "", ""),
        (
            "rediss://:p@[fd00::5]:1/9",
            "rediss://[fd00::5]:1/9",
            "",
            "p",
        ),
        (
            "redis+sentinel://u:p@a,b:26380,c/mymaster/8?idle_timeout_seconds=30",
            sentinel,
            "u",
            "p",
        ),
        (
            "rediss+sentinel://a/m",
            "rediss+sentinel://a:26379/m/0",
            "",
            "",
        ),
        (
            "redis+sentinel://a/m.-_1/",
            "redis+sentinel://a:26379/m.-_1/0",
            "",
            "",
        ),
        (
            "redis+cluster://:p@a:7000,[::1]",
            "redis+cluster://a:7000,[::1]:6379",
            "",
            "p",
        ),
        ("redis+cluster://a/0", "redis+cluster://a:6379", "", ""),
        ("rediss+cluster://a/", "rediss+cluster://a:6379", "", ""),
        ("10.0.0.5:6379", "redis://10.0.0.5:6379/0", "", ""),
        ("redis", "redis://redis:6379/0", "", ""),
        ("10.0.0.5:6379,100", "redis://10.0.0.5:6379/0", "", ""),
        (
            "10.0.0.5:6379,100,p%41",
            "redis://10.0.0.5:6379/0",
            "",
            "p%41",
        ),
        ("10.0.0.5:6379,100,p@://,8", one, "", "p@://"),
        ("10.0.0.5:6379,,,8", one, "", ""),
        ("10.0.0.5,,p,", "redis://10.0.0.5:6379/0", "", "p"),
        ("[fd00::5]:6379,100,,8", "redis://[fd00::5]:6379/8", "", ""),
    ] {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let expected = (shown.to_owned(), some(user), some(password));
        assert_eq!(said(text), expected, "{text}");
    }
}

#[test]
fn shape_servers_and_tls_are_taken_apart() {
    let store: Store = "rediss+sentinel://a,[::1]:5/set/8".parse().unwrap();
    let master = "set".to_owned();
    assert_eq!(store.shape, Shape::Sentinel { master });
    let nodes = [("a".to_owned(), 26379), ("::1".to_owned(), 5)];
    assert_eq!(store.nodes, nodes);
    assert!(store.tls);
    assert_eq!(store.database, 8);
}

#[test]
fn what_is_wrong_with_an_address_is_told() {
    for (text, what) in [
        ("", "host"),
        ("redis://", "host"),
        ("redis:///8", "host"),
        ("redis://:p@/8", "host"),
        ("redis://fd00::5/8", "host"),
        ("redis://a b/8", "host"),
        ("redis://a,/8", "host"),
        ("redis://a,b/8", "several servers"),
        ("redis://a:0", "port"),
        ("redis://a:", "port"),
        ("redis://a:65536", "port"),
        ("redis://a:p", "port"),
        ("redis://a/x", "number of a database"),
        ("redis://a/+8", "number of a database"),
        ("redis://a/8/9", "number of a database"),
        ("redis://a/4294967296", "number of a database"),
        ("redis://a/8#x", "number of a database"),
        ("redis://a?db=8", "`db`"),
        ("redis://a?idle_timeout_seconds=3&db=8", "`db`"),
        ("redis://a?secret", "a parameter that is not known"),
        ("redis://:%ff@a", "UTF-8"),
        ("redis+sentinel://a", "which master"),
        ("redis+sentinel://a//8", "which master"),
        ("redis+sentinel://a/my master", "which master"),
        ("redis+sentinel://a/m/8/9", "number of a database"),
        ("redis+cluster://a/8", "only number 0"),
        ("redis+ring://a", "does not begin as the address"),
        ("http://a", "does not begin as the address"),
        ("a:6379,b:6379", "the size of its pool"),
        ("a:6379,100,p,8,30", "more than four parts"),
        ("a:6379,100,p,x", "number of a database"),
        (":p@a:6379/8", "host"),
    ] {
        let wrong = text.parse::<Store>().unwrap_err();
        assert!(wrong.what.contains(what), "{text}: {wrong}");
    }
}

/// The same store for everybody to see.
fn without_login(store: &Store) -> Store {
    Store {
        user: None,
        password: None,
        ..store.clone()
    }
}

proptest! {
    #[test]
    fn reading_never_panics(text: String) {
        let _ = text.parse::<Store>();
    }

    #[test]
    fn an_address_without_its_login_reads_the_same_again(
        scheme in "((rediss?)(\\+sentinel|\\+cluster)?://)?",
        login in "([a-z]{0,3}(:[a-z%0-9,/?@]{0,6})?@)?",
        hosts in "[a-z0-9.:,\\[\\]-]{1,16}",
        path in "(/[a-z]{1,4})?(/[0-9]{0,3})?(,[0-9]?,[a-z]?,[0-9]?)?",
    ) {
        if let Ok(store) = format!("{scheme}{login}{hosts}{path}").parse::<Store>() {
            prop_assert_eq!(store.to_string().parse::<Store>().unwrap(), without_login(&store));
        }
    }

    #[test]
    fn a_sound_address_reads_the_same_again(
        tls in "s?",
        sentinel: bool,
        login in "([a-z]{1,3}:[g-z%/?@:]{0,6}@)?",
        hosts in prop::collection::vec("(a|redis-1|10\\.0\\.0\\.1|\\[fd00::1\\])(:[1-9][0-9]{0,3})?", 1..4),
        database: u32,
    ) {
        let hosts = hosts.join(",");
        let text = if sentinel {
            format!("redis{tls}+sentinel://{login}{hosts}/set/{database}")
        } else {
            format!("redis{tls}+cluster://{login}{hosts}")
        };
        let store = text.parse::<Store>().unwrap();
        prop_assert_eq!(store.to_string().parse::<Store>().unwrap(), without_login(&store));
    }

    #[test]
    fn no_error_repeats_the_password(
        before in "(redis://|rediss\\+sentinel://|redis\\+cluster://|http://|x://|)[a-z]{0,2}:",
        noise in "[ -~]{0,8}",
        after in "@?[ -~]{0,12}",
    ) {
        for text in [
            format!("{before}hunter{noise}hunter{after}"),
            format!("a:6379,hunter{noise}{after}"),
            format!("a:6379,{noise},hunter{after}"),
            format!("a:6379,100,hunter{noise},{after}"),
        ] {
            if let Err(wrong) = text.parse::<Store>() {
                let said = format!("{wrong:?} {wrong}");
                prop_assert!(!said.contains("hunter"), "{}: {}", text, said);
            }
        }
    }
}

#[test]
fn a_store_is_printed_without_its_password() {
    let store: Store = "redis://u:hunter2@a/8".parse().unwrap();
    assert!(!format!("{store:?} {store}").contains("hunter2"));
}
