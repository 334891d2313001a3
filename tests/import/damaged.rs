//! A thousand files: real ones that something happened to. Each is read, or has a problem with a line.

use std::path::Path;

use seawall::config::keepalived;

use super::{folder, taken};

const FILES: u64 = 1000;

/// The samples and the files that they include.
fn originals() -> Vec<String> {
    let names = [
        "keepalived_active_active.conf",
        "keepalived_active_standby.conf",
        "pair.conf",
        "unicast.conf",
        "ipv6.conf",
        "instances.d/one.conf",
        "instances.d/two.conf",
    ];
    names
        .map(|name| std::fs::read_to_string(folder().join(name)).unwrap())
        .into()
}

/// One thing that happens to files.
fn happen(text: &str, originals: &[String], random: &mut fastrand::Rng) -> String {
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    if lines.is_empty() {
        return "\n".into();
    }
    let at = random.usize(..lines.len());
    match random.u8(..10) {
        0 => {
            lines.remove(at);
        }
        1 => lines.insert(at, lines[at].clone()),
        2 => {
            let other = &originals[random.usize(..originals.len())];
            let foreign: Vec<_> = other.lines().collect();
            lines.insert(at, foreign[random.usize(..foreign.len())].to_owned());
        }
        3 => lines.swap(at, random.usize(..text.lines().count())),
        4 => lines.truncate(at + 1),
        5 => lines[at] = lines[at].replace(['{', '}'], ""),
        6 => lines[at].push_str(
            random
                .choice([" {", " }", "\"", " \\", " '", " #", "\u{0}", " ü"])
                .unwrap(),
        ),
        7 => {
            // A typo.
            let mut letters: Vec<char> = lines[at].chars().collect();
            if letters.len() > 1 {
                let from = random.usize(..letters.len() - 1);
                letters.swap(from, from + 1);
            }
            lines[at] = letters.into_iter().collect();
        }
        8 => {
            // Another value.
            let values = [
                "0",
                "-1",
                "99999999999999999999",
                "0.001",
                "<here>",
                "::1",
                "$X",
                "1e9",
                "10.0.0.1/99",
            ];
            let word = lines[at]
                .split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned();
            if !word.is_empty() {
                lines[at] = lines[at].replace(&word, random.choice(values).unwrap());
            }
        }
        _ => {
            let mut bytes = text.as_bytes().to_vec();
            let start = random.usize(..bytes.len());
            let end = (start + random.usize(..40)).min(bytes.len());
            bytes.drain(start..end);
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    lines.join("\n")
}

#[test]
fn a_thousand_damaged_files_are_read_or_have_a_problem_with_a_line() {
    let originals = originals();
    let file = folder().join("damaged.conf");
    let (mut read, mut refused) = (0, 0);
    for seed in 0..FILES {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut text = originals[random.usize(..originals.len())].clone();
        // Some stay as they are.
        for _ in 0..random.u8(..6) {
            text = happen(&text, &originals, &mut random);
        }
        match keepalived::import_text(&text, &file, random.bool().then_some("lb1")) {
            Ok(import) => {
                read += 1;
                let lines = text.lines().count();
                for remark in &import.report {
                    let own = remark.file == file;
                    assert!(
                        remark.line > 0 && (!own || remark.line <= lines),
                        "seed {seed}: {remark}"
                    );
                    assert!(!remark.why.is_empty(), "seed {seed}: {remark}");
                }
                let parsed = toml::de::DeTable::parse(&import.text);
                assert!(parsed.is_ok(), "seed {seed}: {}", import.text);
                if import.open == 0 {
                    taken(&import).unwrap_or_else(|problems| {
                        panic!("seed {seed}: {problems:?}\n{}", import.text)
                    });
                }
            }
            Err(problem) => {
                refused += 1;
                let said = problem.to_string();
                let start = format!("{}:{}: ", problem.file.display(), problem.line);
                assert!(
                    problem.line > 0 && said.starts_with(&start),
                    "seed {seed}: {said}"
                );
                assert!(
                    Path::new(&problem.file).starts_with(folder()),
                    "seed {seed}: {said}"
                );
            }
        }
    }
    assert!(
        read > FILES / 3 && refused > FILES / 20,
        "{read} read, {refused} refused"
    );
}
