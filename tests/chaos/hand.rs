//! Who pushes, pulls and looks: each goes through a list of its seed's, one after the other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::client::{Client, Failure, Style};
use super::image::{Blob, Image};
use super::ledger::{Kind, Ledger, Operation};
use super::page::Browser;
use super::wire::{Fault, Wire};
use crate::support::clients::Told;
use crate::support::clients::image;
use crate::support::clients::skopeo::Skopeo;

/// As often as docker tries a layer.
const ATTEMPTS: usize = 5;

/// What a client has left of its attempts. Docker tries each layer so often: getting on with another one begins anew.
#[derive(Default)]
struct Patience {
    failed: usize,
    /// Parts that it had at the last failure.
    had: usize,
}

impl Patience {
    /// Whether to try again after a failure, with so many parts done.
    fn is_left(&mut self, has: usize) -> bool {
        self.failed = if has > self.had { 1 } else { self.failed + 1 };
        self.had = has;
        self.failed < ATTEMPTS
    }

    /// Docker waits 5, 10, 15 and 20 s; here it is a fifth.
    fn pause(&self) -> Duration {
        Duration::from_secs(self.failed as u64)
    }
}

/// One of those at work.
pub struct Hand<'a> {
    number: usize,
    rng: Rng,
    ledger: &'a Ledger,
    /// What many of its images begin with.
    base: Blob,
    turn: usize,
}

