//! Taking out of a registry what the run put in, and saying what could not be taken out.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, StatusCode};

use super::client::Client;
use super::exchange::Call;
use super::failure::{Failure, Kind};
use super::ledger::Pushed;
use super::place;
use super::repository::Repository;
use super::side_by_side;
use super::trace::{Stage, Trace};

/// Removals at a time.
const AT_A_TIME: usize = 8;

/// How the sweep went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Manifests that are gone.
    pub removed: usize,
    /// What is still there, and why, in words.
    pub left: Vec<String>,
}

/// Removes every manifest by its digest; in Harbor also the repositories.
pub async fn sweep(client: &Arc<Client>, pushed: &Pushed) -> Swept {
    let found: Arc<Mutex<Found>> = Arc::default();
    let manifests = pushed
        .iter()
        .flat_map(|(repository, digests)| digests.iter().map(move |digest| (repository, digest)));
    let works = manifests.map(|(repository, digest)| {
        let (client, found) = (client.clone(), found.clone());
        let (repository, digest) = (repository.clone(), digest.clone());
        async move {
            let removed = remove(&client, &repository, &digest).await;
            // A registry that allows no removal allows none of the others either.
            let enough = matches!(&removed, Err(failure) if failure.kind == Kind::Status(405));
            found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .manifest(&removed);
            if enough { removed } else { Ok(()) }
        }
    });
    let stopped = side_by_side::run(AT_A_TIME, works).await;
    let total: usize = pushed.values().map(|digests| digests.len()).sum();
    let (removed, first) = {
        let found = found.lock().unwrap_or_else(PoisonError::into_inner);
        (found.removed, found.first.clone())
    };
    let mut swept = Swept {
        removed,
        left: Vec::new(),
    };
    let repositories = sweep_harbor(client, pushed).await;
    match repositories {
        Some(Ok(())) => swept.removed = total,
        Some(Err(failure)) => swept
            .left
            .push(format!("repositories in Harbor: {failure}")),
        None => {}
    }
    if swept.removed < total {
        let why = match (stopped, first) {
            (Err(_), _) => {
                "the registry does not allow it (405); distribution has it with `storage.delete.enabled`".to_owned()
            }
            (_, Some(failure)) => failure.to_string(),
            _ => "no answer".to_owned(),
        };
        let left = total - swept.removed;
        swept
            .left
            .push(format!("{left} of {total} manifests: {why}"));
    }
    swept
}

#[derive(Default)]
struct Found {
    removed: usize,
    first: Option<Failure>,
}

impl Found {
    fn manifest(&mut self, removed: &Result<(), Failure>) {
        match removed {
            Ok(()) => self.removed += 1,
            Err(failure) => {
                self.first.get_or_insert_with(|| failure.clone());
            }
        }
    }
}

async fn remove(client: &Client, repository: &str, digest: &str) -> Result<(), Failure> {
    let repository = Repository {
        client,
        name: repository,
        scope: &format!("repository:{repository}:pull,push,delete"),
        trace: &Trace::default(),
    };
    repository.remove(digest).await
}

/// `None`: it is no Harbor 2.x.
async fn sweep_harbor(client: &Arc<Client>, pushed: &Pushed) -> Option<Result<(), Failure>> {
    if !is_harbor(client).await {
        return None;
    }
    let works = pushed.keys().cloned().map(|name| {
        let client = client.clone();
        async move {
            let Some((project, repository)) = name.split_once('/') else {
                return Ok(());
            };
            // Slashes in a name reach Harbor encoded twice.
            let repository = place::encode(&place::encode(repository));
            let project = place::encode(project);
            let path = format!("/api/v2.0/projects/{project}/repositories/{repository}");
            let call = Call::new(Method::DELETE, &client.target().url, path);
            let answer = client
                .ask_harbor(Stage::Manifest, &call, &Trace::default())
                .await?;
            answer.hope(&[200, 404]).await.map(drop)
        }
    });
    Some(side_by_side::run(AT_A_TIME, works).await)
}

async fn is_harbor(client: &Client) -> bool {
    let call = Call::new(Method::GET, &client.target().url, "/api/v2.0/ping");
    let asked = async {
        let answer = client
            .ask_harbor(Stage::Token, &call, &Trace::default())
            .await?;
        answer.whole(1 << 10).await
    };
    matches!(asked.await, Ok((head, body)) if head.status == StatusCode::OK && body == Bytes::from_static(b"Pong"))
}
