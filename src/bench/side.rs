//! One target of a run: what lies there, what is done there, and what came of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::task::JoinHandle;

use super::client::Client;
use super::failure::{Failure, Kind};
use super::image::{Image, Named, Shape};
use super::ledger::Ledger;
use super::pull::{Stored, pull};
use super::push::{Aim, push};
use super::record::Record;
use super::schedule::is_chosen;
use super::side_by_side;
use super::sweep::{Swept, sweep};
use super::trace::Trace;

/// One target under load.
pub struct Side {
    /// One per client at work; never empty.
    pub clients: Vec<Arc<Client>>,
    /// Where everything is put: `PROJECT/seawall-bench-ID`.
    pub prefix: String,
    /// How the images look.
    pub shape: Shape,
    /// How many there are to pull.
    pub images: u32,
    /// The share of operations that are pushes, 0 to 1.
    pub push_share: f64,
    base: OnceLock<Vec<Named>>,
    stored: Mutex<Vec<Stored>>,
    begun: AtomicU64,
    record: Mutex<Record>,
    ledger: Ledger,
}

/// One operation, ready to run.
pub enum Work {
    /// Of an image that is there.
    Pull(Stored),
    /// Of an image that nobody has.
    Push(Box<(Image, Aim)>),
}

impl Work {
    /// For the report.
    pub fn name(&self) -> &'static str {
        match self {
            Work::Pull(_) => "pull",
            Work::Push(_) => "push",
        }
    }
}

impl Side {
    /// A target with nothing in it yet.
    pub fn new(
        clients: Vec<Arc<Client>>,
        prefix: String,
        shape: Shape,
        images: u32,
        push_share: f64,
    ) -> Self {
        Side {
            clients,
            prefix,
            shape,
            images: images.max(1),
            push_share,
            base: OnceLock::new(),
            stored: Mutex::default(),
            begun: AtomicU64::new(0),
            record: Mutex::default(),
            ledger: Ledger::default(),
        }
    }

    /// The registry, for people.
    pub fn url(&self) -> String {
        let client = self.clients.first();
        client.map_or_else(String::new, |client| client.target().url.to_string())
    }

    /// What was measured so far.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    /// Pushes the images that will be pulled. Where nothing is pulled, one image proves before the clock runs that
    /// pushing works at all, and brings the shared layers.
    ///
    /// # Errors
    ///
    /// The first push that failed.
    pub async fn set_up(self: &Arc<Self>) -> Result<(), Failure> {
        let count = if self.push_share < 1.0 {
            self.images
        } else {
            1
        };
        self.place(0).await?;
        let rest = (1..u64::from(count)).map(|number| {
            let side = self.clone();
            async move { side.place(number).await }
        });
        side_by_side::run(self.clients.len(), rest).await
    }

    async fn place(self: &Arc<Self>, number: u64) -> Result<(), Failure> {
        let side = self.clone();
        let image = tokio::task::spawn_blocking(move || side.image(number))
            .await
            .map_err(|error| Failure::new(Kind::Lost, format!("cut off: {error}")))?;
        let aim = Aim {
            repository: self.stored_in(number),
            tag: "v1".to_owned(),
            base: (number > 0).then(|| self.stored_in(0)),
        };
        let place = usize::try_from(number).unwrap_or_default() % self.clients.len().max(1);
        let Some(client) = self.clients.get(place) else {
            return Ok(());
        };
        self.ledger.note(&aim.repository, &image.manifest.1);
        push(client, &image, &aim, &Trace::default()).await?;
        lock(&self.stored).push(Stored {
            repository: aim.repository,
            tag: aim.tag,
            digest: image.manifest.1,
        });
        Ok(())
    }

    fn stored_in(&self, number: u64) -> String {
        format!("{}/image-{number}", self.prefix)
    }

    fn image(&self, number: u64) -> Image {
        let base = self.base.get_or_init(|| self.shape.base());
        self.shape.image(base, number)
    }

    /// Makes the next operation ready, on a thread that may block: layers are hashed before the clock runs, since
    /// docker knows their digests when a push begins. Each client (by its number) pushes to a repository of its own, as
    /// builds of different projects do: several first pushes of one layer to one repository would only meet each
    /// other.
    pub fn prepare(self: &Arc<Self>, client: usize) -> JoinHandle<Work> {
        let side = self.clone();
        tokio::task::spawn_blocking(move || side.next(client))
    }

    fn next(&self, client: usize) -> Work {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let images = u64::from(self.images);
        let stored = lock(&self.stored);
        let place = usize::try_from(number).unwrap_or_default() % stored.len().max(1);
        match stored.get(place) {
            Some(stored) if !is_chosen(number, self.push_share) => Work::Pull(stored.clone()),
            _ => {
                drop(stored);
                let aim = Aim {
                    repository: format!("{}/push-{client}", self.prefix),
                    tag: format!("v{number}"),
                    base: (self.shape.shared > 0).then(|| self.stored_in(0)),
                };
                Work::Push(Box::new((self.image(images + number), aim)))
            }
        }
    }

    /// Runs an operation.
    pub async fn run(
        &self,
        client: &Arc<Client>,
        work: &Work,
        trace: &Trace,
    ) -> Result<(), Failure> {
        match work {
            Work::Pull(stored) => pull(client, stored, trace).await,
            Work::Push(what) => {
                let (image, aim) = what.as_ref();
                self.ledger.note(&aim.repository, &image.manifest.1);
                push(client, image, aim, trace).await
            }
        }
    }

    /// Takes out what this run put in.
    pub async fn sweep(&self) -> Swept {
        match self.clients.first() {
            Some(client) => sweep(client, &self.ledger.pushed()).await,
            None => Swept::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
