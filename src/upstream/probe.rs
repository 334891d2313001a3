//! Asks a node how it is, at a fixed rate whatever became of the last question.
//!
//! What the answers prove is `harbor::health`'s to say; how many of them it takes is `health::threshold`'s. Here is
//! only the asking: every check of a round runs on its own connection with our own deadline, because Harbor's own
//! document is up to 10 s old, up to 70 s when a part hangs, and for ever when its database hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, COOKIE, SET_COOKIE, USER_AGENT, WWW_AUTHENTICATE};
use http::{HeaderValue, Request};
use tokio::task::JoinSet;

use super::backend::Backend;
use super::cluster::Cluster;
use super::exchange::{self, Unanswered};
use super::siblings;
use super::standing::Change;
use crate::harbor::auth;
use crate::harbor::class::Class;
use crate::harbor::component::{Component, Components};
use crate::harbor::dialect::Dialect;
use crate::harbor::health::{self, AccountWord, Answer, Check, Reply, Verdict};
use crate::harbor::session;

/// How nodes are probed.
#[derive(Clone)]
pub struct Plan {
    /// The dialect, unless it is to be found out.
    pub dialect: Option<Dialect>,
    /// Time from the start of a round to the start of the next.
    pub interval: Duration,
    /// The most a check may take.
    pub timeout: Duration,
    /// Rounds that bring a component up.
    pub rise: u32,
    /// Rounds that take a component down.
    pub fall: u32,
    /// Idle time after which connections to nodes are closed.
    pub node_idle: Duration,
    /// `host[:port]` and scheme that clients use, so that Harbor builds the URLs it would build for them.
    pub public: Option<(HeaderValue, bool)>,
    /// The probe account.
    pub account: Option<Arc<Account>>,
}

/// An account for the one cheap deep check, and whether it is still welcome.
pub struct Account {
    credentials: HeaderValue,
    user: String,
    refused: AtomicBool,
    /// Some node has accepted it.
    worked: AtomicBool,
    /// It is being tried for the first time.
    trying: AtomicBool,
}

impl Account {
    /// An account nobody has tried yet.
    pub fn new(user: &str, password: &str) -> Self {
        Account {
            credentials: auth::basic(user, password),
            user: user.to_owned(),
            refused: AtomicBool::new(false),
            worked: AtomicBool::new(false),
            trying: AtomicBool::new(false),
        }
    }

    /// The same once a node has accepted it: a wrong password is for the probes to find out, with one try.
    pub fn proven(&self) -> Option<&HeaderValue> {
        self.credentials()
            .filter(|_| self.worked.load(Ordering::Relaxed))
    }

    /// Leave to try it now: until it has worked once, one at a time tries it, so that a wrong password is not tried again
    /// before the word on it is here.
    fn trial(&self) -> Option<Trial<'_>> {
        self.credentials()?;
        let free =
            self.worked.load(Ordering::Relaxed) || !self.trying.swap(true, Ordering::Relaxed);
        free.then_some(Trial(self))
    }

    /// What it says of itself to a node; nothing once it was refused.
    pub fn credentials(&self) -> Option<&HeaderValue> {
        (!self.refused.load(Ordering::Relaxed)).then_some(&self.credentials)
    }
}

/// Leave to try an account, given back at its end.
struct Trial<'a>(&'a Account);

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.0.trying.store(false, Ordering::Relaxed);
    }
}

/// Probes one node until the plan's cluster is gone.
pub struct Prober {
    backend: Arc<Backend>,
    cluster: Weak<Cluster>,
    plan: Plan,
    cookie: Mutex<Option<HeaderValue>>,
    account_worked: AtomicBool,
    /// An account that had worked was refused in the last round.
    account_doubted: AtomicBool,
}

