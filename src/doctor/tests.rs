//! Verdicts on what was observed, without a Harbor: pairs of faults among three nodes, and what must not be blamed.

use std::collections::BTreeSet;

use http::HeaderValue;

use super::*;
use greeting::Greeting;
use storage::Looked;
use token::{Asked, Token};

const NODES: usize = 3;
/// The node that has the faults.
const ODD: usize = 2;

fn bearer(key: &str) -> Option<Asked> {
    Some(Asked::Token(Token {
        bearer: HeaderValue::from_static("Bearer x"),
        key: Some(key.to_owned()),
        user: Some("admin".to_owned()),
    }))
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..NODES)
        .flat_map(|a| (0..NODES).map(move |b| (a, b)))
        .filter(|(a, b)| a != b)
}

/// Three nodes of Harbor 2 that are one cluster.
fn sound() -> Observations {
    let projects = || {
        Some(BTreeSet::from([(
            1,
            "library".to_owned(),
            "2026".to_owned(),
        )]))
    };
    let greeting = || Greeting {
        dialect: Some(Dialect::Harbor2),
        version: Some("v2.9.5".to_owned()),
        realm: Some("https://r.example/service/token".to_owned()),
        external_url: Some("https://r.example".to_owned()),
        ..Greeting::default()
    };
    Observations {
        shares_data: true,
        public: Public {
            authority: Some("r.example".to_owned()),
            https: true,
        },
        names: ["a", "b", "c"].map(str::to_owned).to_vec(),
        greetings: (0..NODES).map(|_| greeting()).collect(),
        told: vec![address::Told::default(); NODES],
        tokens: token::Seen {
            own: (0..NODES).map(|_| bearer("KEY1")).collect(),
            accepted: pairs().map(|pair| (pair, true)).collect(),
        },
        sessions: session::Seen {
            known: pairs().map(|pair| (pair, true)).collect(),
            logged_in: pairs().map(|pair| (pair, true)).collect(),
            opened: pairs().map(|pair| (pair, true)).collect(),
            trouble: None,
        },
        databases: database::Seen {
            projects: (0..NODES).map(|_| projects()).collect(),
            unknown: Vec::new(),
        },
        storage: storage::Seen {
            uploads: pairs().map(|pair| (pair, Looked::Continues)).collect(),
            blobs: pairs().map(|pair| (pair, true)).collect(),
            ..storage::Seen::default()
        },
        known: Vec::new(),
        clocks: vec![
            Some(clock::Ahead {
                from: -0.5,
                to: 0.5
            });
            NODES
        ],
        notes: Vec::new(),
        left_out: Vec::new(),
    }
}

fn with_odd((a, b): &(usize, usize)) -> bool {
    *a == ODD || *b == ODD
}

type Plant = fn(&mut Observations);

/// What each fault changes in what is observed.
const FAULTS: [(Code, Plant); 10] = [
    (Code::TokenKeyDiffers, |seen| {
        seen.tokens.own[ODD] = bearer("KEY2");
        for (pair, accepted) in &mut seen.tokens.accepted {
            *accepted &= !with_odd(pair);
        }
    }),
    (Code::CsrfKeyDiffers, |seen| {
        for (pair, opened) in &mut seen.sessions.opened {
            *opened &= !with_odd(pair);
        }
    }),
    (Code::RedisNotShared, |seen| {
        for (pair, known) in &mut seen.sessions.known {
            *known &= !with_odd(pair);
        }
        for (pair, logged_in) in &mut seen.sessions.logged_in {
            *logged_in &= !with_odd(pair);
        }
    }),
    (Code::HttpSecretDiffers, |seen| {
        for (pair, looked) in &mut seen.storage.uploads {
            if with_odd(pair) {
                *looked = Looked::Invalid;
            }
        }
    }),
    (Code::StorageNotShared, |seen| {
        for (pair, looked) in &mut seen.storage.uploads {
            // The signature is looked at first.
            if with_odd(pair) && *looked != Looked::Invalid {
                *looked = Looked::Unknown;
            }
        }
        for (pair, reads) in &mut seen.storage.blobs {
            *reads &= !with_odd(pair);
        }
    }),
    (Code::DatabaseNotShared, |seen| {
        seen.databases.projects[ODD] = Some(BTreeSet::new());
        // Its user is another one there.
        for (pair, logged_in) in &mut seen.sessions.logged_in {
            *logged_in &= !with_odd(pair);
        }
    }),
    (Code::VersionDiffers, |seen| {
        seen.greetings[ODD].version = Some("v2.10.0".to_owned())
    }),
    (Code::ClockSkew, |seen| {
        seen.clocks[ODD] = Some(clock::Ahead {
            from: 9.5,
            to: 10.5,
        });
    }),
    (Code::ExternalUrlWrong, |seen| {
        let url = seen.greetings[ODD].realm.iter_mut();
        url.for_each(|url| *url = url.replace("r.example", "other"));
    }),
    (Code::RealmPlainHttp, |seen| {
        let url = seen.greetings[ODD].realm.iter_mut();
        url.for_each(|url| *url = url.replace("https", "http"));
    }),
];

