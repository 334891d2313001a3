//! What was asked, what was acknowledged, what was in trouble meanwhile, and what of it excuses a failure.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::client::Failure;
use super::image::Image;
use super::schedule::Act;
use super::wire::Fault;

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Push,
    Pull,
    Look,
    Session,
}

/// One operation, whatever number of attempts it took.
#[derive(Clone, Debug)]
pub struct Operation {
    pub kind: Kind,
    /// Who and what.
    pub name: String,
    pub begun: Instant,
    pub ended: Instant,
    /// The attempts that failed.
    pub failures: Vec<Failure>,
    /// Whether the last one did not.
    pub done: bool,
    /// The longest time without a byte within a request; unknown for other people's programs.
    pub pause: Option<Duration>,
}

/// What a trouble may do to clients, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing that a client could see.
    Nothing,
    /// Uploads that are on their way to a node.
    Uploads,
    /// What Harbor itself keeps in Redis.
    Redis,
    /// Every connection to the address.
    Connections,
}

/// A trouble that was.
#[derive(Clone, Debug)]
pub struct Span {
    pub act: Act,
    pub harm: Harm,
    pub begun: Instant,
    /// When everybody was well again.
    pub ended: Option<Instant>,
}

/// Why a failed attempt is nobody's fault but that of who was in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excuse {
    /// The bytes of an upload were on their way to a node that was in trouble, or were to be put together there.
    Node,
    /// The same through a door that was in trouble.
    DoorInBody,
    /// The connection was to a door in trouble, or to the address while it moved.
    Door,
    /// Harbor 2 counts the bytes of an upload in its Redis, and answers 500 without it.
    UploadWithoutRedis,
    /// Harbor forgets who is logged in when its Redis is killed, and does not know it while that is frozen.
    SessionWithoutRedis,
}

/// Everything that is written down, by everybody.
pub struct Ledger {
    pub begun: Instant,
    images: Mutex<Vec<Arc<Image>>>,
    operations: Mutex<Vec<Operation>>,
    spans: Mutex<Vec<Span>>,
}

/// What is seen a little later than it was.
const SLACK: Duration = Duration::from_millis(500);

impl Ledger {
    pub fn new() -> Ledger {
        Ledger {
            begun: Instant::now(),
            images: Mutex::default(),
            operations: Mutex::default(),
            spans: Mutex::default(),
        }
    }

    /// An image whose manifest was acknowledged.
    pub fn acknowledge(&self, image: Image) {
        let mut images = self.images.lock().unwrap();
        let name = |image: &Image| (image.repository.clone(), image.tag.clone());
        images.retain(|before| name(before) != name(&image));
        images.push(Arc::new(image));
    }

    pub fn images(&self) -> Vec<Arc<Image>> {
        self.images.lock().unwrap().clone()
    }

    pub fn note(&self, operation: Operation) {
        self.operations.lock().unwrap().push(operation);
    }

    pub fn operations(&self) -> Vec<Operation> {
        self.operations.lock().unwrap().clone()
    }

    /// Pushes and pulls that came to an end.
    pub fn carried(&self) -> usize {
        let operations = self.operations.lock().unwrap();
        let image = |one: &&Operation| matches!(one.kind, Kind::Push | Kind::Pull);
        operations.iter().filter(image).count()
    }

    /// A trouble begins; its number.
    pub fn befalls(&self, act: Act, harm: Harm) -> usize {
        let mut spans = self.spans.lock().unwrap();
        spans.push(Span {
            act,
            harm,
            begun: Instant::now(),
            ended: None,
        });
        spans.len() - 1
    }

    pub fn is_over(&self, number: usize) {
        self.spans.lock().unwrap()[number].ended = Some(Instant::now());
    }

    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// What was in trouble at some moment from one to the other.
    pub fn during(&self, from: Instant, to: Instant) -> Vec<Span> {
        let overlaps = |span: &Span| {
            span.begun <= to + SLACK && span.ended.is_none_or(|ended| from <= ended + SLACK)
        };
        self.spans().into_iter().filter(overlaps).collect()
    }

