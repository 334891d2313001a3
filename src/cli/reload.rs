//! `seawall reload`: as SIGHUP, but says what changed or why nothing did.

use clap::Args;
use http::{Method, StatusCode};
use serde_json::Value;

use super::ask::{self, Admin};
use super::{BAD_CONFIGURATION, FAILED, OK};

/// Make a running Seawall read its configuration again.
#[derive(Args)]
pub struct Reload {
    #[command(flatten)]
    admin: Admin,
}

impl Reload {
    pub(super) fn execute(self) -> u8 {
        let (status, answer) = match self.admin.ask(Method::POST, "/api/v1/reload") {
            Ok(told) => told,
            Err(error) => {
                eprintln!("seawall: {error:#}");
                return FAILED;
            }
        };
        if status == StatusCode::OK {
            let changes = answer
                .get("changes")
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            for change in changes.iter().filter_map(Value::as_str) {
                println!("{change}");
            }
            if changes.is_empty() {
                println!("nothing changed");
            }
            return OK;
        }
        for complaint in ask::complaints(&answer) {
            eprintln!("{complaint}");
        }
        if status == StatusCode::UNPROCESSABLE_ENTITY {
            BAD_CONFIGURATION
        } else {
            FAILED
        }
    }
}
