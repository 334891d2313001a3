//! The public URL, as the nodes understand it: where they send clients for tokens and for the rest of an upload.

use super::finding::{Code, Finding, Severity};
use super::greeting::Greeting;
use super::group::{compare, split};
use super::node::Public;
use super::remedy;
use crate::config::Url;
use crate::harbor::dialect::Dialect;

/// What one node said of its address.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What it was sent as `Host`.
    pub host: String,
    /// The addresses of its uploads.
    pub locations: Vec<String>,
}

struct Place {
    https: bool,
    authority: String,
}

/// Scheme and authority of an absolute URL, the port left out where it is the scheme's own.
fn place(url: &str) -> Option<Place> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let url: Url = format!("{scheme}://{authority}").parse().ok()?;
    // What is wrong about the scheme is another matter, so `http://host:443` is `host` here, too.
    let authority = match url.port {
        80 | 443 => Url {
            https: url.port == 443,
            ..url.clone()
        }
        .authority(),
        _ => url.authority(),
    };
    Some(Place {
        https: url.https,
        authority,
    })
}

/// Nodes whose public URL is not that of the cluster.
pub fn judge(
    names: &[String],
    public: &Public,
    greetings: &[Greeting],
    told: &[Told],
) -> Vec<Finding> {
    let mut hosts: Vec<Option<String>> = Vec::new();
    let mut plain = Vec::new();
    for (at, greeting) in greetings.iter().enumerate() {
        let of_node = told.get(at);
        let sent = of_node.map(|told| told.host.as_str()).unwrap_or_default();
        let locations = of_node
            .map(|told| told.locations.as_slice())
            .unwrap_or_default();
        let words = greeting.realm.iter().chain(&greeting.external_url);
        let places: Vec<Place> = words.filter_map(|word| place(word)).collect();
        if public.https && places.iter().any(|place| !place.https) {
            plain.push(at);
        }
        let ours = public.authority.as_deref().unwrap_or(sent);
        let named = places.into_iter().map(|place| place.authority);
        let mut named = named.chain(
            locations
                .iter()
                .filter_map(|location| Some(place(location)?.authority)),
        );
        // A realm or Location that repeats the Host which it was asked with says nothing of the node's own opinion.
        let other = named.find(|host| host != ours);
        hosts.push(other.or_else(|| public.authority.clone()));
    }
    let mut findings = Vec::new();
    findings.extend(match &public.authority {
        Some(right) => wrong(names, right, &hosts, greetings),
        None => differing(names, &hosts),
    });
    if !plain.is_empty() {
        findings.push(plain_http(names, public, &plain, greetings));
    }
    findings
}

fn wrong(
    names: &[String],
    right: &str,
    hosts: &[Option<String>],
    greetings: &[Greeting],
) -> Option<Finding> {
    let odd: Vec<usize> = (0..hosts.len())
        .filter(|at| {
            hosts
                .get(*at)
                .is_some_and(|host| host.as_deref().is_some_and(|host| host != right))
        })
        .collect();
    let said: Vec<String> = odd
        .iter()
        .filter_map(|at| {
            Some(format!(
                "{} names {}",
                names.get(*at)?,
                hosts.get(*at)?.as_ref()?
            ))
        })
        .collect();
    (!odd.is_empty()).then(|| Finding {
        code: Code::ExternalUrlWrong,
        severity: Severity::Error,
        nodes: remedy::names(names, &odd),
        what: format!("the cluster is {right}, but {}", said.join(", ")),
        symptom: "docker login and pushes are sent to another address; logging in by OIDC returns to the wrong place".to_owned(),
        fix: remedy::on(names, &odd, &remedy::external_url(dialect(greetings, &odd), right)),
    })
}

fn differing(names: &[String], hosts: &[Option<String>]) -> Option<Finding> {
    let split = split(compare(hosts))?;
    let said: Vec<String> = names
        .iter()
        .zip(hosts)
        .filter_map(|(name, host)| Some(format!("{name} names {}", host.as_ref()?)))
        .collect();
    Some(Finding {
        code: Code::ExternalUrlWrong,
        severity: Severity::Error,
        nodes: remedy::names(names, &split.odd),
        what: format!("the nodes do not agree on their public address: {}", said.join(", ")),
        symptom: "docker login and pushes are sent to another address".to_owned(),
        fix: "set [cluster] public_url here, and external_url (1.5: hostname) to the same on every node".to_owned(),
    })
}

