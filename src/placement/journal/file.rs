//! The journal on disk: lines of JSON that are only ever added, until they are written anew without what is over.
//!
//! One thread writes. It takes whatever callers have waiting, writes it with one call and makes the disk confirm it once
//! for all of them, so that many pushes at a time cost little more than one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use nix::fcntl::{Flock, FlockArg};
use tokio::sync::oneshot;

use super::table::{Line, Table};

/// Only its owner reads what was pushed.
const MODE: u32 = 0o600;
/// Longer than any line of ours: a damaged file must not fill the memory.
const LONGEST_LINE: u64 = 64 << 10;
/// Lines that one write takes at most.
const MOST_AT_ONCE: usize = 1024;

/// Lines for the disk, and whom to tell when it has them.
enum Order {
    Add(Vec<Line>, Option<oneshot::Sender<io::Result<()>>>),
    /// Instead of everything that was ever written.
    Anew(Vec<Line>),
}

/// What a journal's file is called. One that a process keeps beside it has its number before the end.
pub const NAME: &str = "changes.jsonl";

/// The file, through the thread that writes it.
#[derive(Debug)]
pub struct Disk {
    orders: Sender<Order>,
    writer: JoinHandle<()>,
    /// Where it is.
    pub path: PathBuf,
}

impl Disk {
    /// Opens the journal in `directory`, which is made if need be, and takes into `table` what it has and what ended
    /// processes kept beside it. What cannot be read is told in words, each with file and line, and is kept in a copy.
    ///
    /// # Errors
    /// What the disk says; that another process has it open.
    pub fn open(directory: &Path, table: &mut Table) -> io::Result<(Self, Vec<String>)> {
        make(directory)?;
        let path = directory.join(NAME);
        let guard = guard(&directory.join("lock"))?;
        let mut damage = read_into(&path, table)?;
        damage.extend(gather(directory, table)?);
        let disk = Self::start(path, guard, &table.lines())?;
        forget_beside(directory);
        Ok((disk, damage))
    }

    /// A file of this process's own beside the journal, which another process writes.
    ///
    /// # Errors
    /// What the disk says.
    pub fn beside(directory: &Path) -> io::Result<Self> {
        make(directory)?;
        let path = beside(directory, std::process::id());
        let guard = guard(&path.with_extension("lock"))?;
        Self::start(path, guard, &[])
    }

    fn start(path: PathBuf, guard: Flock<File>, lines: &[Line]) -> io::Result<Self> {
        let file = write_anew(&path, lines)?;
        let (orders, queue) = channel();
        let mut writer = Writer {
            path: path.clone(),
            file,
            _guard: guard,
        };
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&queue))?;
        Ok(Disk {
            orders,
            writer,
            path,
        })
    }

    /// Returns when everything is written and another process may open it.
    pub fn close(self) {
        let Disk { orders, writer, .. } = self;
        drop(orders);
        // One that panicked has let go, too.
        let _ = writer.join();
    }

    /// Adds lines; the receiver hears when they are on disk. The order of calls is the order in the file.
    pub fn add(&self, lines: Vec<Line>) -> oneshot::Receiver<io::Result<()>> {
        let (tell, told) = oneshot::channel();
        // A writer that is gone drops the sender, and that is heard.
        let _ = self.orders.send(Order::Add(lines, Some(tell)));
        told
    }

    /// Adds lines that nobody waits for.
    pub fn note(&self, lines: Vec<Line>) {
        let _ = self.orders.send(Order::Add(lines, None));
    }

    /// Writes the file anew with these lines alone.
    pub fn anew(&self, lines: Vec<Line>) {
        let _ = self.orders.send(Order::Anew(lines));
    }
}

fn make(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

fn beside(directory: &Path, process: u32) -> PathBuf {
    directory.join(format!("changes.{process}.jsonl"))
}

/// The number of the process that kept a file beside the journal.
fn process_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_prefix("changes.")?.strip_suffix(".jsonl")?;
    number.parse().ok()
}

/// Takes into `table` what processes kept beside the journal that have ended.
///
/// # Errors
/// What the disk says.
pub fn gather(directory: &Path, table: &mut Table) -> io::Result<Vec<String>> {
    let mut damage = Vec::new();
    for found in fs::read_dir(directory)? {
        let path = found?.path();
        let other = process_of(&path).is_some_and(|process| process != std::process::id());
        let lock = path.with_extension("lock");
        // Whoever still writes it says so by its lock.
        if let Some(_guard) = other.then(|| guard(&lock).ok()).flatten() {
            damage.extend(read_into(&path, table)?);
        }
    }
    Ok(damage)
}

