//! Configurations that name other files.

use super::*;

fn written(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("seawall.toml");
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_secret_is_read_from_its_file_without_the_line_end() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("account"), "pass word \n").unwrap();
    let account = "[cluster.account]\nuser = \"u\"\npassword_file = \"account\"\n";
    let config = load(&written(folder.path(), &format!("{LEAST}{account}"))).unwrap();
    let account = config.cluster.account.unwrap();
    assert_eq!(account.password.expose(), "pass word ");
    assert_eq!(account.password_file, Some(folder.path().join("account")));
}

#[test]
fn every_file_that_cannot_be_read_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    let text = r#"
[[listen]]
address = "127.0.0.1:0"
[[listen.certificate]]
chain = "nowhere.pem"
key = "."
[[cluster.node]]
name = "a"
url = "https://a"
ca = "no-ca.pem"
[admin]
token_file = "empty"
"#;
    let found = load(&written(folder.path(), text)).unwrap_err();
    let found: Vec<_> = found.iter().map(|p| (p.line, p.key.as_str())).collect();
    let expected = [
        (5, "listen.certificate.chain"),
        (6, "listen.certificate.key"),
        (10, "cluster.node.ca"),
        (12, "admin.token_file"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_configuration_that_is_not_there_is_a_problem() {
    let found = load(Path::new("/nowhere/seawall.toml")).unwrap_err();
    assert!(
        found[0]
            .to_string()
            .starts_with("/nowhere/seawall.toml:1: file: cannot be read")
    );
}

#[test]
fn a_configuration_that_is_no_text_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seawall.toml");
    std::fs::write(&file, b"\xff\xfe").unwrap();
    assert!(load(&file).unwrap_err()[0].what.contains("UTF-8"));
}

#[test]
fn no_secret_is_in_a_printed_configuration() {
    let config = read(&format!("{LEAST}[admin]\ntoken = \"hunter2\"\n")).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn the_address_of_the_store_is_read_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("store");
    std::fs::write(&address, "redis://:hunter2@a/3\n").unwrap();
    let file = written(
        folder.path(),
        &format!("{LEAST}[sessions]\nstore_file = \"store\"\n"),
    );
    let config = load(&file).unwrap();
    let store = config.sessions.store.as_ref().unwrap();
    assert_eq!(store.password, Some(Secret::new("hunter2")));
    let warning = config.warnings()[0].to_string();
    let place = format!("{}:5: sessions.store_file: database 3", file.display());
    assert!(warning.starts_with(&place), "{warning}");

    std::fs::write(&address, "redis://:hunter2@a/x\n").unwrap();
    let problem = load(&file).unwrap_err()[0].to_string();
    assert!(problem.contains("sessions.store_file: has"), "{problem}");
    assert!(!problem.contains("hunter2"), "{problem}");
}

#[test]
fn a_private_key_that_others_can_read_or_replace_is_warned_of() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, "").unwrap();
    std::fs::write(folder.path().join("chain.pem"), "").unwrap();
    let pair = "{ chain = \"chain.pem\", key = \"key.pem\" }";
    let text = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\ncertificate = [{pair}]\n[[cluster.node]]\nname = \"a\"\n\
         url = \"https://a\"\nclient_certificate = {pair}\n"
    );
    let file = written(folder.path(), &text);
    let config = load(&file).unwrap();
    for (mode, said) in [
        (0o644, "everybody on this machine can read"),
        (0o620, "others than its owner can replace"),
        (0o600, ""),
        (0o400, ""),
    ] {
        std::fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let warnings = config.warnings();
        let keys: Vec<_> = warnings.iter().map(|w| w.key.as_str()).collect();
        let expected: &[&str] = match said {
            "" => &[],
            _ => &[
                "listen.certificate.key",
                "cluster.node.client_certificate.key",
            ],
        };
        assert_eq!(keys, expected, "{mode:o}");
        assert!(warnings.iter().all(|w| w.what.contains(said)), "{mode:o}");
    }
}