impl Prober {
    /// Starts probing, and comparing the nodes, on the current runtime; dropping the returned set ends it.
    pub fn start(cluster: &Arc<Cluster>, plan: &Plan) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for backend in cluster.members() {
            let prober = Arc::new(Prober {
                backend: backend.clone(),
                cluster: Arc::downgrade(cluster),
                plan: plan.clone(),
                cookie: Mutex::new(None),
                account_worked: AtomicBool::new(false),
                account_doubted: AtomicBool::new(false),
            });
            if let Some(dialect) = plan.dialect {
                backend.standing.set_dialect(dialect);
            }
            tasks.spawn(prober.run());
        }
        tasks.spawn(siblings::watch(Arc::downgrade(cluster)));
        tasks
    }

    async fn run(self: Arc<Self>) {
        let mut rounds = JoinSet::new();
        loop {
            let prober = self.clone();
            rounds.spawn(async move { prober.round().await });
            while rounds.try_join_next().is_some() {}
            self.backend.sweep(self.plan.node_idle);
            // Two doors, or two nodes, must not ask in step for ever.
            let jitter = 0.95 + fastrand::f64() * 0.1;
            tokio::time::sleep(self.plan.interval.mul_f64(jitter)).await;
        }
    }

    async fn round(self: Arc<Self>) {
        let Some(cluster) = self.cluster.upgrade() else {
            return;
        };
        let verdict = match self.backend.standing.dialect() {
            Some(dialect) => self.judge(dialect).await,
            None => self.detect().await,
        };
        // While nobody has what a request needs, one success is enough to come back.
        let lacking = cluster.lacking();
        let changes =
            self.backend
                .standing
                .learn(&verdict, self.plan.rise, self.plan.fall, lacking);
        self.report(&changes);
    }

    async fn judge(self: &Arc<Self>, dialect: Dialect) -> Verdict {
        let trial = self
            .plan
            .account
            .as_ref()
            .and_then(|account| account.trial());
        let database_was_down = self.backend.standing.down().contains(Component::Database);
        let mut replies = Vec::new();
        let mut asked = JoinSet::new();
        let portal = !self.backend.is_direct() || self.backend.portal().is_some();
        for check in dialect.checks(portal, trial.is_some()) {
            let prober = self.clone();
            asked.spawn(async move { (*check, prober.ask(dialect.path(*check), *check).await) });
        }
        while let Some(done) = asked.join_next().await {
            if let Ok(reply) = done {
                replies.push(reply);
            }
        }
        // After an upgrade to another generation the paths of the old one are gone.
        if self.plan.dialect.is_none() && replies.iter().any(is_unknown_ping) {
            self.backend.standing.forget_dialect();
        }
        let worked = self.account_worked.load(Ordering::Relaxed);
        let verdict = health::judge(dialect, &replies, worked);
        match verdict.account {
            AccountWord::Worked => {
                self.account_worked.store(true, Ordering::Relaxed);
                self.account_doubted.store(false, Ordering::Relaxed);
            }
            // The checks of a round do not run at one moment: a database that comes or goes between two of them refuses
            // the account and answers the other question.
            AccountWord::Refused if database_was_down => {}
            AccountWord::Refused
                if worked && !self.account_doubted.swap(true, Ordering::Relaxed) => {}
            AccountWord::Refused => self.refuse_account(),
            _ => {}
        }
        if let Some(Trial(account)) = &trial
            && verdict.account == AccountWord::Worked
        {
            account.worked.store(true, Ordering::Relaxed);
        }
        verdict
    }

    /// A wrong password locks the account for everybody, so one refusal is the last time we use it.
    fn refuse_account(&self) {
        let Some(account) = &self.plan.account else {
            return;
        };
        if !account.refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                node = %self.backend.name,
                user = account.user,
                "the probe account was refused and is not used again; put the right password into [cluster.account] and reload"
            );
        }
    }

    async fn detect(self: &Arc<Self>) -> Verdict {
        let mut replies = Vec::new();
        let mut asked = JoinSet::new();
        for path in health::DETECTION {
            let prober = self.clone();
            asked.spawn(async move { (path, prober.ask(path, Check::Ping).await) });
        }
        while let Some(Ok(reply)) = asked.join_next().await {
            replies.push(reply);
        }
        if let Some(dialect) = health::detect(&replies) {
            tracing::info!(node = %self.backend.name, dialect = ?dialect, "recognised what runs on the node");
            self.backend.standing.set_dialect(dialect);
        }
        // Until it is known what it is, whether it accepts connections is all that counts.
        let reachable = replies
            .iter()
            .any(|(_, reply)| !matches!(reply, Reply::Refused));
        Verdict {
            good: Components::EMPTY,
            bad: Components::EMPTY,
            reachable,
            reasons: Vec::new(),
            account: AccountWord::NotTried,
            version: None,
        }
    }

    async fn ask(&self, path: &'static str, check: Check) -> Reply {
        let backend = &self.backend;
        let endpoint = backend.endpoint(check != Check::Portal);
        let prefix = if path.starts_with("/v2") {
            backend.registry_prefix()
        } else {
            ""
        };
        let mut request = Request::get(format!("{prefix}{path}"))
            .header(
                USER_AGENT,
                concat!("seawall-probe/", env!("CARGO_PKG_VERSION")),
            )
            .header(ACCEPT, "application/json, */*;q=0.5");
        request = exchange::addressed(request, endpoint, self.plan.public.as_ref());
        // Each answer without a session would leave one more key in Redis for an hour.
        if let Some(cookie) = self
            .cookie
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
        {
            request = request.header(COOKIE, cookie);
        }
        if check == Check::Deep {
            match self
                .plan
                .account
                .as_ref()
                .and_then(|account| account.credentials())
            {
                Some(credentials) => request = request.header(AUTHORIZATION, credentials),
                None => return Reply::Skipped,
            }
        }
        let Ok(request) = request.body(()) else {
            return Reply::Skipped;
        };
        match exchange::ask(endpoint, request, self.plan.timeout).await {
            Ok(received) => {
                self.keep_session(&received.headers);
                let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
                Reply::Answered(Answer {
                    status: received.status.as_u16(),
                    body: received.body,
                    challenge: received.headers.get(WWW_AUTHENTICATE).and_then(text),
                })
            }
            Err(Unanswered::Connect(_)) => Reply::Refused,
            Err(Unanswered::TimedOut(_)) => Reply::TimedOut,
            Err(Unanswered::Broke(_)) => Reply::Failed,
        }
    }

    fn keep_session(&self, headers: &http::HeaderMap) {
        let session = headers
            .get_all(SET_COOKIE)
            .iter()
            .find_map(session::issued)
            .and_then(|pair| HeaderValue::from_str(pair).ok());
        if let Some(pair) = session {
            *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = Some(pair);
        }
    }

    fn report(&self, changes: &[Change]) {
        let (name, metrics) = (&self.backend.name, &self.backend.metrics);
        for change in changes {
            match change {
                Change::Reachable(true) => tracing::info!(node = %name, "node accepts connections"),
                Change::Reachable(false) => {
                    tracing::warn!(node = %name, "node does not accept connections")
                }
                Change::Component(component, up, reason) => {
                    metrics.component(component.name(), *up);
                    match up {
                        true => {
                            tracing::info!(node = %name, component = component.name(), "component is up")
                        }
                        false => {
                            tracing::warn!(node = %name, component = component.name(), reason, "component is down");
                        }
                    }
                }
            }
        }
        metrics
            .up
            .set(i64::from(self.backend.standing.serves(Class::ManifestRead)));
    }
}

fn is_unknown_ping((check, reply): &(Check, Reply)) -> bool {
    *check == Check::Ping && matches!(reply, Reply::Answered(answer) if answer.status == 404)
}