fn plain_http(names: &[String], public: &Public, odd: &[usize], greetings: &[Greeting]) -> Finding {
    let right = public.authority.as_deref().unwrap_or("the public name");
    Finding {
        code: Code::RealmPlainHttp,
        severity: Severity::Warning,
        nodes: remedy::names(names, odd),
        what: format!("{} for tokens to http://", remedy::sends(names, odd)),
        symptom: "Seawall mends what it can; clients that meet the node itself send their passwords in the clear, and the \
                  pages and logins by OIDC name http://"
            .to_owned(),
        fix: remedy::on(names, odd, &remedy::external_url(dialect(greetings, odd), right)),
    }
}

fn dialect(greetings: &[Greeting], odd: &[usize]) -> Option<Dialect> {
    odd.first()
        .and_then(|at| greetings.get(*at))
        .and_then(|greeting| greeting.dialect)
}

/// Uploads whose address is plain HTTP although clients come by TLS: the nginx of 1.x to 2.2 overwrites what it is told.
pub fn notes(names: &[String], public: &Public, told: &[Told]) -> Vec<String> {
    let plain: Vec<&str> = names
        .iter()
        .zip(told)
        .filter(|(_, told)| {
            let mut places = told.locations.iter().filter_map(|location| place(location));
            public.https && places.any(|place| !place.https)
        })
        .map(|(name, _)| name.as_str())
        .collect();
    if plain.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "the nginx of {} overwrites X-Forwarded-Proto, so that uploads go on at http://: Seawall mends that; other front \
         ends need `proxy_set_header X-Forwarded-Proto` removed from the nginx.conf there",
        super::finding::list(&plain)
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn codes(url: Option<&str>, realms: &[&str]) -> Vec<(Code, Vec<String>)> {
        let public = Public {
            authority: url.map(str::to_owned),
            https: true,
        };
        let names: Vec<String> = (1..=realms.len()).map(|at| format!("n{at}")).collect();
        let greetings: Vec<Greeting> = realms
            .iter()
            .map(|realm| Greeting {
                realm: Some((*realm).to_owned()),
                ..Greeting::default()
            })
            .collect();
        let told = vec![Told::default(); realms.len()];
        let findings = judge(&names, &public, &greetings, &told);
        findings
            .into_iter()
            .map(|finding| (finding.code, finding.nodes))
            .collect()
    }

    #[test]
    fn the_right_realm_is_no_finding_with_or_without_its_port() {
        let right = "https://r.example/service/token";
        assert_eq!(
            codes(
                Some("r.example"),
                &[right, "https://r.example:443/service/token"]
            ),
            []
        );
        assert_eq!(codes(None, &[right, right]), []);
    }

    #[test]
    fn another_host_and_another_scheme_are_two_faults() {
        let other = "http://other.example/service/token";
        let all = codes(
            Some("r.example"),
            &["https://r.example/service/token", other],
        );
        let both = [Code::ExternalUrlWrong, Code::RealmPlainHttp]
            .map(|code| (code, vec!["n2".to_owned()]));
        assert_eq!(all, both);
        let plain = codes(Some("r.example"), &["http://r.example/service/token"]);
        assert_eq!(plain, [(Code::RealmPlainHttp, vec!["n1".to_owned()])]);
    }

    proptest! {
        #[test]
        fn no_realm_makes_it_panic(realm in "(https?://)?\\PC{0,40}") {
            let _ = codes(Some("r.example"), &[&realm]);
        }
    }

    #[test]
    fn without_a_public_url_the_majority_is_right() {
        let (a, b) = (
            "https://a.example/service/token",
            "https://b.example/service/token",
        );
        let found = codes(None, &[a, b, a]);
        assert_eq!(found, [(Code::ExternalUrlWrong, vec!["n2".to_owned()])]);
    }
}
