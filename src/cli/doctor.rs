//! `seawall doctor`: whether the nodes form one cluster.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::table::align;
use super::{BAD_CONFIGURATION, FAILED, OK, WRONG_USAGE};
use crate::bench::settings::parse_project;
use crate::config::{self, Secret, duration};
use crate::doctor::finding::{Report, Severity};
use crate::doctor::{self, Account, Settings};

/// Prove by experiment that the nodes form one cluster, and say what to copy from where if not.
#[derive(Args)]
pub struct Doctor {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Who pushes and logs in [default: that of [cluster.account]; without one, nothing is written]
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// A file with the password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// The project to push to, below PROJECT/seawall-doctor
    #[arg(long, default_value = "library", value_parser = parse_project)]
    project: String,
    /// How long replication is waited for, where nodes have data of their own
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    wait: Duration,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn execute(self) -> u8 {
        let config = match config::load(&self.config) {
            Ok(config) => config,
            Err(problems) => return wrong(&problems),
        };
        let account = match self.account(&config) {
            Ok(account) => account,
            Err(what) => {
                eprintln!("seawall: {what}");
                return WRONG_USAGE;
            }
        };
        let settings = Settings {
            account,
            project: self.project,
            wait: self.wait,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let examined = match runtime {
            Ok(runtime) => runtime.block_on(examine(&config, &settings)),
            Err(error) => {
                eprintln!("seawall: {error}");
                return FAILED;
            }
        };
        let report = match examined {
            Ok(Some(report)) => report,
            Ok(None) => {
                eprintln!("seawall: interrupted");
                return FAILED;
            }
            Err(problems) => return wrong(&problems),
        };
        if self.json {
            match serde_json::to_string_pretty(&report) {
                Ok(text) => println!("{text}"),
                Err(error) => {
                    eprintln!("seawall: {error}");
                    return FAILED;
                }
            }
        } else {
            print!("{}", render(&report));
        }
        if report.ok { OK } else { FAILED }
    }

    fn account(&self, config: &config::Config) -> Result<Option<Account>, String> {
        let (Some(user), Some(file)) = (&self.user, &self.password_file) else {
            return Ok(config.cluster.account.as_ref().map(|account| Account {
                user: account.user.clone(),
                password: account.password.clone(),
            }));
        };
        let password = std::fs::read_to_string(file)
            .map_err(|error| format!("--password-file: cannot read {}: {error}", file.display()))?;
        Ok(Some(Account {
            user: user.clone(),
            password: Secret::new(password.trim_end_matches(['\r', '\n'])),
        }))
    }
}

/// The first Ctrl-C takes back what was made, a second one ends it at once.
async fn examine(
    config: &config::Config,
    settings: &Settings,
) -> Result<Option<Report>, Vec<config::Problem>> {
    let first = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let second = async {
        let _ = tokio::signal::ctrl_c().await;
        let _ = tokio::signal::ctrl_c().await;
    };
    tokio::select! {
        examined = doctor::examine(config, settings, first) => examined,
        () = second => Ok(None),
    }
}

fn wrong(problems: &[config::Problem]) -> u8 {
    for problem in problems {
        eprintln!("{problem}");
    }
    BAD_CONFIGURATION
}

fn render(report: &Report) -> String {
    let mut rows = vec![["NODE", "RUNS", "VERSION", "FINDINGS"].map(str::to_owned)];
    for node in &report.nodes {
        let of_node = report
            .findings
            .iter()
            .filter(|finding| finding.nodes.contains(&node.name));
        let codes: Vec<&str> = of_node.map(|finding| finding.code.name()).collect();
        rows.push([
            node.name.clone(),
            node.dialect.unwrap_or("-").to_owned(),
            node.version.clone().unwrap_or_else(|| "-".to_owned()),
            if codes.is_empty() {
                "-".to_owned()
            } else {
                codes.join(",")
            },
        ]);
    }
    let mut text = align(&rows);
    for finding in &report.findings {
        text.push_str(&format!(
            "\n{}: {}\n  what     {}\n  symptom  {}\n  fix      {}\n",
            finding.severity.name(),
            finding.code.name(),
            finding.what,
            finding.symptom,
            finding.fix
        ));
    }
    for (title, lines) in [("note", &report.notes), ("left out", &report.left_out)] {
        if !lines.is_empty() {
            text.push('\n');
        }
        for line in lines {
            text.push_str(&format!("{title}: {line}\n"));
        }
    }
    let errors = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    let warnings = report.findings.len() - errors;
    text.push_str(&if report.ok {
        "\nnothing wrong was found\n".to_owned()
    } else {
        let count = |count: usize, what: &str| {
            format!("{count} {what}{}", if count == 1 { "" } else { "s" })
        };
        format!(
            "\n{}, {}\n",
            count(errors, "error"),
            count(warnings, "warning")
        )
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::{Code, Finding, Met};

    fn report(findings: Vec<Finding>) -> Report {
        Report {
            ok: findings.is_empty(),
            findings,
            notes: Vec::new(),
            left_out: vec!["uploads".to_owned()],
            nodes: vec![Met {
                name: "harbor-1".to_owned(),
                dialect: Some("harbor-2"),
                version: Some("v2.9.5".to_owned()),
            }],
        }
    }

    #[test]
    fn a_table_says_which_node_and_a_paragraph_what_to_do() {
        let text = render(&report(vec![Finding {
            code: Code::CsrfKeyDiffers,
            severity: Severity::Error,
            nodes: vec!["harbor-1".to_owned()],
            what: "W".to_owned(),
            symptom: "S".to_owned(),
            fix: "copy".to_owned(),
        }]));
        assert!(
            text.contains("harbor-1  harbor-2  v2.9.5   csrf-key-differs\n"),
            "{text}"
        );
        assert!(
            text.contains("\nerror: csrf-key-differs\n  what     W\n"),
            "{text}"
        );
        assert!(
            text.contains("left out: uploads\n") && text.ends_with("1 error, 0 warnings\n"),
            "{text}"
        );
    }

    #[test]
    fn a_sound_cluster_is_called_so() {
        assert!(render(&report(Vec::new())).ends_with("\nnothing wrong was found\n"));
    }
}
