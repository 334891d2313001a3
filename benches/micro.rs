//! What every request pays for: reading its class, choosing a node, cleaning its headers.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method};
use seawall::balance::{Algorithm, Candidate, Turn, choose};
use seawall::config;
use seawall::harbor::path::classify;
use seawall::message::forwarded::{self, Origin};
use seawall::message::hop;
use seawall::message::survey::Survey;
use seawall::session::Sessions;
use seawall::session::key::{Key, Kind};

fn class(criterion: &mut Criterion) {
    let blob = "/v2/library/app/blobs/sha256:96f0b3f895dd2b387810047d256de70e7140b048e76f66a1fb4f058dbc333da2";
    criterion.bench_function("classify a blob read", |bencher| {
        bencher.iter(|| classify(black_box(&Method::GET), black_box(blob)).is_ok());
    });
    let api = "/api/v2.0/projects/library/repositories/a%252Fb/artifacts?page=1";
    criterion.bench_function("classify an API read", |bencher| {
        bencher.iter(|| classify(black_box(&Method::GET), black_box(api)).is_ok());
    });
}

fn choice(criterion: &mut Criterion) {
    for nodes in [1, 2, 10, 100] {
        let candidates: Vec<Candidate> = (0..nodes)
            .map(|index| Candidate {
                index,
                weight: 10.0,
                in_flight: 3,
                latency: 0.01,
                seed: index as u64 * 77,
            })
            .collect();
        let (turn, mut rng) = (Turn::new(), fastrand::Rng::with_seed(1));
        criterion.bench_function(&format!("two choices of {nodes} nodes"), |bencher| {
            bencher.iter(|| {
                choose(
                    Algorithm::TwoChoices,
                    candidates.iter().copied(),
                    None,
                    &turn,
                    &mut rng,
                )
            });
        });
    }
}

fn headers(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("accept", "*/*"),
        ("user-agent", "docker/24.0.5"),
        ("accept-encoding", "gzip"),
        ("connection", "keep-alive"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let origin = Origin::new(IpAddr::V4(Ipv4Addr::LOCALHOST), true, false);
    criterion.bench_function("make a request's headers ready", |bencher| {
        bencher.iter(|| {
            let mut headers = headers.clone();
            let found = Survey::of(&headers);
            hop::strip_request(&mut headers, &found);
            forwarded::write(&mut headers, &found, &origin)
        });
    });
}

/// What a request of a browser pays to find its node: the hash of its session, a look into the table, and the count.
fn affinity(criterion: &mut Criterion) {
    let sessions = Sessions::new(
        &config::Sessions::default(),
        &config::Affinity::default(),
        None,
        Default::default(),
    );
    let Ok(sessions) = sessions else { return };
    let id = "0123456789abcdef0123456789abcdef";
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let node = "harbor-1".into();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
        return;
    };
    runtime.block_on(sessions.bind(Key::new(Kind::Ui, id), &node, client, false));
    criterion.bench_function("recall a known session", |bencher| {
        bencher.iter(|| {
            let key = Key::new(Kind::Ui, black_box(id));
            let known = sessions.remembered(&key);
            if let Some(entry) = &known {
                sessions.touch(key, entry);
            }
            known
        });
    });
}

criterion_group!(benches, class, choice, headers, affinity);
criterion_main!(benches);
