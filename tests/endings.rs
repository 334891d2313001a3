//! Each client, each of its operations, each moment at which the node of that operation can die: what the client makes of
//! it, as it is written in `docs/endings.md`.
//!
//! A relay before one of two nodes dies at exactly that request and moment. Whatever the client says then, what it pushed
//! must be there whole, or not at all, and the same command must do its work when it is run again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod people;
mod scene;
mod table;

use people::Client;
use scene::Scene;
use table::{Command, MOMENTS, ROWS, expected};

use super::support::relay::{Moment, Operation};

/// Plays those rows of the table that `chosen` chooses, and compares each with what is expected.
async fn play(client: Client, chosen: impl Fn(Command, Operation, Moment) -> bool) {
    let mut scene = Scene::set(client).await;
    let mut wrong = Vec::new();
    let began = std::time::Instant::now();
    let mut count = 0;
    for (command, operation) in ROWS {
        for moment in MOMENTS {
            let Some(expected) = expected(client, command, operation, moment) else {
                assert!(
                    !moment.fits(operation) || !scene.asks(command, operation),
                    "{client:?} does send {operation:?}"
                );
                continue;
            };
            if !chosen(command, operation, moment) {
                continue;
            }
            let (seen, said) = scene.play(command, operation, moment).await;
            count += 1;
            let row = format!(
                "{:<7}{:<6} {:<13} {moment:<14} expected: {expected:<12} seen: {seen:<12} {said}",
                client.name(),
                command.name(),
                operation.name(),
            );
            println!("{row}");
            if seen != expected {
                wrong.push(row);
            }
        }
    }
    println!("{client:?}: {count} deaths in {:?}", began.elapsed());
    assert!(count > 0, "nothing was played");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where clients differ, and what a client could not do again by itself.
fn telling(_: Command, operation: Operation, moment: Moment) -> bool {
    use Operation::{BlobGet, Chunk, Finish, ManifestGet, ManifestPut, TagGet, Token};
    match operation {
        Chunk => moment == Moment::MidBody,
        Finish => matches!(moment, Moment::Head | Moment::BeforeAnswer),
        ManifestPut => moment == Moment::BeforeAnswer,
        BlobGet | ManifestGet | TagGet | Token => moment == Moment::MidAnswer,
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_as_the_table_says_at_each_death() {
    play(Client::Skopeo, |command, _, _| command == Command::Push).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_logs_in_and_pulls_as_the_table_says_at_each_death() {
    play(Client::Skopeo, |command, _, _| command != Command::Push).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_fares_as_the_table_says_at_the_telling_deaths() {
    play(Client::Podman, telling).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_fares_as_the_table_says_at_the_telling_deaths() {
    play(Client::Docker, telling).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "all of the table, which takes minutes: make deaths"]
async fn every_client_fares_as_the_table_says_at_each_death() {
    let plays = [Client::Docker, Client::Podman, Client::Skopeo]
        .map(|client| tokio::spawn(play(client, |_, _, _| true)));
    for play in plays {
        play.await.unwrap();
    }
}

#[test]
fn the_table_is_the_one_in_the_manual() {
    let manual = include_str!("../docs/endings.md");
    let table = table::markdown();
    assert!(
        manual.contains(&table),
        "docs/endings.md should have this:\n{table}"
    );
}
