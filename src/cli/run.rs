//! `seawall run`: serve in the foreground.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::user::become_user;
use super::{BAD_CONFIGURATION, FAILED, OK};
use crate::app::{self, Failure};
use crate::config::{AdminAddress, At, Config, Problem};
use crate::lifecycle::privilege;

/// Serve in the foreground.
#[derive(Args)]
pub struct Run {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", required_unless_present = "node", conflicts_with_all = ["node", "listen", "public_url", "admin", "state_dir"])]
    config: Option<PathBuf>,
    /// A Harbor node, as http://ADDRESS or https://ADDRESS; once per node
    #[arg(long, value_name = "URL")]
    node: Vec<String>,
    /// Where to listen with TLS [default: 0.0.0.0:443]
    #[arg(long, value_name = "ADDR", requires = "node")]
    listen: Option<SocketAddr>,
    /// The address that clients use, as https://registry.example.com
    #[arg(long, value_name = "URL", requires = "node")]
    public_url: Option<String>,
    /// Where the admin listener is [default: 127.0.0.1:9180]
    #[arg(long, value_name = "ADDR", requires = "node")]
    admin: Option<SocketAddr>,
    /// Where the self-signed certificate is kept [default: /var/lib/seawall]
    #[arg(long, value_name = "DIR", requires = "node")]
    state_dir: Option<PathBuf>,
    /// Take over from the Seawall that runs with the same state_dir, which then finishes what it has begun
    #[arg(long)]
    take_over: bool,
}

impl Run {
    fn without_file(&self) -> Result<Config, Vec<Problem>> {
        let mut config = Config::from_nodes(
            &self.node,
            self.listen,
            self.public_url.clone(),
            self.state_dir.clone(),
        )?;
        if let Some(address) = self.admin {
            if !address.ip().is_loopback() {
                let what = format!("{address} is not on loopback");
                let fix = "use a loopback address, or a configuration file with [admin] token_file";
                return Err(vec![config.problem(At::default(), "--admin", what, fix)]);
            }
            config.admin.address = AdminAddress::Tcp(address);
        }
        Ok(config)
    }

    pub(super) fn execute(self) -> u8 {
        let config = match &self.config {
            Some(file) => become_user(file),
            None => self.without_file(),
        };
        let ended = config.map_err(Failure::from).and_then(|config| {
            privilege::seal()?;
            app::run(config, self.config, self.take_over)
        });
        match ended {
            Ok(()) => OK,
            Err(Failure::Configuration(problems)) => {
                for problem in problems {
                    eprintln!("{problem}");
                }
                BAD_CONFIGURATION
            }
            Err(Failure::Broken(error)) => {
                eprintln!("seawall: {error:#}");
                FAILED
            }
            Err(Failure::CutShort) => FAILED,
        }
    }
}
