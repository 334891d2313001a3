//! The health documents: every component is polled in the background, and what is told is the last that was seen.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::faults::{Component, Mode};
use super::{Dialect, Harbor};

/// The last word about each component.
#[derive(Default)]
pub struct Health {
    words: Mutex<BTreeMap<&'static str, Result<(), String>>>,
}

/// The components of the document, `core` aside, which is always well when it can answer.
pub const POLLED: [Component; 6] = [
    Component::Database,
    Component::Jobservice,
    Component::Portal,
    Component::Redis,
    Component::Registry,
    Component::Registryctl,
];

impl Health {
    fn note(&self, component: Component, word: Result<(), String>) {
        self.words
            .lock()
            .expect("never poisoned")
            .insert(component.name(), word);
    }

    fn word(&self, component: Component) -> Result<(), String> {
        if component == Component::Core {
            return Ok(());
        }
        let words = self.words.lock().expect("never poisoned");
        words
            .get(component.name())
            .cloned()
            .unwrap_or_else(|| Err("unknown status".to_owned()))
    }

    /// Forgets everything, as a core that starts.
    pub fn forget(&self) {
        self.words.lock().expect("never poisoned").clear();
    }

    /// Whether every component was polled once.
    pub fn is_complete(&self) -> bool {
        self.words.lock().expect("never poisoned").len() == POLLED.len()
    }

    /// `/api/v2.0/health`.
    pub fn document2(&self) -> Value {
        let mut all = POLLED.to_vec();
        all.push(Component::Core);
        all.sort_by_key(|component| component.name());
        let parts: Vec<Value> = all.iter().map(|c| self.part(*c)).collect();
        let well = all.iter().all(|c| self.word(*c).is_ok());
        json!({"status": if well { "healthy" } else { "unhealthy" }, "components": parts})
    }

    /// `/api/health` of 1.10: other order, over several lines.
    pub fn document1(&self) -> String {
        let mut all = POLLED.to_vec();
        all.push(Component::Core);
        fastrand::shuffle(&mut all);
        let well = all.iter().all(|c| self.word(*c).is_ok());
        let parts: Vec<String> = all
            .iter()
            .map(|component| {
                let name = component.name();
                match self.word(*component) {
                    Ok(()) => format!("    {{\n      \"name\": \"{name}\",\n      \"status\": \"healthy\"\n    }}"),
                    Err(error) => format!(
                        "    {{\n      \"name\": \"{name}\",\n      \"status\": \"unhealthy\",\n      \"error\": {}\n    }}",
                        json!(error)
                    ),
                }
            })
            .collect();
        let status = if well { "healthy" } else { "unhealthy" };
        format!(
            "{{\n  \"status\": \"{status}\",\n  \"components\": [\n{}\n  ]\n}}",
            parts.join(",\n")
        )
    }

    fn part(&self, component: Component) -> Value {
        match self.word(component) {
            Ok(()) => json!({"name": component.name(), "status": "healthy"}),
            Err(error) => json!({"name": component.name(), "status": "unhealthy", "error": error}),
        }
    }
}

/// Polls one component for ever: a check, then what is left of the period.
pub async fn poll(harbor: &Harbor, component: Component) {
    let mut tick = tokio::time::interval(harbor.options.timing.poll);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let word = check(harbor, component).await;
        harbor.health.note(component, word);
    }
}

async fn check(harbor: &Harbor, component: Component) -> Result<(), String> {
    let faults = &harbor.faults;
    match component {
        // The check has no timeout of its own: while the database hangs the last word stands.
        Component::Database => match faults.unhung(component).await {
            Mode::Ok => Ok(()),
            _ => Err(
                "failed to run SQL \"SELECT 1\": dial tcp 127.0.0.1:5433: connect: connection refused".to_owned(),
            ),
        },
        Component::Redis => harbor
            .sessions
            .ping(faults)
            .await
            .map_err(|_| "failed to ping redis: dial tcp: connect: connection refused".to_owned()),
        Component::Registry => {
            let answer = tokio::time::timeout(harbor.options.timing.check, harbor.registry.ping()).await;
            match answer {
                Ok(Ok(())) => Ok(()),
                _ => Err(refused(&format!("http://{}/", harbor.registry.address()))),
            }
        }
        _ => {
            let waits = tokio::time::timeout(harbor.options.timing.check, faults.unhung(component)).await;
            let needs_redis = component == Component::Jobservice && harbor.options.dialect == Dialect::Harbor2;
            let starved = needs_redis && harbor.sessions.ping(faults).await.is_err();
            if waits == Ok(Mode::Ok) && !starved {
                Ok(())
            } else {
                Err(refused(&format!("http://{}:8080/", component.name())))
            }
        }
    }
}

fn refused(url: &str) -> String {
    format!("failed to check health: Get \"{url}\": dial tcp: connect: connection refused")
}
