//! Sockets that systemd opens before Seawall runs.

use std::process::Command;

use nix::sys::signal::Signal;

use super::END;
use crate::support::clients::raw::{Protocol, Raw};
use crate::support::cluster::Cluster;
use crate::support::door::{Door, Process, eventually};
use crate::support::harbor::Dialect;

/// Ends the door, and starts it again by the launcher, which opens its sockets and lets it run with the first client.
fn activated(door: &mut Door) -> Process {
    door.signal(Signal::SIGTERM);
    assert_eq!(door.wait(END).code(), Some(0));
    Process::from(
        Command::new("systemd-socket-activate")
            .args(["--listen", &door.address.to_string()])
            .args(["--listen", &door.admin.to_string()])
            .arg(env!("CARGO_BIN_EXE_seawall"))
            .args(["run", "-c"])
            .arg(door.file()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_before_the_process_is_served() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let mut process = activated(&mut cluster.door);
    process.says("Listening on");
    assert!(!process.said("\"listening\""));
    let mut client = Raw::connect(&cluster.door, Protocol::Http2).await;
    process.says("\"listening\"");
    client.push("library/app", vec![1; 1000].into()).await;
    assert_eq!(cluster.door.ask("GET", "/readyz").0, 200);
    assert!(!process.said("does not name"), "{:#?}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_takes_over_what_systemd_opened() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    let mut process = activated(&mut cluster.door);
    process.says("Listening on");
    drop(Raw::connect(&cluster.door, Protocol::Http1).await);
    process.says("\"listening\"");
    cluster.door.take_over();
    assert_eq!(process.wait(END).code(), Some(0));
    let mut client = Raw::connect(&cluster.door, Protocol::Http2).await;
    client.push("library/app", vec![1; 1000].into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_the_configuration_does_not_name_is_closed_and_that_is_said() {
    let mut cluster = Cluster::start(Dialect::Harbor2, 1).await;
    cluster.door.signal(Signal::SIGTERM);
    assert_eq!(cluster.door.wait(END).code(), Some(0));
    let stray = crate::support::ports::free();
    let mut process = Process::from(
        Command::new("systemd-socket-activate")
            .args(["--listen", &stray.to_string()])
            .arg(env!("CARGO_BIN_EXE_seawall"))
            .args(["run", "-c"])
            .arg(cluster.door.file()),
    );
    process.says("Listening on");
    let _client = std::net::TcpStream::connect(stray).unwrap();
    process.says("\"listening\"");
    assert!(process.said("does not name") && process.said(&stray.to_string()));
    eventually("it is closed", END, || {
        std::net::TcpStream::connect(stray).is_err()
    });
    let mut client = Raw::connect(&cluster.door, Protocol::Http1).await;
    client.push("library/app", vec![1; 1000].into()).await;
}
