//! What is found out about the nodes off the path of requests: their addresses, whose tokens they accept, which of their
//! projects are proxy caches.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::Placement;
use crate::balance;
use crate::config;
use crate::harbor::auth::token;
use crate::harbor::class::Class;
use crate::harbor::dialect::Dialect;
use crate::upstream::backend::Backend;
use crate::upstream::cluster::Cluster;
use crate::upstream::exchange;
use crate::upstream::probe::Plan;

/// Keys, addresses and projects change by the hands of people.
const EVERY: Duration = Duration::from_secs(60);
/// While something is not known yet.
const SOON: Duration = Duration::from_secs(2);
/// The most pages of projects that are read, of 100 each.
const MOST_PAGES: usize = 20;

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighted {
    /// Addresses of nodes, by place.
    pub addresses: Vec<(IpAddr, usize)>,
    /// Hashes of the ids of the keys that nodes sign tokens with, by place.
    pub keys: Vec<(u64, usize)>,
    /// Projects that are proxy caches.
    pub proxies: HashSet<String>,
}

impl Sighted {
    /// What the configuration alone tells: nodes that are named by their address.
    pub fn by_address(cluster: &config::Cluster) -> Self {
        let literal = |(index, node): (usize, &config::Node)| {
            let host = node.endpoints.main().host.trim_matches(['[', ']']);
            Some((host.parse().ok()?, index))
        };
        Sighted {
            addresses: cluster
                .node
                .iter()
                .enumerate()
                .filter_map(literal)
                .collect(),
            ..Sighted::default()
        }
    }
}

/// Looks about in `tasks` until the placement is gone, where there is anything to be found out.
pub fn start(
    tasks: &mut JoinSet<()>,
    placement: &Arc<Placement>,
    cluster: &Arc<Cluster>,
    plan: &Plan,
) {
    if placement.layout().topology.shares_data() && plan.account.is_none() {
        return;
    }
    let (placement, cluster) = (Arc::downgrade(placement), Arc::downgrade(cluster));
    tasks.spawn(look_about(placement, cluster, plan.clone()));
}

async fn look_about(placement: Weak<Placement>, cluster: Weak<Cluster>, plan: Plan) {
    loop {
        let (Some(placement), Some(cluster)) = (placement.upgrade(), cluster.upgrade()) else {
            return;
        };
        let before = placement.sighted.load_full();
        let mut now = Sighted::clone(&before);
        let mut whole = true;
        if let Some(proxies) = proxies(&cluster, &plan).await {
            now.proxies = proxies;
        }
        if !placement.layout().topology.shares_data() {
            for (index, backend) in cluster.members().iter().enumerate() {
                if let Some(addresses) = addresses(backend).await {
                    now.addresses.retain(|(_, at)| *at != index);
                    now.addresses
                        .extend(addresses.into_iter().map(|ip| (ip, index)));
                }
                match key(backend, &plan).await {
                    Some(key) => {
                        now.keys.retain(|(_, at)| *at != index);
                        now.keys.push((key, index));
                    }
                    None => whole &= now.keys.iter().any(|(_, at)| *at == index),
                }
            }
        }
        if now != *before {
            placement.sighted.store(Arc::new(now));
        }
        drop((placement, cluster));
        tokio::time::sleep(if whole { EVERY } else { SOON }).await;
    }
}

async fn addresses(backend: &Backend) -> Option<Vec<IpAddr>> {
    let url = backend.endpoint(true).url();
    let host = url.host.trim_matches(['[', ']']).to_owned();
    let found = tokio::net::lookup_host((host, url.port)).await.ok()?;
    Some(found.map(|address| address.ip()).collect())
}

/// The key that a node signs with, read off a token that it gives to anybody.
async fn key(backend: &Backend, plan: &Plan) -> Option<u64> {
    #[derive(Deserialize)]
    struct Given {
        token: String,
    }
    let body = get(
        backend,
        plan,
        "/service/token?service=harbor-registry",
        None,
    )
    .await?;
    let given: Given = serde_json::from_slice(&body).ok()?;
    token::key(&given.token).map(|id| balance::hash(id.as_bytes()))
}

/// The proxy caches among the projects that the account sees (`registry_id` in Harbor 2's `api/v2.0/swagger.yaml`).
async fn proxies(cluster: &Cluster, plan: &Plan) -> Option<HashSet<String>> {
    #[derive(Deserialize)]
    struct Project {
        name: String,
        registry_id: Option<i64>,
    }
    let credentials = plan.account.as_ref()?.proven()?;
    let backend = cluster.members().iter().find(|backend| {
        backend.standing.dialect() == Some(Dialect::Harbor2)
            && backend.standing.serves(Class::ApiRead)
    })?;
    let mut found = HashSet::new();
    for page in 1..=MOST_PAGES {
        let path = format!("/api/v2.0/projects?page={page}&page_size=100");
        let body = get(backend, plan, &path, Some(credentials)).await?;
        let projects: Vec<Project> = serde_json::from_slice(&body).ok()?;
        let last = projects.len() < 100;
        let proxy = |project: &Project| project.registry_id.is_some_and(|id| id > 0);
        found.extend(
            projects
                .into_iter()
                .filter(proxy)
                .map(|project| project.name),
        );
        if last {
            break;
        }
    }
    Some(found)
}

async fn get(
    backend: &Backend,
    plan: &Plan,
    path: &str,
    credentials: Option<&HeaderValue>,
) -> Option<bytes::Bytes> {
    let endpoint = backend.endpoint(true);
    let mut request = exchange::addressed(Request::get(path), endpoint, plan.public.as_ref());
    if let Some(credentials) = credentials {
        request = request.header(AUTHORIZATION, credentials);
    }
    let request = request.body(()).ok()?;
    let received = exchange::ask(endpoint, request, plan.timeout).await.ok()?;
    received.status.is_success().then_some(received.body)
}
