//! Requests at a given rate, whether answers come or not: latency counts from when a request was due, so that a proxy
//! that stands still for a while cannot hide it by holding up the clients.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::load::{Hand, Notes, Work};

/// Spreads requests evenly over time and over `hands`.
pub async fn open_loop(
    work: Work,
    hands: Vec<Hand>,
    rate: f64,
    length: Duration,
) -> Result<(Vec<Notes>, Vec<Hand>)> {
    let mut set = JoinSet::new();
    let mut senders = Vec::new();
    for mut hand in hands {
        let (sender, mut due) = mpsc::unbounded_channel::<Instant>();
        senders.push(sender);
        let work = work.clone();
        set.spawn(async move {
            let mut notes = Notes::new()?;
            while let Some(moment) = due.recv().await {
                let deed = work.perform(&mut hand).await;
                if !notes.write(deed, moment) {
                    break;
                }
            }
            anyhow::Ok((notes, hand))
        });
    }
    // The timers of the runtime tick in milliseconds; a thread that sleeps is more exact.
    let clock = std::thread::spawn(move || {
        let (begun, step) = (Instant::now(), Duration::from_secs_f64(1.0 / rate));
        let mut due = Duration::ZERO;
        for sender in senders.iter().cycle() {
            if due >= length {
                break;
            }
            let moment = begun + due;
            std::thread::sleep(moment.saturating_duration_since(Instant::now()));
            let _ = sender.send(moment);
            due += step;
        }
    });
    let (mut all, mut hands) = (Vec::new(), Vec::new());
    while let Some(one) = set.join_next().await {
        let (notes, hand) = one??;
        all.push(notes);
        hands.push(hand);
    }
    clock.join().ok().context("the clock stopped")?;
    Ok((all, hands))
}
