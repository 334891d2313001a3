//! What a person sees and does.

use std::process::Command;

use super::*;

/// `seawall journal` with these arguments: exit code and standard output.
fn command(door: &Door, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .arg("journal")
        .args(arguments)
        .args(["--admin", &format!("http://{}", door.admin)])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_account_a_person_is_told_what_to_run() {
    let mut apart = two(Dialect::Harbor2, QUICK).await;
    let client = pusher(apart.door.as_ref().unwrap());
    push(&client, "library/app", "1", "one").await.unwrap();
    let writer = home(&apart, "library/app", "1");
    let peer = 1 - writer;
    away(&apart, peer).await;
    let said = |door: &Door, what: &str| {
        let lines = door.log();
        lines.iter().filter(|line| line.contains(what)).count()
    };
    let told = |door: &Door| said(door, "there is no account to bring it");
    let door = apart.door.as_ref().unwrap();
    eventually("the journal notices", SOON, || {
        said(door, "the journal waits for a storage that is away") > 0
    });
    // What was pushed before the journal first looked at the peer is not known to be there either.
    let before = told(door);
    push(&client, "library/app", "2", "two").await.unwrap();
    apart.nodes[peer].revive().await;
    let door = apart.door.as_ref().unwrap();
    // What was pushed before may be stuck earlier.
    eventually("it is stuck", SOON, || {
        journal(door)
            .iter()
            .any(|entry| entry["state"] == "stuck" && entry["reference"] == "2")
    });
    let (code, said) = command(door, &["list"]);
    assert_eq!(code, Some(0));
    let name = format!("harbor-{}", writer + 1);
    for word in [
        "library/app:2",
        "stuck",
        &name,
        "filters name `library/app` and tag `2`",
        "seawall journal forget",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    eventually("the log has it", SOON, || told(door) > before);
    assert_eq!(told(door), before + 1);
    assert_eq!(apart.nodes[peer].has("library/app", "2"), None);
    let (code, said) = command(door, &["forget", "--all"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("forgotten"), "{said}");
    let (_, said) = command(door, &[]);
    assert_eq!(
        said,
        "nothing is missing anywhere, as far as this door knows\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_not_there_cannot_be_run_or_forgotten() {
    let apart = two(Dialect::Harbor2, QUICK).await;
    let door = apart.door.as_ref().unwrap();
    assert_eq!(command(door, &["forget", "nothing"]).0, Some(1));
    assert_eq!(command(door, &["run", "nothing"]).0, Some(1));
    assert_eq!(command(door, &["forget"]).0, Some(2));
    assert_eq!(command(door, &["run"]).0, Some(0));
}
