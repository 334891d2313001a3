use proptest::prelude::*;

use super::*;

#[test]
fn braces_may_stand_in_a_line_of_their_own() {
    let import = import_of("vrrp_instance VI\n\n{ # here\n  priority 7\n}\n");
    assert!(import.has("priority = 7"));
    assert_eq!(import.on("priority").line, 4);
}

#[test]
fn a_block_may_stand_in_one_line() {
    let import = import_of("vrrp_instance VI { virtual_ipaddress { 10.0.0.7 } }");
    assert!(import.has("addresses = [\"10.0.0.7/32\"]"));
    assert_eq!(import.report.len(), 3);
}

#[test]
fn a_line_may_go_on_in_the_next() {
    let import = import_of("vrrp_instance VI {\npriority \\\n 7\nadvert_int 2\n}");
    assert!(import.has("priority = 7"));
    assert_eq!(import.on("advert_int").line, 4);
}

#[test]
fn braces_that_do_not_match_are_problems_with_a_line() {
    assert_eq!(
        problem_of("global_defs {\n}\n}\n"),
        "k.conf:3: }: closes a block that was never opened; remove it, or open the block"
    );
    assert_eq!(
        problem_of("\nvrrp_instance VI {\n  priority 1\n"),
        "k.conf:2: vrrp_instance: opens a block that never ends; close it with a `}`"
    );
    let nameless = problem_of("global_defs {\n}\n{\n}");
    assert!(nameless.starts_with("k.conf:3: {: "), "{nameless}");
}

#[test]
fn a_quote_that_does_not_end_is_a_problem_with_a_line() {
    let problem = problem_of("\nvrrp_script a {\n script \"/bin/true\n}");
    assert!(problem.starts_with("k.conf:3: script: "), "{problem}");
}

#[test]
fn blocks_without_end_do_not_fill_the_stack() {
    let deep = problem_of(&"a {\n".repeat(100_000));
    assert!(deep.starts_with("k.conf:17: {: "), "{deep}");
}

#[test]
fn a_parameter_in_itself_is_a_problem_with_a_line() {
    let problem = problem_of("$A=$A\nrouter_id $A\n");
    assert!(problem.starts_with("k.conf:2: $: "), "{problem}");
    let grows = "$A=${A}${A}x\nrouter_id ${A}";
    assert!(problem_of(grows).starts_with("k.conf:2: "));
    let lines = problem_of("$A= \\\na \\\n$A\n$A\n");
    assert!(lines.starts_with("k.conf:4: "), "{lines}");
}

#[test]
fn a_parameter_of_many_lines_does_not_fill_the_memory() {
    let many = "a \\\n".repeat(10_000);
    let text = format!("$A= \\\n{many}\n{}", "$A\n".repeat(10_000));
    let problem = problem_of(&text);
    assert!(
        problem.contains(": $: ") || problem.contains("lines"),
        "{problem}"
    );
}

#[test]
fn sequences_are_told_and_left_out() {
    let import = import_of("vrrp_instance VI {\n~SEQ(N, 1, 3) virtual_ipaddress\n}");
    assert_eq!(import.on("~").verdict, Verdict::Dropped);
}

#[test]
fn lines_of_one_host_count_there_only() {
    let text = "vrrp_instance VI {\n@one priority 7\n@^one priority 8\n}";
    let on = |id| import_text(text, Path::new("k.conf"), id).unwrap();
    assert!(on(Some("one")).has("priority = 7"));
    assert!(on(Some("two")).has("priority = 8"));
    let nowhere = on(None);
    assert!(nowhere.has("priority = 100"));
    assert!(nowhere.on("@one").why.contains("--config-id"));
}

#[test]
fn unknown_words_are_told_with_all_that_is_inside() {
    let import = import_of("global_defs {\n zzzzzz a {\n  b\n }\n}");
    assert_eq!(import.on("zzzzzz").verdict, Verdict::Mended);
    assert_eq!(import.on("b").verdict, Verdict::Dropped);
    // A block where there is none to be.
    let import = instance("priority 7 {\n zzz\n}");
    assert_eq!(import.on("zzz").verdict, Verdict::Mended);
}

