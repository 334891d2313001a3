//! The command: what it prints, how it ends, and what `seawall run` does of it.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use super::site::{Fault, Site, text};
use crate::support::door::{Door, Plan, eventually};
use crate::support::harbor::{Dialect, HarborNode};

fn doctor(nodes: &[&HarborNode], more: &str, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("seawall.toml");
    std::fs::write(&file, text(nodes, more)).unwrap();
    std::fs::write(directory.path().join("secret"), "Harbor12345\n").unwrap();
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .current_dir(directory.path())
        .args(["doctor", "-c", "seawall.toml"])
        .args(arguments)
        .output()
        .unwrap()
}

const ADMIN: [&str; 4] = ["--user", "admin", "--password-file", "secret"];

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_ends_it_with_1_and_stands_in_the_table_and_in_json() {
    let site = Site::start(Dialect::Harbor2, 1).await;
    let faulty = site.node("harbor-2", &[Fault::HttpSecret]).await;
    let nodes = [&site.nodes[0], &faulty];
    let output = doctor(&nodes, "", &ADMIN);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("error: http-secret-differs") && told.contains("http.secret"),
        "{told}"
    );

    let output = doctor(&nodes, "", &[&ADMIN[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "http-secret-differs");
    assert_eq!(finding["severity"], "error");
    assert_eq!(
        finding["nodes"],
        serde_json::json!(["harbor-1", "harbor-2"])
    );
    for key in ["what", "symptom", "fix"] {
        assert!(
            finding[key].as_str().is_some_and(|text| !text.is_empty()),
            "{finding}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_cluster_ends_it_with_0_and_the_account_of_the_file_is_used() {
    let site = Site::start(Dialect::Harbor2, 2).await;
    let nodes: Vec<_> = site.nodes.iter().collect();
    let output = doctor(&nodes, "", &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("left out: without an account"), "{told}");
    assert!(
        !site.nodes[0]
            .log()
            .entries()
            .iter()
            .any(|one| one.method != "GET")
    );

    let account = "account = { user = \"admin\", password_file = \"secret\" }";
    let output = doctor(&nodes, account, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        !told.contains("left out") && told.ends_with("nothing wrong was found\n"),
        "{told}"
    );
    assert!(
        site.nodes[0]
            .log()
            .entries()
            .iter()
            .any(|one| one.method == "POST")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_ends_it_with_2_and_a_bad_configuration_with_78() {
    let output = doctor(&[], "", &["--user", "admin"]);
    assert_eq!(output.status.code(), Some(2));
    let site = Site::start(Dialect::Harbor2, 1).await;
    let nodes = [&site.nodes[0]];
    let missing = ["--user", "admin", "--password-file", "missing"];
    assert_eq!(doctor(&nodes, "", &missing).status.code(), Some(2));
    assert_eq!(
        doctor(&nodes, "", &["--project", "NOT/A/PROJECT"])
            .status
            .code(),
        Some(2)
    );
    let output = doctor(&[], "", &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("seawall.toml:")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn run_warns_of_what_anybody_can_see_after_the_start_and_after_a_reload() {
    let site = Site::start(Dialect::Harbor2, 1).await;
    let faulty = site.node("harbor-2", &[Fault::TokenKey]).await;
    let mut plan = Plan::fronting([site.nodes[0].url(), faulty.url()]);
    plan.more = "[health]\ninterval = \"100ms\"\ntimeout = \"1s\"\n".to_owned();
    let door = Door::start(&plan);
    let warned = || {
        let log = door.log();
        log.iter()
            .filter(|line| line.contains("token-key-differs"))
            .count()
    };
    eventually("a warning", Duration::from_secs(20), || warned() == 1);
    let line = door
        .log()
        .into_iter()
        .find(|line| line.contains("token-key-differs"))
        .unwrap();
    assert!(
        line.contains("private_key.pem") && line.contains("harbor-1,harbor-2"),
        "{line}"
    );
    let heard = [&site.nodes[0], &faulty].map(|node| node.log().entries());
    assert!(heard.iter().flatten().all(|one| one.method == "GET"));

    door.ask("POST", "/api/v1/reload");
    eventually("another warning", Duration::from_secs(20), || warned() == 2);
}