impl<'a> Hand<'a> {
    pub fn new(seed: u64, number: usize, ledger: &'a Ledger) -> Hand<'a> {
        let mut rng = Rng::with_seed(seed.wrapping_mul(1000).wrapping_add(number as u64));
        let base = Blob::random(&mut rng);
        Hand {
            number,
            rng,
            ledger,
            base,
            turn: 0,
        }
    }

    /// Works by the test's own client until `over`.
    pub async fn work(mut self, wire: Wire, over: impl Fn() -> bool) {
        let style = if self.number.is_multiple_of(2) {
            Style::Docker
        } else {
            Style::Containerd
        };
        let mut client = Client::new(wire, style);
        while !over() {
            self.turn += 1;
            match self.rng.u8(..20) {
                0..8 => self.push(&mut client).await,
                8..17 => self.pull(&mut client).await,
                17..19 => self.look(&mut client).await,
                _ => self.session(&mut client).await,
            }
        }
    }

    /// An image of its next name: most tags are new, some move.
    fn next(&mut self) -> (Image, Vec<Blob>) {
        let repository = format!("library/chaos-{}-{}", self.number, self.rng.u8(..3));
        let fixed = self.rng.u8(..5) > 0;
        let tag = match fixed {
            true => format!("v{}", self.turn),
            false => "latest".to_owned(),
        };
        let mut layers = Vec::new();
        if self.rng.bool() {
            layers.push(self.base.clone());
        }
        for _ in 0..self.rng.usize(1..=2) {
            layers.push(Blob::random(&mut self.rng));
        }
        Image::of(&repository, &tag, fixed, &layers)
    }

    /// One that was acknowledged: if somebody else's tag moves, by its digest. And how to ask for it.
    fn choose(&mut self) -> Option<(Arc<Image>, String)> {
        let images = self.ledger.images();
        let image = self.rng.choice(images)?;
        let own = image.repository.starts_with(&self.prefix());
        let by_tag = (own || image.fixed) && self.rng.bool();
        let reference = if by_tag { &image.tag } else { &image.digest };
        let reference = reference.clone();
        Some((image, reference))
    }

    fn prefix(&self) -> String {
        format!("library/chaos-{}-", self.number)
    }

    async fn push(&mut self, client: &mut Client) {
        let (image, blobs) = self.next();
        let mut record = self.record(Kind::Push, format!("{}:{}", image.repository, image.tag));
        let (mut patience, mut sent) = (Patience::default(), BTreeSet::new());
        while !record.took(client.push(&image, &blobs, &mut sent).await)
            && patience.is_left(sent.len())
        {
            tokio::time::sleep(patience.pause()).await;
        }
        if record.0.done {
            self.ledger.acknowledge(image);
        }
        self.ledger.note(record.ends(client));
    }

    async fn pull(&mut self, client: &mut Client) {
        let Some((image, reference)) = self.choose() else {
            return self.push(client).await;
        };
        let mut record = self.record(Kind::Pull, format!("{}:{reference}", image.repository));
        let (mut patience, mut have) = (Patience::default(), BTreeSet::new());
        while !record.took(client.pull(&image, &reference, &mut have).await)
            && patience.is_left(have.len())
        {
            tokio::time::sleep(patience.pause()).await;
        }
        self.ledger.note(record.ends(client));
    }

    async fn look(&mut self, client: &mut Client) {
        let Some((image, _)) = self.choose() else {
            return;
        };
        let mut record = self.record(Kind::Look, image.repository.clone());
        let mut patience = Patience::default();
        while !record.took(client.look(&image).await) && patience.is_left(0) {
            tokio::time::sleep(patience.pause()).await;
        }
        self.ledger.note(record.ends(client));
    }

    async fn session(&mut self, client: &mut Client) {
        let mut record = self.record(Kind::Session, "pages".to_owned());
        let mut patience = Patience::default();
        while !record.took(Browser::session(client).await) && patience.is_left(0) {
            tokio::time::sleep(patience.pause()).await;
        }
        self.ledger.note(record.ends(client));
    }

    /// Works with skopeo until `over`: pushes an image and pulls it.
    pub fn carry(mut self, skopeo: &Skopeo, over: impl Fn() -> bool) {
        let directory = tempfile::tempdir().unwrap();
        while !over() {
            self.turn += 1;
            let path = |what: &str| directory.path().join(what);
            let (there, back) = (path("there"), path("back"));
            let size = self.rng.u64(10..2048) << 10;
            let image = image::Image::make(&there, size);
            let name = format!("library/chaos-skopeo-{}:v{}", self.number, self.turn);
            let clean = |path: &PathBuf| drop(std::fs::remove_dir_all(path));
            if !self.run(Kind::Push, &name, || skopeo.push(&image, &name, 3)) {
                clean(&there);
                continue;
            }
            self.ledger.acknowledge(known(&image, &name));
            self.run(Kind::Pull, &name, || {
                clean(&back);
                let told = skopeo.pull(&name, &back, 3);
                let same = || {
                    let back = image::Image::at(&back);
                    back.digest == image.digest && back.is_sound()
                };
                assert!(!told.ok || same(), "{name} came back as something else");
                told
            });
            clean(&there);
            clean(&back);
        }
    }

    /// Runs skopeo until it is content: its own retries leave much out, so that it is begun again as jobs do.
    fn run(&self, kind: Kind, name: &str, mut skopeo: impl FnMut() -> Told) -> bool {
        let mut record = self.record(kind, format!("skopeo {name}"));
        let mut patience = Patience::default();
        loop {
            let begun = Instant::now();
            let told = skopeo();
            let outcome = told.ok.then_some(());
            let outcome = outcome.ok_or_else(|| failure(begun, kind, &told));
            if record.took(outcome) || !patience.is_left(0) {
                break;
            }
            std::thread::sleep(patience.pause());
        }
        let done = record.0.done;
        self.ledger.note(record.0);
        done
    }

    fn record(&self, kind: Kind, name: String) -> Record {
        let now = Instant::now();
        Record(Operation {
            kind,
            name,
            begun: now,
            ended: now,
            failures: Vec::new(),
            done: false,
            pause: None,
        })
    }
}

/// What skopeo's last words mean.
fn failure(begun: Instant, kind: Kind, told: &Told) -> Failure {
    let said = told.err.trim().to_owned();
    let codes = [500, 502, 503, 504, 401, 403, 404];
    let status = codes.into_iter().find(|code| {
        let words = [
            format!(" {code} "),
            format!("status code {code}"),
            format!("status: {code}"),
        ];
        words.iter().any(|word| said.contains(word))
    });
    Failure {
        step: "skopeo".to_owned(),
        begun,
        ended: Instant::now(),
        flowing: kind == Kind::Push,
        chunk: kind == Kind::Push,
        fault: match status {
            Some(code) => Fault::Status(code, said),
            None => Fault::Broke(said),
        },
    }
}

/// An image of skopeo's as the ledger knows it.
fn known(image: &image::Image, name: &str) -> Image {
    let (repository, tag) = name.split_once(':').unwrap();
    let manifest = std::fs::read(image.path.join("manifest.json")).unwrap();
    let files = std::fs::read_dir(&image.path).unwrap().flatten();
    let blobs = files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| name.len() == 64)
        .map(|name| format!("sha256:{name}"));
    Image {
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        fixed: true,
        digest: image.digest.clone(),
        manifest: manifest.into(),
        blobs: blobs.collect(),
    }
}

/// An operation under way.
struct Record(Operation);

impl Record {
    /// Whether that was the last attempt it needed.
    fn took(&mut self, outcome: Result<(), Failure>) -> bool {
        match outcome {
            Ok(()) => self.0.done = true,
            Err(failure) => self.0.failures.push(failure),
        }
        self.0.ended = Instant::now();
        self.0.done
    }

    fn ends(mut self, client: &Client) -> Operation {
        self.0.pause = Some(client.wire.pause());
        self.0
    }
}