#[test]
fn servers_in_comments_are_told() {
    let text = "# virtual_server is good\n! virtual_server 10.0.0.1 443 {\n# }\n";
    let import = import_of(text);
    assert_eq!(import.report.len(), 1);
    assert_eq!(import.on("#virtual_server").line, 2);
    assert!(import.text.contains("Port 443 was commented out"));
}

#[test]
fn a_remark_never_shows_a_secret_or_a_control_character() {
    let import =
        instance("authentication {\nauth_type PASS\nauth_pass \"s\\e[31mc\"\n}\nx\u{1b}[31m 1");
    let report = format!("{:?}", import.report);
    assert!(!report.contains("31mc"), "{report}");
    let shown: String = import.report.iter().map(ToString::to_string).collect();
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

/// A directive, or a block with directives inside, and how many directives that is.
fn blocks() -> impl Strategy<Value = (String, usize)> {
    let words = [
        "global_defs",
        "router_id",
        "vrrp_instance",
        "VI_1",
        "priority",
        "10",
        "state",
        "MASTER",
        "virtual_ipaddress",
        "10.0.0.1/24",
        "dev",
        "eth0",
        "virtual_server",
        "443",
        "real_server",
        "weight",
        "MISC_CHECK",
        "misc_path",
        "\"a {b} # c\"",
        "'d e'",
        "vrrp_sync_group",
        "group",
        "auth_pass",
        "advert_int",
        "0.5",
        "unicast_peer",
        "fe80::1",
        "url",
        "lb_algo",
        "rr",
        "fwmark",
        "delay_loop",
        "3",
        "track_interface",
        "track_script",
        "vrrp_script",
        "zzz",
    ];
    let line = prop::collection::vec(prop::sample::select(words.to_vec()), 1..5);
    let line = line.prop_map(|words| words.join(" ")).boxed();
    let leaf = line.clone().prop_map(|line| (format!("{line}\n"), 1));
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let bodies = prop::collection::vec(inner, 0..6);
        let brace = prop::sample::select(vec![" {\n", "\n{ # x\n", " {", "\n\n  {\n"]);
        (line.clone(), brace, bodies).prop_map(|(line, brace, bodies)| {
            let count = bodies.iter().map(|(_, count)| count).sum::<usize>();
            let body: String = bodies.into_iter().map(|(text, _)| text).collect();
            (format!("{line}{brace}{body}}}\n"), count + 1)
        })
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_has_a_problem_with_a_line(text in "(?s).{0,400}") {
        if let Err(problem) = import_text(&text, Path::new("k.conf"), Some("a")) {
            prop_assert!(problem.line > 0);
        }
    }

    #[test]
    fn any_words_of_the_grammar_are_read_or_have_a_problem_with_a_line(
        text in "([{}\"'\\\\#!$@~\n =]|\\$A|\\$\\{A\\}|include k|virtual_server 1.1.1.1 80|vrrp_instance a|group|a|[a-z_]{1,12}|[0-9.:/]{1,9}| ){0,60}"
    ) {
        if let Err(problem) = import_text(&text, Path::new("/proc/k.conf"), Some("a")) {
            prop_assert!(problem.line > 0);
        }
    }

    #[test]
    fn what_is_well_formed_is_read_and_each_directive_is_told_once(
        parts in prop::collection::vec(blocks(), 0..8)
    ) {
        let text: String = parts.iter().map(|(text, _)| text.as_str()).collect();
        let count: usize = parts.iter().map(|(_, count)| count).sum();
        let import = import_text(&text, Path::new("k.conf"), None);
        let import = import.map_err(|problem| TestCaseError::fail(problem.to_string()))?;
        prop_assert_eq!(import.report.len(), count);
        let lines: Vec<_> = import.report.iter().map(|remark| remark.line).collect();
        prop_assert!(lines.is_sorted());
        prop_assert!(import.report.iter().all(|remark| !remark.why.is_empty()));
        prop_assert!(toml::de::DeTable::parse(&import.text).is_ok(), "{}", import.text);
    }
}
