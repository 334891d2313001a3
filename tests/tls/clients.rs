//! Clients that show certificates.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{OK, answered, openssl, s_client};
use crate::support::certs::Authority;
use crate::support::client::{Knock, Two};
use crate::support::door::{Door, Plan, eventually};
use crate::support::origin::{Heard, Origin, before_with};
use crate::support::ports;

const SOON: Duration = Duration::from_secs(20);

/// An authority of clients, and certificates from it.
struct Badges {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Badges {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new(directory.path());
        Badges {
            directory,
            authority,
        }
    }

    fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The files of a certificate for `name`.
    fn issue(&self, name: &str) -> [String; 2] {
        self.authority.issue(self.directory.path(), name, &[]);
        ["", "-key"].map(|part| {
            let file = self.directory.path().join(format!("{name}{part}.pem"));
            file.to_str().unwrap().to_owned()
        })
    }

    fn keys(&self, auth: &str) -> String {
        let ca = self.ca();
        format!("client_ca = \"{}\"\nclient_auth = \"{auth}\"", ca.display())
    }
}

fn asking(origin: &Origin, badges: &Badges, auth: &str) -> Door {
    before_with(origin, |plan| plan.listen = badges.keys(auth))
}

fn show(pair: &[String; 2]) -> [&str; 4] {
    ["-cert", &pair[0], "-key", &pair[1]]
}

