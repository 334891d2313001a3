//! What is expected.

use std::fmt;
use std::fmt::Write as _;

use super::people::Client;
use crate::support::relay::Moment::{self, BeforeAnswer, Connect, Head, MidAnswer, MidBody};
use crate::support::relay::Operation::{self, *};

/// What a client is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    Login,
    Push,
    Pull,
}

impl Command {
    pub fn name(self) -> &'static str {
        match self {
            Command::Login => "login",
            Command::Push => "push",
            Command::Pull => "pull",
        }
    }
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does its work, and no answer was a failure.
    Unnoticed,
    /// It does its work, though an answer failed: the client asked again by itself.
    Retries,
    /// It fails and says so; run again, it does its work.
    Fails,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Unnoticed => "unnoticed",
            Outcome::Retries => "own retry",
            Outcome::Fails => "fails",
        })
    }
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Ping => "GET /v2/",
            Token => "token",
            ManifestHead => "HEAD manifest",
            TagGet => "GET tag",
            ManifestGet => "GET manifest",
            BlobHead => "HEAD blob",
            BlobGet => "GET blob",
            Start => "POST upload",
            Chunk => "PATCH upload",
            Finish => "PUT upload",
            ManifestPut => "PUT manifest",
        }
    }
}

impl Moment {
    /// Only requests with a body have a middle of it.
    pub fn fits(self, operation: Operation) -> bool {
        self != MidBody || matches!(operation, Chunk | ManifestPut)
    }
}

pub const MOMENTS: [Moment; 5] = [Connect, Head, MidBody, BeforeAnswer, MidAnswer];

/// In the order in which clients ask.
pub const ROWS: [(Command, Operation); 13] = [
    (Command::Login, Ping),
    (Command::Login, Token),
    (Command::Push, Token),
    (Command::Push, BlobHead),
    (Command::Push, Start),
    (Command::Push, Chunk),
    (Command::Push, Finish),
    (Command::Push, ManifestPut),
    (Command::Pull, Token),
    (Command::Pull, ManifestHead),
    (Command::Pull, TagGet),
    (Command::Pull, ManifestGet),
    (Command::Pull, BlobGet),
];

/// `None`: the client does not ask for that, or the moment does not come.
pub fn expected(
    client: Client,
    command: Command,
    operation: Operation,
    moment: Moment,
) -> Option<Outcome> {
    use Client::{Docker, Podman, Skopeo};
    match (client, operation) {
        _ if !moment.fits(operation) => return None,
        // Docker asks for the digest first; the others take what the tag gives.
        (Docker, TagGet) | (Podman | Skopeo, ManifestHead | ManifestGet) => return None,
        _ => {}
    }
    Some(match (command, operation, moment) {
        // What was put together at the node is gone with it. Whoever takes a 503 for final has to be started again.
        (Command::Push, Chunk, Head | MidBody | BeforeAnswer | MidAnswer)
        | (Command::Push, Finish, Head) => match client {
            Docker => Outcome::Retries,
            Podman | Skopeo => Outcome::Fails,
        },
        _ => Outcome::Unnoticed,
    })
}

/// The table as the manual has it.
pub fn markdown() -> String {
    let mut text = "| command | operation | the node dies | docker | podman | skopeo |\n|---|---|---|---|---|---|\n".to_owned();
    for (command, operation) in ROWS {
        for moment in MOMENTS {
            let cells = Client::ALL.map(|client| expected(client, command, operation, moment));
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let words = cells.map(|cell| cell.map_or("–".to_owned(), |cell| cell.to_string()));
            let _ = writeln!(
                text,
                "| {} | {} | {moment} | {} |",
                command.name(),
                operation.name(),
                words.join(" | ")
            );
        }
    }
    text
}
