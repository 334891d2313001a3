//! The house has floors: a room uses only rooms on lower floors. And its files stay small.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// From the roof to the ground. Rooms of one floor do not use each other.
const FLOORS: [&[&str]; 11] = [
    &["cli"],
    &["app", "bench"],
    &["admin", "doctor"],
    &["front"],
    &["proxy", "reload"],
    &["state"],
    &["placement"],
    &["upstream"],
    &["net", "tls", "session", "vip"],
    &["config"],
    &[
        "telemetry",
        "lifecycle",
        "message",
        "harbor",
        "balance",
        "health",
    ],
];

/// The longest file, tests beside code included.
const MOST_LINES: usize = 600;

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with the room it belongs to.
fn rooms() -> Vec<(String, PathBuf)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    let room = |path: &PathBuf| {
        let first = path
            .strip_prefix(&src)
            .unwrap()
            .components()
            .next()
            .unwrap();
        Path::new(&first)
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    found
        .into_iter()
        .map(|path| (room(&path), path))
        .filter(|(room, _)| room != "lib" && room != "main")
        .collect()
}

fn floor(room: &str) -> usize {
    FLOORS
        .iter()
        .position(|floor| floor.contains(&room))
        .unwrap_or_else(|| panic!("`{room}` has no floor"))
}

/// The rooms that a text names after `crate::`, in braces or without.
fn used(text: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split_once("};").map_or(list, |(list, _)| list);
                rooms.extend(list.split(',').filter_map(|item| first_word(item.trim())));
            }
            None => rooms.extend(first_word(rest)),
        }
    }
    rooms
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn a_room_uses_only_rooms_on_lower_floors() {
    let mut wrong = Vec::new();
    for (room, path) in rooms() {
        let text = std::fs::read_to_string(&path).unwrap();
        for other in used(&text).iter().filter(|other| **other != room) {
            let known = FLOORS.iter().any(|floor| floor.contains(&other.as_str()));
            if known && floor(other) <= floor(&room) {
                wrong.push(format!("{}: {room} uses {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_has_a_floor() {
    for (room, _) in rooms() {
        floor(&room);
    }
}

#[test]
fn no_file_outgrows_its_idea() {
    for (_, path) in rooms() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
    }
}

#[test]
fn the_check_sees_a_room_that_looks_up() {
    assert!(used("use crate::front::Door;").contains("front"));
    assert!(used("use crate::{front::Door, harbor};").contains("harbor"));
}