fn subject(heard: &Heard) -> Vec<&str> {
    heard.all("x-ssl-client-subject")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_show_a_certificate_and_shows_none_or_a_strangers_is_refused() {
    let origin = Origin::saying(OK);
    let badges = Badges::new();
    let door = asking(&origin, &badges, "required");
    let stranger = Badges::new();
    for version in ["-tls1_2", "-tls1_3"] {
        let said = openssl(&door, &[version]);
        assert!(
            said.contains("certificate required") || said.contains("handshake failure"),
            "{said}"
        );
        let foreign = stranger.issue("stranger");
        let said = openssl(&door, &[&show(&foreign)[..], &[version]].concat());
        assert!(
            said.contains("unknown ca") || said.contains("alert"),
            "{said}"
        );
        assert!(origin.heard().is_empty(), "{version}");
        let pair = badges.issue("runner");
        let said = openssl(&door, &[&show(&pair)[..], &[version]].concat());
        assert!(answered(&said), "{said}");
        assert_eq!(subject(&origin.only()), ["CN=runner"]);
        origin.forget();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_show_a_certificate_is_served_without_one_and_named_with_one() {
    let origin = Origin::saying(OK);
    let badges = Badges::new();
    let door = asking(&origin, &badges, "offered");
    assert!(answered(&openssl(&door, &[])));
    assert!(subject(&origin.last()).is_empty());
    let pair = badges.issue("runner");
    assert!(answered(&openssl(&door, &show(&pair))));
    assert_eq!(subject(&origin.last()), ["CN=runner"]);
    assert_eq!(origin.last().all("x-ssl-client-fingerprint")[0].len(), 64);
    let foreign = Badges::new().issue("stranger");
    assert!(!answered(&openssl(&door, &show(&foreign))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_set_the_identity() {
    let origin = Origin::saying(OK);
    let badges = Badges::new();
    let door = before_with(&origin, |plan| {
        plan.listen = badges.keys("offered") + "\ntrusted_forwarders = [\"127.0.0.0/8\"]";
    });
    let claims = [
        "x-ssl-client-subject",
        "X-SSL-Client-Fingerprint",
        "X-SSL-Client-Verify",
        "X_SSL_Client_Subject",
        "Client-Cert",
        "Client-Cert-Chain",
    ];
    let lines: String = claims.map(|name| format!("{name}: CN=root\r\n")).concat();
    let [chain, key] = badges.issue("runner").map(PathBuf::from);
    for identity in [None, Some((chain, key))] {
        let mut knock = Knock::at(&door);
        knock.identity = identity.clone();
        let mut raw = knock.raw().await.unwrap();
        // Naming the fields in Connection must not take away what Seawall says, either.
        let request = format!(
            "GET /v2/ HTTP/1.1\r\nHost: a\r\n{lines}Connection: X-SSL-Client-Subject, close\r\n\r\n"
        );
        assert_eq!(raw.ask(request).await.status, 200);
        let mut two = Two::with(knock).await;
        let mut request = two.request("GET", "/v2/");
        for name in claims {
            request = request.header(name, "CN=root");
        }
        assert_eq!(two.ask(request).await.unwrap().status, 200);
        for heard in origin.heard() {
            assert!(!heard.head.contains("CN=root"), "{}", heard.head);
            let expected: &[&str] = if identity.is_some() {
                &["CN=runner"]
            } else {
                &[]
            };
            assert_eq!(subject(&heard), expected);
        }
        origin.forget();
    }
}

/// A door with a second listener that serves `hosts`.
fn two_listeners(origin: &Origin, first: &str, second: &str) -> (Door, SocketAddr) {
    let other = ports::free();
    let door = before_with(origin, |plan| {
        plan.listen = first.to_owned();
        plan.more.push_str(&listener(other, second));
    });
    (door, other)
}

fn listener(address: SocketAddr, keys: &str) -> String {
    format!(
        "[[listen]]\naddress = \"{address}\"\n{keys}\n[[listen.certificate]]\nchain = \"door.pem\"\nkey = \"door-key.pem\"\n"
    )
}

/// Whether a session that `maker` gave is taken by `taker`. It must be by the one that gave it.
fn resumes(maker: SocketAddr, taker: SocketAddr, ca: &Path, version: &str, more: &[&str]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let session = directory.path().join("session");
    let file = session.to_str().unwrap();
    let made = s_client(maker, ca, &[more, &[version, "-sess_out", file]].concat());
    assert!(answered(&made), "{made}");
    let again = s_client(maker, ca, &[version, "-sess_in", file]);
    assert!(again.contains("Reused, TLS"), "{again}");
    assert!(answered(&again), "{again}");
    s_client(taker, ca, &[version, "-sess_in", file]).contains("Reused, TLS")
}

/// Class 23: a session that was made without a certificate, or with one that another listener believes.
#[tokio::test(flavor = "multi_thread")]
async fn class_23_a_session_of_one_listener_spares_nobody_the_certificate_of_another() {
    let origin = Origin::saying(OK);
    let badges = Badges::new();
    let (door, strict) = two_listeners(&origin, "", &badges.keys("required"));
    let pair = badges.issue("runner");
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(!resumes(door.address, strict, &door.ca(), version, &[]));
        let badge = show(&pair);
        assert!(!resumes(strict, door.address, &door.ca(), version, &badge));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_resumed_keeps_its_identity() {
    let origin = Origin::saying(OK);
    let badges = Badges::new();
    let door = asking(&origin, &badges, "required");
    let pair = badges.issue("runner");
    for version in ["-tls1_2", "-tls1_3"] {
        resumes(
            door.address,
            door.address,
            &door.ca(),
            version,
            &show(&pair),
        );
        for heard in origin.heard() {
            assert_eq!(subject(&heard), ["CN=runner"]);
        }
    }
}

/// The same for a session that was made before the authority of clients changed.
#[tokio::test(flavor = "multi_thread")]
async fn class_23_a_session_from_before_the_authority_changed_is_worth_nothing() {
    let origin = Origin::saying(OK);
    let badges = Badges::new();
    let door = asking(&origin, &badges, "required");
    let session = door.directory().join("session");
    let file = session.to_str().unwrap();
    let old = badges.issue("runner");
    let made = openssl(&door, &[&show(&old)[..], &["-sess_out", file]].concat());
    assert!(answered(&made), "{made}");
    assert!(openssl(&door, &["-sess_in", file]).contains("Reused, TLS"));
    let next = Badges::new();
    next.authority.publish(badges.directory.path());
    let new = next.issue("runner");
    eventually("the new authority is believed", SOON, || {
        answered(&openssl(&door, &show(&new)))
    });
    assert!(!answered(&openssl(&door, &["-sess_in", file])));
    assert!(!answered(&openssl(&door, &show(&old))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_asks_for_certificates_and_stops_asking() {
    let origin = Origin::saying(OK);
    let badges = Badges::new();
    let door = before_with(&origin, |_| {});
    let pair = badges.issue("runner");
    for (keys, needs) in [(badges.keys("required"), true), (String::new(), false)] {
        let mut plan = Plan::fronting([origin.url()]);
        plan.listen = keys;
        door.rewrite(&plan);
        door.signal(Signal::SIGHUP);
        eventually("the new terms hold", SOON, || {
            answered(&openssl(&door, &[])) != needs
        });
        assert!(answered(&openssl(&door, &show(&pair))));
    }
}

/// Class 23: the way around the certificate through a listener that serves any name.
#[tokio::test(flavor = "multi_thread")]
async fn class_23_a_name_of_a_listener_with_other_terms_is_misdirected() {
    let origin = Origin::saying(OK);
    let badges = Badges::new();
    let keys = badges.keys("required") + "\nhosts = [\"127.0.0.1\"]";
    let (door, strict) = two_listeners(&origin, "", &keys);
    for (host, status) in [("127.0.0.1", 421), ("127.0.0.1:443", 421), ("other", 200)] {
        let mut raw = Knock::at(&door).raw().await.unwrap();
        let request = format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(raw.ask(request).await.status, status, "{host}");
    }
    assert_eq!(Two::to(&door).await.get("/v2/").await.status, 421);
    let pair = badges.issue("runner");
    assert!(answered(&s_client(strict, &door.ca(), &show(&pair))));
}