/// Removes what was gathered, now that the journal has it, and this process's own file beside it.
pub fn forget_beside(directory: &Path) {
    let found = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in found.map(|found| found.path()) {
        let lock = path.with_extension("lock");
        if process_of(&path).is_some() && guard(&lock).is_ok() {
            let _ = fs::remove_file(path).and_then(|()| fs::remove_file(lock));
        }
    }
}

/// Reads a file, if it is there, and takes what it has into `table`, unless that knows something later.
fn read_into(path: &Path, table: &mut Table) -> io::Result<Vec<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Table::default();
    let damage = read(path, file, &mut found)?;
    if !damage.is_empty() {
        fs::copy(path, path.with_extension("damaged"))?;
    }
    table.merge(found);
    Ok(damage)
}

/// Two processes that write the same file anew would lose each other's lines.
fn guard(path: &Path) -> io::Result<Flock<File>> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(MODE)
        .open(path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, _)| {
        let what = format!(
            "{} is locked by another Seawall: give each a state_dir of its own",
            path.display()
        );
        io::Error::new(io::ErrorKind::ResourceBusy, what)
    })
}

fn read(path: &Path, file: File, table: &mut Table) -> io::Result<Vec<String>> {
    let mut reader = BufReader::new(file);
    let mut damage = Vec::new();
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        let length = reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut text)?;
        if length == 0 {
            break;
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice(&text) {
            Ok(line) => table.apply(line),
            Err(error) => {
                let tail = if text.ends_with(b"\n") {
                    ""
                } else {
                    "; it was cut off in the middle, so that no client has heard of it"
                };
                damage.push(format!(
                    "{}:{number}: no line of a journal: {error}{tail}",
                    path.display()
                ));
            }
        }
    }
    Ok(damage)
}

fn encode(lines: &[Line], out: &mut Vec<u8>) -> io::Result<()> {
    for line in lines {
        serde_json::to_writer(&mut *out, line)?;
        out.push(b'\n');
    }
    Ok(())
}

/// Writes beside it first: a crash leaves the old file or the new one, never half of one.
fn write_anew(path: &Path, lines: &[Line]) -> io::Result<File> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(MODE)
        .open(&beside)?;
    let mut bytes = Vec::new();
    encode(lines, &mut bytes)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(file)
}

struct Writer {
    path: PathBuf,
    file: File,
    _guard: Flock<File>,
}

impl Writer {
    fn run(&mut self, queue: &Receiver<Order>) {
        while let Ok(first) = queue.recv() {
            let mut bytes = Vec::new();
            let mut waiting = Vec::new();
            let mut next = Some(first);
            while let Some(order) = next.take() {
                match order {
                    Order::Add(lines, tell) => {
                        let encoded = encode(&lines, &mut bytes);
                        match (encoded, tell) {
                            (Ok(()), Some(tell)) => waiting.push(tell),
                            (Err(error), Some(tell)) => drop(tell.send(Err(error))),
                            (_, None) => {}
                        }
                    }
                    Order::Anew(lines) => {
                        // What came before is in these lines, too.
                        self.flush(&mut bytes, &mut waiting);
                        match write_anew(&self.path, &lines) {
                            Ok(file) => self.file = file,
                            Err(error) => {
                                tracing::warn!(file = %self.path.display(), %error, "the journal could not be written anew; it grows meanwhile");
                            }
                        }
                    }
                }
                if waiting.len() < MOST_AT_ONCE {
                    next = queue.try_recv().ok();
                }
            }
            self.flush(&mut bytes, &mut waiting);
        }
    }

    fn flush(&mut self, bytes: &mut Vec<u8>, waiting: &mut Vec<oneshot::Sender<io::Result<()>>>) {
        if bytes.is_empty() {
            return;
        }
        let written = self
            .file
            .write_all(bytes)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = &written {
            tracing::error!(file = %self.path.display(), %error, "the journal cannot be written");
        }
        for tell in waiting.drain(..) {
            let told = match &written {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            // Whoever waited may have gone.
            let _ = tell.send(told);
        }
        bytes.clear();
    }
}
