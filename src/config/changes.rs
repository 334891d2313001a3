//! What differs between two configurations, in words for operators.

mod admission;
mod cluster;
mod sticky;

use super::{
    Admin, Certificate, Config, Health, Journal, Limits, Listen, Log, Outlier, Resume, Retry, Room,
    Secret, Timeouts, Vip, VipInstance, duration, size,
};
use crate::harbor::share::Share;

/// One line for each difference, such as `cluster.node harbor-2: weight 10 → 5`.
///
/// Secrets and lists are only said to have changed. That a secret changed shows even though its file's name did
/// not; the contents of certificates are not compared.
pub fn changes(old: &Config, new: &Config) -> Vec<String> {
    let (old, new) = (flatten(old), flatten(new));
    let mut lines = Vec::new();
    for before in &old {
        match new.iter().find(|after| after.name == before.name) {
            Some(after) => before.compare(after, &mut lines),
            None => lines.push(format!("{}: removed", before.name)),
        }
    }
    let is_new = |after: &&Subject| old.iter().all(|before| before.name != after.name);
    lines.extend(
        new.iter()
            .filter(is_new)
            .map(|after| format!("{}: added", after.name)),
    );
    lines
}

/// Something with a name, and its keys with their values as text.
struct Subject {
    name: String,
    values: Vec<(&'static str, Value)>,
}

#[derive(PartialEq)]
enum Value {
    Shown(String),
    Hidden(String),
}

impl Subject {
    fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            values: Vec::new(),
        }
    }

    fn shown(mut self, key: &'static str, value: impl ToString) -> Self {
        self.values.push((key, Value::Shown(value.to_string())));
        self
    }

    fn time(self, key: &'static str, value: std::time::Duration) -> Self {
        self.shown(key, duration::show(value))
    }

    fn optional(self, key: &'static str, value: Option<impl ToString>) -> Self {
        self.shown(
            key,
            value.map_or("none".to_owned(), |value| value.to_string()),
        )
    }

    fn hidden(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.values.push((key, Value::Hidden(value.into())));
        self
    }

    fn compare(&self, after: &Self, lines: &mut Vec<String>) {
        // Both lists come from the same code, so that they have the same keys in the same order.
        for ((key, old), (_, new)) in self.values.iter().zip(&after.values) {
            match (old, new) {
                (Value::Shown(old), Value::Shown(new)) if old != new => {
                    lines.push(format!("{}: {key} {old} → {new}", self.name));
                }
                (old, new) if old != new => lines.push(format!("{}: {key} changed", self.name)),
                _ => {}
            }
        }
    }
}

/// Structures are taken apart without `..`, so that a new key cannot be forgotten here.
fn flatten(config: &Config) -> Vec<Subject> {
    let Config {
        file: _,
        user,
        state_dir,
        listen,
        cluster,
        affinity,
        sessions,
        journal,
        health,
        admin,
        log,
        timeouts,
        retry,
        resume,
        outlier,
        limits,
        access,
        vip,
    } = config;
    let top = Subject::new("top")
        .optional("user", user.as_ref().map(|user| &user.name))
        .shown("state_dir", state_dir.display());
    let mut all = vec![top];
    all.extend(listen.iter().map(of_listen));
    all.extend(cluster::of_cluster(cluster));
    all.extend(sticky::of_affinity(affinity));
    all.push(sticky::of_sessions(sessions));
    all.push(of_journal(journal));
    all.extend(of_health(health, outlier));
    all.extend([of_admin(admin), of_log(log), of_timeouts(timeouts)]);
    all.extend(of_limits(limits, retry));
    all.extend(admission::of_admission(limits, access));
    all.push(of_resume(resume));
    all.extend(vip.iter().flat_map(of_vip));
    all
}

fn of_journal(journal: &Journal) -> Subject {
    let Journal {
        enabled,
        reconcile,
        grace,
        most,
    } = journal;
    Subject::new("journal")
        .shown("enabled", enabled)
        .shown("reconcile", reconcile)
        .time("grace", *grace)
        .shown("most", most)
}

fn of_listen(listen: &Listen) -> Subject {
    let Listen {
        at: _,
        address,
        hosts,
        proxy_protocol,
        trusted_forwarders,
        redirect_to_https,
        redirect_port,
        certificate,
        tls_profile,
        clients,
        self_signed,
    } = listen;
    Subject::new(format!("listen {address}"))
        .hidden("hosts", format!("{hosts:?}"))
        .hidden("proxy_protocol", format!("{proxy_protocol:?}"))
        .hidden("trusted_forwarders", format!("{trusted_forwarders:?}"))
        .shown("redirect_to_https", redirect_to_https)
        .optional("redirect_port", *redirect_port)
        .hidden("certificate", of_certificates(certificate))
        .shown("tls_profile", tls_profile.name())
        .hidden("client_ca", format!("{clients:?}"))
        .shown("self_signed", self_signed)
}

