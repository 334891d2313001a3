//! The clients of every proxy: a process of their own, that does as the parent's orders say.

use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use rustls::ClientConfig;
use rustls::client::Resumption;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::image;
use crate::job::{Act, Job, Order, Protocol, Reply, Tally};
use crate::line::{Line, Way};
use crate::multiplexed::Multiplexed;
use crate::papers::Papers;
use crate::request;
use crate::{holding, pace};

/// A slow reader's share of the kernel's memory, so that the proxy feels its slowness.
const SIP_BUFFER: u32 = 64 * 1024;
/// How often a slow reader reads.
const SIP: Duration = Duration::from_millis(250);
/// A slow reader's blob has no end that it will see.
pub const ENDLESS: u64 = 1 << 40;

/// What opens connections: a configuration for each kind of client.
pub struct Kit {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    papers: Papers,
    pub piece: Bytes,
}

impl Kit {
    fn new(papers: Papers) -> Result<Kit> {
        let config = |alpn| -> Result<Arc<ClientConfig>> {
            let mut config = papers.client(alpn)?;
            config.resumption = Resumption::disabled();
            Ok(Arc::new(config))
        };
        let (http1, http2) = (config(b"http/1.1")?, config(b"h2")?);
        let piece: Vec<u8> = (0..64 * 1024)
            .map(|place| (place * 31 % 251) as u8)
            .collect();
        Ok(Kit {
            http1,
            http2,
            papers,
            piece: piece.into(),
        })
    }

    pub fn way(&self, address: SocketAddr, protocol: Protocol) -> Way {
        let config = match protocol {
            Protocol::Http1 => self.http1.clone(),
            Protocol::Http2 => self.http2.clone(),
        };
        Way {
            address,
            config,
            receive_buffer: None,
        }
    }
}

/// Whoever makes requests one after the other.
pub enum Hand {
    Line(Box<Line>),
    Stream(Multiplexed),
    /// Opens its own connections, the last one's tickets at hand if it resumes.
    Free(Way),
}

/// What one act came to.
pub struct Deed {
    pub requests: u64,
    pub bytes: u64,
}

/// The work of a slice, without who does it.
#[derive(Clone)]
pub struct Work {
    pub act: Act,
    pub text: Arc<[u8]>,
    pub path: Arc<str>,
    pub piece: Bytes,
}

impl Work {
    fn new(act: Act, kit: &Kit) -> Work {
        let (path, more) = match act {
            Act::Get { bytes } => (request::blob(bytes), ""),
            Act::Fresh { .. } => (request::blob(1024), "Connection: close\r\n"),
            Act::Sip { .. } => (request::blob(ENDLESS), ""),
            Act::Push { .. } | Act::Image => (request::UPLOAD.to_owned(), ""),
        };
        let text = request::text("GET", &path, more).into();
        Work {
            act,
            text,
            path: path.into(),
            piece: kit.piece.clone(),
        }
    }

    pub async fn perform(&self, hand: &mut Hand) -> Result<Deed> {
        let one = |bytes| Deed { requests: 1, bytes };
        match (self.act, hand) {
            (Act::Get { bytes }, Hand::Line(line)) => {
                let answer = line.ask(&self.text).await?.expect(200, Some(bytes))?;
                Ok(one(answer.bytes))
            }
            (Act::Get { bytes }, Hand::Stream(connection)) => {
                let answer = connection.get(&self.path).await?.expect(200, Some(bytes))?;
                Ok(one(answer.bytes))
            }
            (Act::Push { bytes, fixed }, Hand::Line(line)) => {
                line.push(&self.path, bytes, fixed, &self.piece)
                    .await?
                    .expect(202, Some(0))?;
                Ok(one(bytes))
            }
            (Act::Push { bytes, fixed }, Hand::Stream(connection)) => {
                let answer = connection
                    .push(&self.path, bytes, fixed, &self.piece)
                    .await?;
                answer.expect(202, Some(0))?;
                Ok(one(bytes))
            }
            (Act::Fresh { resumed }, Hand::Free(way)) => {
                let mut line = Line::open(way).await?;
                ensure!(
                    line.is_resumed() == resumed,
                    "resumed: {} instead of {resumed}",
                    !resumed
                );
                let answer = line.ask(&self.text).await?.expect(200, Some(1024))?;
                Ok(one(answer.bytes))
            }
            (Act::Image, Hand::Free(way)) => {
                let (requests, bytes) = image::trip(way, &self.piece).await?;
                Ok(Deed { requests, bytes })
            }
            (Act::Sip { rate }, Hand::Line(line)) => {
                let bytes = line.sip(rate * SIP.as_millis() as u64 / 1000).await?;
                Ok(Deed { requests: 0, bytes })
            }
            _ => bail!("this act needs another kind of connection"),
        }
    }
}

