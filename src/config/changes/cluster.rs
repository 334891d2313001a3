//! What differs between two clusters.

use super::{Subject, of_certificates};
use crate::config::{Account, Cluster, Endpoints, Node, Part, Role};

pub(super) fn of_cluster(cluster: &Cluster) -> Vec<Subject> {
    let Cluster {
        public_url,
        topology,
        write_tier,
        proxy_cache,
        balance,
        node,
        account,
    } = cluster;
    let whole = Subject::new("cluster")
        .optional("public_url", public_url.as_ref())
        .shown("topology", topology.name())
        .optional("write_tier", *write_tier)
        .shown("proxy_cache", proxy_cache.join(", "))
        .shown("balance", balance);
    let mut all = vec![whole];
    all.extend(node.iter().map(of_node));
    all.extend(account.iter().map(|account| {
        let Account {
            at: _,
            user,
            password,
            password_file,
        } = account;
        Subject::new("cluster.account")
            .shown("user", user)
            .hidden("password", password.expose())
            .hidden("password_file", format!("{password_file:?}"))
    }));
    all
}

fn of_node(node: &Node) -> Subject {
    let Node {
        at: _,
        name,
        endpoints,
        weight,
        requests,
        part,
        ca,
        client_certificate,
    } = node;
    let Part {
        role,
        tier,
        storage,
    } = part;
    let (url, core, portal) = match endpoints {
        Endpoints::Whole(url) => (Some(url), None, None),
        Endpoints::Parts { core, portal } => (None, Some(core), portal.as_ref()),
    };
    Subject::new(format!("cluster.node {name}"))
        .optional("url", url)
        .optional("core", core)
        .optional("portal", portal)
        .shown("weight", weight)
        .optional("requests", *requests)
        .optional("role", role.map(Role::name))
        .optional("tier", *tier)
        .optional("storage", storage.as_ref())
        .hidden("ca", format!("{ca:?}"))
        .hidden("client_certificate", of_certificates(client_certificate))
}
