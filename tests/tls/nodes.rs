//! Nodes that ask Seawall for a certificate, as Harbor's internal TLS does.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::OK;
use crate::support::certs::Authority;
use crate::support::client::get;
use crate::support::door::{Door, Plan, eventually};
use crate::support::origin::Origin;
use crate::support::ports;

const SOON: Duration = Duration::from_secs(20);

/// An nginx that lets nobody in without a certificate from `ca.pem`, and says to the origin behind it whose it saw.
struct Guard {
    process: Child,
    address: SocketAddr,
}

impl Guard {
    fn before(origin: &Origin, directory: &Path) -> Self {
        let address = ports::free();
        let file = directory.join("nginx.conf");
        let text = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr;
             events {{}}
             http {{
                 access_log off; keepalive_timeout 0;
                 client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                 uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                 server {{
                     listen {address} ssl;
                     ssl_certificate node.pem; ssl_certificate_key node-key.pem;
                     ssl_client_certificate ca.pem; ssl_verify_client on;
                     location / {{
                         proxy_pass http://{};
                         proxy_set_header X-Node-Saw $ssl_client_s_dn;
                     }}
                 }}
             }}",
            origin.address
        );
        std::fs::write(&file, text).unwrap();
        let process = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(directory)
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        eventually("nginx listens", SOON, || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Guard { process, address }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The authority of the nodes' own network, the node's certificate and ours.
fn internal(directory: &Path) -> Authority {
    let authority = Authority::new(directory);
    authority.issue(directory, "node", &["127.0.0.1"]);
    authority.issue(directory, "seawall", &[]);
    authority
}

fn door(guard: &Guard, keys: String) -> Door {
    let mut plan = Plan::fronting([guard.url()]);
    plan.keys = vec![keys];
    Door::start(&plan)
}

fn with_identity(directory: &Path) -> String {
    let at = directory.display();
    format!(
        "ca = \"{at}/ca.pem\"\nclient_certificate = {{ chain = \"{at}/seawall.pem\", key = \"{at}/seawall-key.pem\" }}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_asks_for_a_certificate_is_shown_one_and_the_next_as_the_files_change() {
    let directory = tempfile::tempdir().unwrap();
    let authority = internal(directory.path());
    let origin = Origin::saying(OK);
    let guard = Guard::before(&origin, directory.path());
    let door = door(&guard, with_identity(directory.path()));
    door.settled();
    assert_eq!(get(&door, "/v2/").await.status, 200);
    assert_eq!(origin.last().all("x-node-saw"), ["CN=seawall"]);
    // A key that does not fit is not taken over, and the node stays up.
    authority.issue(directory.path(), "renewed", &[]);
    let at = |name: &str| directory.path().join(name);
    std::fs::copy(at("renewed.pem"), at("seawall.pem")).unwrap();
    eventually("the fault is told", SOON, || {
        door.said("certificate files changed but cannot be used")
    });
    assert_eq!(get(&door, "/v2/").await.status, 200);
    assert_eq!(origin.last().all("x-node-saw"), ["CN=seawall"]);
    std::fs::copy(at("renewed-key.pem"), at("seawall-key.pem")).unwrap();
    eventually("the new one is in service", SOON, || {
        door.said("the next connection to harbor-1 sees the new ones")
    });
    assert_eq!(get(&door, "/v2/").await.status, 200);
    assert_eq!(origin.last().all("x-node-saw"), ["CN=renewed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_asks_for_a_certificate_lets_nothing_through_without_one() {
    let directory = tempfile::tempdir().unwrap();
    internal(directory.path());
    let origin = Origin::saying(OK);
    let guard = Guard::before(&origin, directory.path());
    let ca = format!("ca = \"{}/ca.pem\"", directory.path().display());
    let door = door(&guard, ca);
    let status = get(&door, "/v2/").await.status;
    assert!(matches!(status, 400 | 503), "{status}");
    assert_ne!(door.node("harbor-1")["state"], "up");
    assert!(origin.heard().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_certificate_is_anothers_gets_no_request() {
    let directory = tempfile::tempdir().unwrap();
    let authority = internal(directory.path());
    let origin = Origin::saying(OK);
    authority.issue(directory.path(), "node", &["harbor.example"]);
    let guard = Guard::before(&origin, directory.path());
    let door = door(&guard, with_identity(directory.path()));
    eventually("it is found down", SOON, || {
        door.node("harbor-1")["state"] == "down"
    });
    assert_eq!(get(&door, "/v2/").await.status, 503);
    assert!(origin.heard().is_empty());
}
