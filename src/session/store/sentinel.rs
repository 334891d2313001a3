//! Sentinels: who is the master, and when another becomes it.
//!
//! All are asked at the same time, since one that is frozen must not cost more than its silence.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::Client;
use tokio::task::JoinSet;

use super::link::{self, Dialer};
use super::trouble::Trouble;

/// Between two tries to hear from a Sentinel.
const PAUSE: Duration = Duration::from_secs(1);
/// Where Sentinels announce another master.
const SWITCHES: &str = "+switch-master";

/// The address of the master that Sentinels call `name`: the first word counts.
///
/// # Errors
/// None of them answered, or none knows it.
pub async fn master(dialer: &Dialer, name: &str) -> Result<(String, u16), Trouble> {
    let mut asked = JoinSet::new();
    for (host, port) in dialer.sentinels() {
        let client = dialer
            .sentinel(host, *port)
            .map_err(|error| Trouble::of(&error))?;
        let name = name.to_owned();
        asked.spawn(async move { ask(&client, &name).await });
    }
    let mut trouble = Trouble::NoMaster(name.to_owned());
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok(Ok(Some(address))) => return Ok(address),
            Ok(Err(why)) => trouble = why,
            Ok(Ok(None)) | Err(_) => {}
        }
    }
    Err(trouble)
}

async fn ask(client: &Client, name: &str) -> Result<Option<(String, u16)>, Trouble> {
    let mut connection = link::connect(client).await?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("get-master-addr-by-name").arg(name);
    command
        .query_async(&mut connection)
        .await
        .map_err(|error| Trouble::of(&error))
}

/// Calls `tell` whenever any Sentinel announces that `name` has another master, until dropped.
pub async fn switches(dialer: &Dialer, name: &str, tell: impl Fn()) {
    let (heard, mut hear) = tokio::sync::mpsc::channel(4);
    // Ends with this function: dropping the set stops its tasks.
    let mut ears = JoinSet::new();
    for (host, port) in dialer.sentinels() {
        let Ok(client) = dialer.sentinel(host, *port) else {
            continue;
        };
        let (name, heard) = (name.to_owned(), heard.clone());
        ears.spawn(async move {
            loop {
                let _ = listen(&client, &name, &heard).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    while hear.recv().await.is_some() {
        tell();
    }
}

/// Hears what one Sentinel announces, until the connection ends.
async fn listen(
    client: &Client,
    name: &str,
    heard: &tokio::sync::mpsc::Sender<()>,
) -> redis::RedisResult<()> {
    let mut announced = client.get_async_pubsub().await?;
    announced.subscribe(SWITCHES).await?;
    let mut messages = announced.into_on_message();
    while let Some(message) = messages.next().await {
        let text: String = message.get_payload()?;
        // MASTER OLD-HOST OLD-PORT NEW-HOST NEW-PORT
        if text.split(' ').next() == Some(name) {
            let _ = heard.send(()).await;
        }
    }
    Ok(())
}
