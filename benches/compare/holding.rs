//! Connections that do nothing.

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use crate::job::Tally;
use crate::line::{Line, Way};
use crate::request;

/// Opened at once.
const TOGETHER: usize = 32;

/// Opens `count` connections and makes one request on each.
pub async fn open(way: &Way, count: usize) -> Result<Vec<Line>> {
    let mut set = JoinSet::new();
    for place in 0..TOGETHER {
        let way = way.clone();
        let share = count / TOGETHER + usize::from(place < count % TOGETHER);
        set.spawn(async move {
            let mut lines = Vec::with_capacity(share);
            for _ in 0..share {
                let mut line = Line::small(&way).await?;
                use_once(&mut line).await?;
                lines.push(line);
            }
            anyhow::Ok(lines)
        });
    }
    let mut lines = Vec::with_capacity(count);
    while let Some(some) = set.join_next().await {
        lines.extend(some?.context("not all connections could be opened")?);
    }
    Ok(lines)
}

/// Makes another request on each, and counts which still answer.
pub async fn check(lines: Vec<Line>) -> Result<(Tally, Vec<Line>)> {
    let (mut tally, mut rest) = (Tally::default(), Vec::with_capacity(lines.len()));
    for mut line in lines {
        match use_once(&mut line).await {
            Ok(()) => {
                tally.acts += 1;
                rest.push(line);
            }
            Err(error) => {
                tally.wrong += 1;
                tally.complaint.get_or_insert(format!("{error:#}"));
            }
        }
    }
    Ok((tally, rest))
}

async fn use_once(line: &mut Line) -> Result<()> {
    let question = request::text("GET", &request::blob(1024), "");
    line.ask(&question).await?.expect(200, Some(1024))?;
    Ok(())
}