/// What was measured by one hand.
pub struct Notes {
    pub tally: Tally,
    pub times: Histogram<u64>,
}

impl Notes {
    pub fn new() -> Result<Notes> {
        let times = Histogram::new_with_bounds(1, 600_000_000, 3)?;
        Ok(Notes {
            tally: Tally::default(),
            times,
        })
    }

    /// Whether to go on.
    pub fn write(&mut self, deed: Result<Deed>, begun: Instant) -> bool {
        match deed {
            Ok(deed) => {
                self.tally.acts += 1;
                self.tally.requests += deed.requests;
                self.tally.bytes += deed.bytes;
                let micros = begun.elapsed().as_micros().try_into().unwrap_or(u64::MAX);
                self.times.saturating_record(micros);
                true
            }
            Err(error) => {
                self.tally.wrong += 1;
                self.tally.complaint.get_or_insert(format!("{error:#}"));
                false
            }
        }
    }

    fn add(&mut self, other: Notes) -> Result<()> {
        self.tally.acts += other.tally.acts;
        self.tally.requests += other.tally.requests;
        self.tally.bytes += other.tally.bytes;
        self.tally.wrong += other.tally.wrong;
        if self.tally.complaint.is_none() {
            self.tally.complaint = other.tally.complaint;
        }
        self.times.add(other.times)?;
        Ok(())
    }
}

/// A job whose connections stand.
struct Prepared {
    job: Job,
    work: Work,
    hands: Vec<Hand>,
    tls: Option<String>,
}

async fn prepare(job: Job, kit: &Kit) -> Result<Prepared> {
    let work = Work::new(job.act, kit);
    let (mut hands, mut tls) = (Vec::new(), None);
    for _ in 0..job.connections {
        match (job.act, job.protocol) {
            (Act::Fresh { resumed }, _) => {
                let mut way = kit.way(job.address, Protocol::Http1);
                if resumed {
                    way.config = Arc::new(kit.papers.client(b"http/1.1")?);
                    // The first one has no ticket yet.
                    Line::open(&way)
                        .await?
                        .ask(&work.text)
                        .await?
                        .expect(200, Some(1024))?;
                }
                hands.push(Hand::Free(way));
            }
            (Act::Image, _) => hands.push(Hand::Free(kit.way(job.address, Protocol::Http1))),
            (Act::Sip { .. }, _) => {
                let mut way = kit.way(job.address, Protocol::Http1);
                way.receive_buffer = Some(SIP_BUFFER);
                let mut line = Line::small(&way).await?;
                line.begin(&work.text).await?;
                hands.push(Hand::Line(Box::new(line)));
            }
            (_, Protocol::Http1) => {
                let mut line = Line::open(&kit.way(job.address, Protocol::Http1)).await?;
                let first = request::text("GET", &request::blob(1024), "");
                line.ask(&first).await?.expect(200, Some(1024))?;
                tls = Some(line.tls());
                hands.push(Hand::Line(Box::new(line)));
            }
            (_, Protocol::Http2) => {
                let connection = Multiplexed::open(&kit.way(job.address, Protocol::Http2)).await?;
                connection
                    .get(&request::blob(1024))
                    .await?
                    .expect(200, Some(1024))?;
                tls = Some(connection.tls.clone());
                hands.extend((0..job.streams).map(|_| Hand::Stream(connection.clone())));
            }
        }
    }
    Ok(Prepared {
        job,
        work,
        hands,
        tls,
    })
}

