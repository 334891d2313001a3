//! The command: what it prints where, what it writes, and how it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use super::folder;

fn import(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["import", "keepalived"])
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_configuration_goes_to_stdout_and_the_report_to_stderr() {
    let file = folder().join("keepalived_active_active.conf");
    let output = import(&[&file]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("\n[vip]\ninterface = \"ens160\"\n"));
    let report = text(&output.stderr);
    let start = format!("{}:", file.display());
    let verdicts = [": kept: ", ": translated: ", ": mended: ", ": dropped: "];
    let mut lines: Vec<_> = report.lines().collect();
    let summary = lines.pop().unwrap();
    assert!(
        summary.contains(" mended, ") && summary.ends_with("search the configuration for FILL IN"),
        "{summary}"
    );
    for line in lines {
        let rest = line.strip_prefix(&start).unwrap();
        let (number, _) = rest.split_once(": ").unwrap();
        assert!(number.parse::<u32>().is_ok(), "{line}");
        assert!(
            verdicts.iter().any(|verdict| rest.contains(verdict)),
            "{line}"
        );
    }
    assert!(!report.contains("d0cker"), "{report}");
}

#[test]
fn a_file_for_the_configuration_is_never_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("seawall.toml");
    let sample = super::folder().join("pair.conf");
    let flag = Path::new("-o");
    assert_eq!(import(&[&sample, flag, &output]).status.code(), Some(0));
    let mode = std::fs::metadata(&output).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(&output, "mine").unwrap();
    let refused = import(&[&sample, flag, &output]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--force"));
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "mine");
    let forced = import(&[&sample, flag, &output, Path::new("--force")]);
    assert_eq!(forced.status.code(), Some(0));
    assert!(
        std::fs::read_to_string(&output)
            .unwrap()
            .contains("[[listen]]")
    );
}

#[test]
fn the_file_that_is_read_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keepalived.conf");
    std::fs::write(&file, "vrrp_instance a {\n}\n").unwrap();
    let output = import(&[&file, Path::new("-o"), &file, Path::new("--force")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .starts_with("vrrp_instance")
    );
}

#[test]
fn what_cannot_be_read_is_a_bad_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keepalived.conf");
    let output = folder.path().join("seawall.toml");
    for damage in [None, Some("vrrp_instance a {\n"), Some("a\nb \"c\n")] {
        if let Some(text) = damage {
            std::fs::write(&file, text).unwrap();
        }
        let ended = import(&[&file, Path::new("-o"), &output]);
        assert_eq!(ended.status.code(), Some(78), "{damage:?}");
        let said = text(&ended.stderr);
        assert!(said.starts_with(&format!("{}:", file.display())), "{said}");
        assert!(!output.exists());
    }
}

#[test]
fn wrong_usage_is_told() {
    assert_eq!(import(&[]).status.code(), Some(2));
    assert_eq!(
        import(&[Path::new("a"), Path::new("--force")])
            .status
            .code(),
        Some(2)
    );
}