    /// Why this attempt may have failed, if it may.
    pub fn excuse(&self, operation: &Operation, failure: &Failure) -> Option<Excuse> {
        let during = self.during(failure.begun, failure.ended);
        let any = |harm| during.iter().any(|span| span.harm == harm);
        match failure.fault {
            Fault::Wrong(_) | Fault::Hung => None,
            Fault::Broke(_) if any(Harm::Connections) => {
                let cut = failure.flowing;
                Some(if cut {
                    Excuse::DoorInBody
                } else {
                    Excuse::Door
                })
            }
            Fault::Broke(_) => None,
            Fault::Status(500, _) if failure.chunk && any(Harm::Redis) => {
                Some(Excuse::UploadWithoutRedis)
            }
            Fault::Status(502..=504, _) if failure.chunk && any(Harm::Uploads) => {
                Some(Excuse::Node)
            }
            Fault::Status(401, _) if operation.kind == Kind::Session => {
                let during = self.during(operation.begun, failure.ended);
                let redis = during.iter().any(|span| span.harm == Harm::Redis);
                redis.then_some(Excuse::SessionWithoutRedis)
            }
            Fault::Status(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::{DoorFate, NodeFate, RedisFate, Role};
    use super::*;

    fn failed(fault: Fault, flowing: bool, chunk: bool) -> Failure {
        Failure {
            step: String::new(),
            begun: Instant::now(),
            ended: Instant::now(),
            flowing,
            chunk,
            fault,
        }
    }

    /// The excuses of the same failures under a trouble.
    fn excuses(trouble: Option<(Act, Harm)>, kind: Kind) -> Vec<Option<Excuse>> {
        let ledger = Ledger::new();
        if let Some((act, harm)) = trouble {
            ledger.befalls(act, harm);
        }
        let broke = || Fault::Broke(String::new());
        let status = |code| Fault::Status(code, String::new());
        let failures = [
            failed(broke(), true, true),
            failed(broke(), false, false),
            failed(status(503), true, true),
            failed(status(503), true, false),
            failed(status(503), false, false),
            failed(status(500), true, true),
            failed(status(401), false, false),
            failed(status(404), false, false),
            failed(Fault::Wrong(String::new()), true, true),
            failed(Fault::Hung, true, true),
        ];
        let operation = Operation {
            kind,
            name: String::new(),
            begun: ledger.begun,
            ended: Instant::now(),
            failures: Vec::new(),
            done: true,
            pause: None,
        };
        let excuse = |failure| ledger.excuse(&operation, failure);
        failures.iter().map(excuse).collect()
    }

    #[test]
    fn nothing_is_excused_when_nothing_is_in_trouble() {
        assert_eq!(excuses(None, Kind::Session), [None; 10]);
        let upgrade = Act::Door(Role::Master, DoorFate::TakenOver);
        let none = excuses(Some((upgrade, Harm::Nothing)), Kind::Push);
        assert_eq!(none, [None; 10]);
    }

    #[test]
    fn a_node_excuses_a_step_of_an_upload_and_nothing_else() {
        let node = Act::Node(1, NodeFate::Killed);
        let mut expected = [None; 10];
        expected[2] = Some(Excuse::Node);
        let found = excuses(Some((node, Harm::Uploads)), Kind::Push);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_door_excuses_its_connections_and_no_answer() {
        let door = Act::Door(Role::Master, DoorFate::Killed);
        let mut expected = [None; 10];
        expected[0] = Some(Excuse::DoorInBody);
        expected[1] = Some(Excuse::Door);
        let found = excuses(Some((door, Harm::Connections)), Kind::Pull);
        assert_eq!(found, expected);
    }

    #[test]
    fn redis_excuses_what_harbor_needs_it_for() {
        let redis = Act::Redis(RedisFate::Killed);
        let mut expected = [None; 10];
        expected[5] = Some(Excuse::UploadWithoutRedis);
        assert_eq!(excuses(Some((redis, Harm::Redis)), Kind::Push), expected);
        expected[6] = Some(Excuse::SessionWithoutRedis);
        assert_eq!(excuses(Some((redis, Harm::Redis)), Kind::Session), expected);
    }

    #[test]
    fn a_trouble_that_is_over_excuses_nothing_any_more() {
        let ledger = Ledger::new();
        let number = ledger.befalls(Act::Redis(RedisFate::Killed), Harm::Redis);
        ledger.is_over(number);
        let later = Instant::now() + 2 * SLACK;
        assert!(ledger.during(later, later).is_empty());
        assert_eq!(ledger.during(ledger.begun, later).len(), 1);
    }
}
