//! Files that include others.

use std::path::Path;

use seawall::config::keepalived::{self, Verdict};

/// Writes files into a folder that goes with the test.
fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn import(folder: &Path) -> Result<keepalived::Import, String> {
    let import = keepalived::import(&folder.join("k.conf"), None);
    import.map_err(|problem| {
        problem
            .to_string()
            .replace(&folder.display().to_string(), "")
    })
}

#[test]
fn patterns_begin_at_the_file_that_includes() {
    let folder = files(&[
        ("k.conf", "vrrp_instance a {\ninclude sub/*.conf\n}"),
        ("sub/1.conf", "priority 7\ninclude deeper"),
        ("sub/2.conf", "nopreempt"),
        ("sub/deeper", "virtual_router_id 9"),
        ("deeper", "virtual_router_id 10"),
    ]);
    let import = import(folder.path()).unwrap();
    for line in ["priority = 7", "router_id = 9", "preempt = false"] {
        assert!(import.text.contains(line), "{line}: {}", import.text);
    }
    let deeper = import
        .report
        .iter()
        .find(|r| r.directive == "virtual_router_id")
        .unwrap();
    assert!(deeper.file.ends_with("sub/deeper"));
    assert_eq!(deeper.line, 1);
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let folder = files(&[(
        "k.conf",
        "include gone.conf\nincludea gone/*.conf\ninclude\n",
    )]);
    let import = import(folder.path()).unwrap();
    let verdicts: Vec<_> = import.report.iter().map(|remark| remark.verdict).collect();
    assert_eq!(
        verdicts,
        [Verdict::Dropped, Verdict::Dropped, Verdict::Mended]
    );
    assert!(import.report[0].why.contains("`gone.conf`"));
}

#[test]
fn a_file_in_itself_is_a_problem_with_a_line() {
    let folder = files(&[
        ("k.conf", "\ninclude a"),
        ("a", "include b"),
        ("b", "\n\ninclude a"),
    ]);
    let problem = import(folder.path()).unwrap_err();
    assert_eq!(
        problem,
        "/b:3: file: `/a` includes itself; remove the include that leads back"
    );
}

#[test]
fn too_many_files_are_a_problem_with_a_line() {
    let many: Vec<_> = (0..40)
        .map(|n| (format!("f{n}"), format!("include f{}", n + 1)))
        .collect();
    let many: Vec<_> = many
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let folder = files(&[&[("k.conf", "include f0")], &many[..]].concat());
    let problem = import(folder.path()).unwrap_err();
    assert!(
        problem.contains(":1: file: ") && problem.contains("too deep"),
        "{problem}"
    );
}

#[test]
fn a_folder_full_of_text_does_not_fill_the_memory() {
    let text = "# router_id\n".repeat(100_000);
    let folder = files(&[
        ("k.conf", "include big*"),
        ("big1", &text),
        ("big2", &text),
        ("big3", &text),
        ("big4", &text),
    ]);
    let problem = import(folder.path()).unwrap_err();
    assert!(
        problem.contains("/big4:1: file: is longer than 4 MiB"),
        "{problem}"
    );
}
