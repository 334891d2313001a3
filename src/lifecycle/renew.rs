//! The next process of this program.

use std::ffi::OsString;
use std::process::Command;
use std::{env, io, thread};

use super::privilege;

/// The argument with which the next process takes over from this one.
pub const TAKE_OVER: &str = "--take-over";

/// Starts the program that is installed now where this one was, with the same arguments, to take over. Nobody waits for it:
/// if it ends before this process does, that is said in the log.
///
/// # Errors
/// What the system says.
pub fn start() -> io::Result<()> {
    let mut arguments = env::args_os();
    let program = arguments
        .next()
        .unwrap_or_else(|| OsString::from("seawall"));
    let mut arguments: Vec<OsString> = arguments.collect();
    if !arguments.iter().any(|argument| argument == TAKE_OVER) {
        arguments.push(TAKE_OVER.into());
    }
    let mut child = Command::new(&program)
        .args(arguments)
        // Both are about this process: the next one is watched, too, and gets its sockets from here.
        .env_remove("WATCHDOG_PID")
        .env_remove("LISTEN_PID")
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
    tracing::info!(process = child.id(), "started the process that takes over");
    thread::Builder::new()
        .name("successor".to_owned())
        .spawn(move || {
            let _ = privilege::lay_down();
            match child.wait() {
                Ok(status) => {
                    tracing::error!(%status, "the process that was to take over has ended")
                }
                Err(error) => tracing::error!(%error, "the process that was to take over is lost"),
            }
        })?;
    Ok(())
}