fn of_certificates<'c>(certificates: impl IntoIterator<Item = &'c Certificate>) -> String {
    let paths = certificates
        .into_iter()
        .map(|Certificate { at: _, chain, key }| (chain, key));
    format!("{:?}", paths.collect::<Vec<_>>())
}

fn of_health(health: &Health, outlier: &Outlier) -> [Subject; 2] {
    let Health {
        probe,
        interval,
        timeout,
        rise,
        fall,
        slow_start,
        doctor,
    } = health;
    let probes = Subject::new("health")
        .shown("probe", probe.name())
        .time("interval", *interval)
        .time("timeout", *timeout)
        .shown("rise", rise)
        .shown("fall", fall)
        .time("slow_start", *slow_start)
        .shown("doctor", doctor);
    let Outlier {
        consecutive,
        base,
        max,
        max_percent,
        failure_percent,
        slow_factor,
        volume,
    } = outlier;
    let requests = Subject::new("outlier")
        .shown("consecutive", consecutive)
        .time("base", *base)
        .time("max", *max)
        .shown("max_percent", max_percent)
        .shown("failure_percent", failure_percent)
        .shown("slow_factor", slow_factor)
        .shown("volume", volume);
    [probes, requests]
}

fn of_admin(admin: &Admin) -> Subject {
    let Admin {
        at: _,
        address,
        token,
        token_file,
    } = admin;
    let token = token.as_ref().map_or("", |token| token.expose());
    Subject::new("admin")
        .shown("address", address)
        .hidden("token", token)
        .hidden("token_file", format!("{token_file:?}"))
}

fn of_log(log: &Log) -> Subject {
    let Log {
        format,
        level,
        access,
    } = log;
    Subject::new("log")
        .shown("format", format.name())
        .shown("level", level.name())
        .shown("access", access)
}

fn of_timeouts(timeouts: &Timeouts) -> Subject {
    let Timeouts {
        handshake,
        head,
        idle,
        body_idle,
        connect,
        first_byte,
        first_byte_other,
        stall,
        node_idle,
        min_rate,
        drain,
        maintenance,
    } = timeouts;
    Subject::new("timeouts")
        .time("handshake", *handshake)
        .time("head", *head)
        .time("idle", *idle)
        .time("body_idle", *body_idle)
        .time("connect", *connect)
        .time("first_byte", *first_byte)
        .time("first_byte_other", *first_byte_other)
        .time("stall", *stall)
        .time("node_idle", *node_idle)
        .shown("min_rate", size::show(*min_rate))
        .time("drain", *drain)
        .time("maintenance", *maintenance)
}

fn of_limits(limits: &Limits, retry: &Retry) -> [Subject; 2] {
    let Limits {
        connections,
        h2_streams,
        header_bytes,
        headers,
        room,
        queue,
        queue_wait,
        client: _,
        user: _,
    } = limits;
    let Room {
        requests,
        percent,
        adaptive,
    } = room;
    let limits = Subject::new("limits")
        .shown("connections", connections)
        .shown("h2_streams", h2_streams)
        .shown("header_bytes", size::show(*header_bytes as u64))
        .shown("headers", headers)
        .shown("node_requests", requests)
        .shown("shares", shares(percent))
        .shown("adaptive", adaptive)
        .shown("queue", queue)
        .time("queue_wait", *queue_wait);
    let Retry {
        attempts,
        budget,
        budget_min,
    } = retry;
    let retry = Subject::new("retry")
        .shown("attempts", attempts)
        .shown("budget", budget)
        .shown("budget_min", budget_min);
    [limits, retry]
}

fn shares(percent: &[u8; 3]) -> String {
    let pairs = Share::ALL.iter().zip(percent);
    let pairs: Vec<_> = pairs
        .map(|(share, percent)| format!("{} {percent}", share.slug()))
        .collect();
    pairs.join(", ")
}

fn of_resume(resume: &Resume) -> Subject {
    let Resume {
        enabled,
        attempts,
        verify,
    } = resume;
    Subject::new("resume")
        .shown("enabled", enabled)
        .shown("attempts", attempts)
        .shown("verify", verify)
}