async fn closed_loop(prepared: Prepared) -> Result<(Notes, Vec<Hand>)> {
    let end = Instant::now() + Duration::from_secs_f64(prepared.job.seconds);
    let mut set = JoinSet::new();
    for (place, mut hand) in prepared.hands.into_iter().enumerate() {
        let work = prepared.work.clone();
        let pause = matches!(work.act, Act::Sip { .. }).then_some(SIP);
        set.spawn(async move {
            let mut notes = Notes::new()?;
            if let Some(pause) = pause {
                tokio::time::sleep(pause * (place as u32 % 100) / 100).await;
            }
            let mut next = tokio::time::Instant::now();
            while Instant::now() < end {
                let begun = Instant::now();
                let deed = work.perform(&mut hand).await;
                if !notes.write(deed, begun) {
                    break;
                }
                if let Some(pause) = pause {
                    next += pause;
                    tokio::time::sleep_until(next).await;
                }
            }
            anyhow::Ok((notes, hand))
        });
    }
    let (mut sum, mut hands) = (Notes::new()?, Vec::new());
    while let Some(one) = set.join_next().await {
        let (notes, hand) = one??;
        sum.add(notes)?;
        hands.push(hand);
    }
    Ok((sum, hands))
}

async fn go(prepared: Prepared) -> Result<(Tally, Vec<Hand>)> {
    let (tls, rate) = (prepared.tls.clone(), prepared.job.rate);
    let begun = Instant::now();
    let (notes, hands) = match rate {
        None => closed_loop(prepared).await?,
        Some(rate) => {
            let length = Duration::from_secs_f64(prepared.job.seconds);
            let (all, hands) = pace::open_loop(prepared.work, prepared.hands, rate, length).await?;
            let mut sum = Notes::new()?;
            for notes in all {
                sum.add(notes)?;
            }
            (sum, hands)
        }
    };
    let mut tally = notes.tally;
    tally.seconds = begun.elapsed().as_secs_f64();
    tally.tls = tls;
    let at = |share| notes.times.value_at_quantile(share) as f64 / 1000.0;
    (tally.p50, tally.p99, tally.p999) = (at(0.5), at(0.99), at(0.999));
    Ok((tally, hands))
}

fn drop_all(hands: Vec<Hand>) {
    for hand in hands {
        // A reader of an endless blob leaves nothing behind that drains.
        if let Hand::Line(line) = hand {
            line.abort();
        }
    }
}

/// Reads orders from stdin until it ends, and answers each on stdout.
pub fn serve(runtime: &Runtime, papers: &Papers) -> Result<()> {
    let kit = Kit::new(papers.clone())?;
    let (mut prepared, mut used, mut held) = (None, Vec::new(), Vec::new());
    for order in std::io::stdin().lock().lines() {
        let order = serde_json::from_str(&order?).context("an order that cannot be read")?;
        let patience = Duration::from_secs(180);
        let work = async {
            match order {
                Order::Ask(address) => {
                    let mut line = Line::open(&kit.way(address, Protocol::Http1)).await?;
                    let question = request::text("GET", &request::blob(1024), "");
                    line.ask(&question).await?.expect(200, Some(1024))?;
                    Ok(Reply::Done)
                }
                Order::Prepare(job) => {
                    drop_all(std::mem::take(&mut used));
                    prepared = Some(prepare(job, &kit).await?);
                    Ok(Reply::Done)
                }
                Order::Go => {
                    let (tally, hands) =
                        go(prepared.take().context("nothing is prepared")?).await?;
                    used = hands;
                    Ok(Reply::Counted(tally))
                }
                Order::Hold(address, count) => {
                    let way = kit.way(address, Protocol::Http1);
                    held = holding::open(&way, count).await?;
                    Ok(Reply::Done)
                }
                Order::Check => {
                    let (tally, rest) = holding::check(std::mem::take(&mut held)).await?;
                    held = rest;
                    Ok(Reply::Counted(tally))
                }
                Order::Drop => {
                    drop_all(std::mem::take(&mut used));
                    held.drain(..).for_each(Line::abort);
                    prepared = None;
                    anyhow::Ok(Reply::Done)
                }
            }
        };
        let did = runtime.block_on(async { tokio::time::timeout(patience, work).await });
        let reply = match did {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => Reply::Failed(format!("{error:#}")),
            Err(_) => Reply::Failed(format!("nothing came of {order:?} in {patience:?}")),
        };
        println!("{}", serde_json::to_string(&reply)?);
    }
    Ok(())
}
