//! `seawall check`: validate without serving.

use std::path::PathBuf;

use clap::Args;

use super::user::become_user;
use super::{BAD_CONFIGURATION, OK};
use crate::app;

/// Validate a configuration without serving it.
#[derive(Args)]
pub struct Check {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

impl Check {
    pub(super) fn execute(self) -> u8 {
        let config = become_user(&self.config).inspect(|config| {
            for warning in config.warnings() {
                eprintln!("warning: {warning}");
            }
        });
        match config.and_then(app::check) {
            Ok(()) => {
                println!("{}: good", self.config.display());
                OK
            }
            // They are what was asked for, so that they can be piped on.
            Err(problems) => {
                for problem in problems {
                    println!("{problem}");
                }
                BAD_CONFIGURATION
            }
        }
    }
}