fn of_vip(vip: &Vip) -> Vec<Subject> {
    let Vip {
        at: _,
        release_within,
        virtual_mac,
        instance,
    } = vip;
    let whole = Subject::new("vip")
        .time("release_within", *release_within)
        .shown("virtual_mac", virtual_mac);
    let mut all = vec![whole];
    all.extend(instance.iter().map(of_vip_instance));
    all
}

fn of_vip_instance(instance: &VipInstance) -> Subject {
    let VipInstance {
        at: _,
        name,
        router_id,
        version,
        priority,
        advert_interval,
        addresses,
        password,
        password_file,
        key,
        key_file,
        peers,
        seawall_peers,
        source,
        preempt,
        preempt_delay,
        interface,
        sync_group,
        track_interfaces,
    } = instance;
    let secret = |secret: &Option<Secret>| secret.as_ref().map_or("", Secret::expose).to_owned();
    Subject::new(format!("vip.instance {name}"))
        .shown("router_id", router_id)
        .shown("version", version.number())
        .shown("priority", priority)
        .time("advert_interval", *advert_interval)
        .hidden("addresses", format!("{addresses:?}"))
        .hidden("password", secret(password))
        .hidden("password_file", format!("{password_file:?}"))
        .hidden("key", secret(key))
        .hidden("key_file", format!("{key_file:?}"))
        .hidden("peers", format!("{peers:?}"))
        .shown("seawall_peers", seawall_peers)
        .optional("source", *source)
        .shown("preempt", preempt)
        .time("preempt_delay", *preempt_delay)
        .shown("interface", interface)
        .optional("sync_group", sync_group.as_ref())
        .hidden("track_interfaces", format!("{track_interfaces:?}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    const TEXT: &str = r#"
        [[listen]]
        address = "0.0.0.0:443"
        [[listen.certificate]]
        chain = "a.pem"
        key = "a-key.pem"
        [cluster.account]
        user = "robot"
        password = "one"
        [[cluster.node]]
        name = "harbor-1"
        url = "http://10.0.0.1"
        [[cluster.node]]
        name = "harbor-2"
        url = "http://10.0.0.2"
    "#;

    fn read(text: &str) -> Config {
        parse(text, Path::new("seawall.toml")).unwrap()
    }

    fn changed(from: &str, to: &str) -> Vec<String> {
        assert!(TEXT.contains(from));
        changes(&read(TEXT), &read(&TEXT.replace(from, to)))
    }

    #[test]
    fn a_moved_line_is_no_change() {
        assert_eq!(changed("[[listen]]", "\n# more\n[[listen]]"), [""; 0]);
    }

    #[test]
    fn a_value_is_shown_before_and_after() {
        assert_eq!(
            changed(
                "url = \"http://10.0.0.2\"",
                "url = \"http://10.0.0.2\"\nweight = 5"
            ),
            ["cluster.node harbor-2: weight 10 → 5"]
        );
        assert_eq!(
            changed(
                "[cluster.account]",
                "[timeouts]\ndrain = \"1m30s\"\n[cluster.account]"
            ),
            ["timeouts: drain 5m → 1m30s"]
        );
    }

    #[test]
    fn a_certificate_or_secret_is_only_said_to_have_changed() {
        assert_eq!(
            changed("a.pem", "b.pem"),
            ["listen 0.0.0.0:443: certificate changed"]
        );
        assert_eq!(changed("one", "two"), ["cluster.account: password changed"]);
    }

    #[test]
    fn a_virtual_address_that_changes_is_told_by_the_name_of_its_instance() {
        let vip = |rest: &str| {
            let instance = "[vip]\ninterface = \"eth0\"\n[[vip.instance]]\nrouter_id = 51";
            let addresses = "addresses = [\"10.0.0.9\"]";
            read(&format!("{TEXT}\n{instance}\n{addresses}\n{rest}"))
        };
        let (plain, other) = (vip(""), vip("priority = 90\nversion = 2\npassword = \"p\""));
        assert_eq!(
            changes(&plain, &other),
            [
                "vip.instance vip-51: version 3 → 2",
                "vip.instance vip-51: priority 100 → 90",
                "vip.instance vip-51: password changed"
            ]
        );
        assert_eq!(
            changes(&plain, &read(TEXT)),
            ["vip: removed", "vip.instance vip-51: removed"]
        );
    }

    #[test]
    fn nodes_come_and_go() {
        assert_eq!(
            changed("harbor-2", "harbor-3"),
            [
                "cluster.node harbor-2: removed",
                "cluster.node harbor-3: added"
            ]
        );
    }
}
