//! `seawall import`: configurations of other front ends.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{BAD_CONFIGURATION, FAILED, OK, WRONG_USAGE};
use crate::config::keepalived::{self, Verdict};

/// Make a configuration from that of another front end.
#[derive(Args)]
pub struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Subcommand)]
enum From {
    /// From a keepalived.conf; tells on stderr what became of each line
    Keepalived(Keepalived),
}

#[derive(Args)]
struct Keepalived {
    /// The keepalived.conf
    file: PathBuf,
    /// Where the configuration goes [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace what is there
    #[arg(long, requires = "output")]
    force: bool,
    /// Which of the lines with @ count, as for keepalived; without it, none
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
}

impl Import {
    pub(super) fn execute(self) -> u8 {
        match self.from {
            From::Keepalived(arguments) => arguments.execute(),
        }
    }
}

impl Keepalived {
    fn execute(self) -> u8 {
        if let Some(output) = self.output.as_deref()
            && let Some(why) = self.refusal(output)
        {
            eprintln!("seawall: {}: {why}", output.display());
            return WRONG_USAGE;
        }
        let import = match keepalived::import(&self.file, self.config_id.as_deref()) {
            Ok(import) => import,
            Err(problem) => {
                eprintln!("{problem}");
                return BAD_CONFIGURATION;
            }
        };
        for remark in &import.report {
            eprintln!("{remark}");
        }
        eprintln!("{}: {}", self.file.display(), summary(&import));
        let (place, written) = match &self.output {
            None => ("stdout".into(), write_to_stdout(&import.text)),
            Some(output) => {
                let written = self.write_to(output, &import.text);
                (output.display().to_string(), written)
            }
        };
        match written {
            Ok(()) => OK,
            Err(error) => {
                eprintln!("seawall: {place}: {error}");
                FAILED
            }
        }
    }

    fn refusal(&self, output: &Path) -> Option<&'static str> {
        let same = |a: &Path, b: &Path| a.canonicalize().ok() == b.canonicalize().ok();
        if !output.try_exists().unwrap_or(true) {
            None
        } else if same(output, &self.file) {
            Some("is the file to read; write to another one")
        } else if self.force {
            None
        } else {
            Some("is there already; name another file, or add --force to replace it")
        }
    }

    /// It may hold a password, so nobody else may read it.
    fn write_to(&self, output: &Path, text: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        if self.force {
            options.create(true).truncate(true);
        } else {
            options.create_new(true);
        }
        options.open(output)?.write_all(text.as_bytes())
    }
}

fn write_to_stdout(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn summary(import: &keepalived::Import) -> String {
    let count = |verdict: Verdict| format!("{} {}", import.count(verdict), verdict.name());
    let counts = [
        Verdict::Kept,
        Verdict::Translated,
        Verdict::Mended,
        Verdict::Dropped,
    ]
    .map(count);
    let open = match import.open {
        0 => "nothing is left to fill in".to_owned(),
        n => format!("lines to fill in: {n}; search the configuration for FILL IN"),
    };
    format!("{}; {open}", counts.join(", "))
}
