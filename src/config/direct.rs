//! A configuration without a file, from the arguments of the command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{
    Admin, Affinity, At, Cluster, Config, Health, Journal, Limits, Listen, Log, Node, Outlier,
    Problem, Resume, Retry, STATE_DIR, Sessions, Timeouts, Url, Wrong,
};

/// What stands for the file in problems.
const COMMAND_LINE: &str = "command line";

impl Config {
    /// One TLS listener with a self-signed certificate before nodes that are called `harbor-1` and so on.
    ///
    /// Listens on 0.0.0.0:443 unless told otherwise.
    ///
    /// # Errors
    ///
    /// Every URL that cannot be one, and a lack of nodes.
    pub fn from_nodes(
        nodes: &[String],
        listen: Option<SocketAddr>,
        public_url: Option<String>,
        state_dir: Option<PathBuf>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut wrong = |argument: &str, wrong: Wrong| {
            problems.push(Problem {
                file: COMMAND_LINE.into(),
                line: 0,
                key: argument.to_owned(),
                what: wrong.what,
                fix: wrong.fix,
            });
        };
        if nodes.is_empty() {
            let fix = "name a Harbor, like --node http://192.168.1.10";
            wrong("--node", Wrong::new("is missing", fix));
        }
        let mut url = |argument, text: &String| {
            text.parse::<Url>()
                .map_err(|error| wrong(argument, error))
                .ok()
        };
        let public_url = public_url.and_then(|text| url("--public-url", &text));
        let node = nodes
            .iter()
            .zip(1..)
            .filter_map(|(text, number)| {
                Some(Node::new(format!("harbor-{number}"), url("--node", text)?))
            })
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let everywhere = || SocketAddr::from((Ipv4Addr::UNSPECIFIED, 443));
        let listener = Listen {
            self_signed: true,
            at: At::default(),
            ..Listen::plain(listen.unwrap_or_else(everywhere))
        };
        Ok(Self {
            file: COMMAND_LINE.into(),
            user: None,
            state_dir: state_dir.unwrap_or_else(|| STATE_DIR.into()),
            listen: vec![listener],
            cluster: Cluster {
                public_url,
                node,
                ..Cluster::default()
            },
            affinity: Affinity::default(),
            sessions: Sessions::default(),
            journal: Journal::default(),
            health: Health::default(),
            admin: Admin::default(),
            log: Log::default(),
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            resume: Resume::default(),
            outlier: Outlier::default(),
            limits: Limits::default(),
            access: Vec::new(),
            vip: None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn nodes_on_the_command_line_are_enough() {
        let nodes = ["http://10.0.0.1".to_owned(), "https://b:8443".to_owned()];
        let config = Config::from_nodes(&nodes, None, None, None).unwrap();
        assert_eq!(config.listen[0].address.to_string(), "0.0.0.0:443");
        assert!(config.listen[0].tls());
        assert_eq!(config.cluster.node[1].name, "harbor-2");
        let url = config.cluster.node[1].endpoints.main();
        assert_eq!(url.to_string(), "https://b:8443");
    }

    #[test]
    fn every_bad_argument_is_named() {
        let nodes = ["10.0.0.1".to_owned(), "ftp://b".to_owned()];
        let public = Some("https://a/b".to_owned());
        let problems = Config::from_nodes(&nodes, None, public, None).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["--public-url", "--node", "--node"]);
        assert!(
            problems[1]
                .to_string()
                .starts_with("command line: --node: `10.0.0.1` has no scheme")
        );
        assert!(Config::from_nodes(&[], None, None, None).is_err());
    }
}