fn found(seen: &Observations) -> Vec<(Code, String)> {
    let mut found: Vec<_> = judge(seen)
        .into_iter()
        .map(|one| (one.code, one.nodes.join(",")))
        .collect();
    found.sort();
    found
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(found(&sound()), []);
}

#[test]
fn every_set_of_up_to_three_faults_is_found_and_nothing_else() {
    for a in 0..FAULTS.len() {
        for b in a..FAULTS.len() {
            for c in b..FAULTS.len() {
                let mut seen = sound();
                let mut expected = Vec::new();
                for at in BTreeSet::from([a, b, c]) {
                    let (code, plant) = FAULTS[at];
                    plant(&mut seen);
                    expected.push((code, "c".to_owned()));
                }
                expected.sort();
                assert_eq!(found(&seen), expected);
            }
        }
    }
}

#[test]
fn a_refused_token_of_the_same_key_is_blamed_on_a_clock_that_explains_it() {
    let mut seen = sound();
    seen.clocks[ODD] = Some(clock::Ahead {
        from: 89.5,
        to: 90.5,
    });
    for (pair, accepted) in &mut seen.tokens.accepted {
        *accepted &= pair.0 != ODD;
    }
    assert_eq!(found(&seen), [(Code::ClockSkew, "c".to_owned())]);
    // Without the skew it is the certificate that the registry trusts.
    seen.clocks[ODD] = sound().clocks[ODD];
    for accepted in seen.tokens.accepted.values_mut() {
        *accepted = false;
    }
    assert!(
        found(&seen)
            .iter()
            .all(|(code, _)| *code == Code::TokenKeyDiffers)
    );
    assert!(!found(&seen).is_empty());
}

#[test]
fn an_account_that_another_database_does_not_have_is_one_fault() {
    let mut seen = sound();
    seen.tokens.own[ODD] = Some(Asked::Refused);
    seen.tokens.accepted.retain(|pair, _| !with_odd(pair));
    assert_eq!(found(&seen), [(Code::AccountDiffers, "c".to_owned())]);
    seen.databases.projects[ODD] = Some(BTreeSet::new());
    assert_eq!(found(&seen), [(Code::DatabaseNotShared, "c".to_owned())]);
}

#[test]
fn a_node_that_cannot_be_asked_is_not_blamed_for_what_it_did_not_say() {
    let mut seen = sound();
    seen.greetings[ODD] = Greeting {
        unreachable: Some("refused".to_owned()),
        ..Greeting::default()
    };
    seen.tokens.own[ODD] = None;
    seen.databases.projects[ODD] = None;
    seen.clocks[ODD] = None;
    seen.tokens.accepted.retain(|pair, _| !with_odd(pair));
    seen.sessions.known.retain(|pair, _| !with_odd(pair));
    seen.sessions.logged_in.retain(|pair, _| !with_odd(pair));
    seen.sessions.opened.retain(|pair, _| !with_odd(pair));
    seen.storage.uploads.retain(|pair, _| !with_odd(pair));
    seen.storage.blobs.retain(|pair, _| !with_odd(pair));
    assert_eq!(found(&seen), [(Code::Unreachable, "c".to_owned())]);
}

#[test]
fn nodes_with_data_of_their_own_are_not_blamed_for_it() {
    let mut seen = sound();
    seen.shares_data = false;
    for (code, plant) in FAULTS {
        if matches!(
            code,
            Code::RedisNotShared
                | Code::CsrfKeyDiffers
                | Code::StorageNotShared
                | Code::DatabaseNotShared
                | Code::HttpSecretDiffers
        ) {
            plant(&mut seen);
        }
    }
    assert_eq!(found(&seen), []);
    let users = |names: &[&str]| equal::Known {
        users: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        robots: None,
    };
    seen.known = vec![
        users(&["ann", "bob"]),
        users(&["ann", "bob"]),
        users(&["ann"]),
    ];
    assert_eq!(found(&seen), [(Code::UsersDiffer, "c".to_owned())]);
}

#[test]
fn only_nodes_that_take_pushes_are_pushed_to() {
    let origins = |cluster: &str, parts: [&str; 2]| {
        let mut text = format!("[[listen]]\naddress = \"127.0.0.1:1\"\n[cluster]\n{cluster}\n");
        for (part, name) in parts.iter().zip(["a", "b"]) {
            let node =
                format!("[[cluster.node]]\nname = \"{name}\"\nurl = \"http://{name}\"\n{part}\n");
            text.push_str(&node);
        }
        let config = crate::config::parse(&text, "seawall.toml".as_ref());
        config.map(|config| super::origins(&config))
    };
    let primary = ["role = \"replica\"", "role = \"primary\""];
    assert_eq!(
        origins("topology = \"primary-replica\"", primary),
        Ok(vec![1])
    );
    let tiers = ["tier = 0", "tier = 1"];
    assert_eq!(
        origins("topology = \"tiered\"\nwrite_tier = 1", tiers),
        Ok(vec![1])
    );
    assert_eq!(
        origins("topology = \"replicated\"", ["", ""]),
        Ok(vec![0, 1])
    );
}
