//! The user that a process which root started goes on as.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use nix::unistd::{User, chown};

use crate::config::{self, Config, Problem};
use crate::lifecycle::privilege;

/// Reads the configuration, becomes its `user` if there is one and this is root, and reads it again, so that whatever that
/// user may not read is a problem now and not at the next reload.
pub(super) fn become_user(file: &Path) -> Result<Config, Vec<Problem>> {
    let config = config::load(file)?;
    let Some(user) = config.successor()? else {
        return Ok(config);
    };
    let become_it = || own(&config.state_dir, &user).and_then(|()| privilege::become_user(&user));
    become_it().map_err(|error| {
        let at = config.user.as_ref().map(|user| user.at).unwrap_or_default();
        let what = format!("root cannot become `{}`: {error}", user.name);
        vec![config.problem(at, "user", what, "start it as that user instead")]
    })?;
    config::load(file).inspect_err(|_| {
        eprintln!(
            "read as user {}, as every reload will be: give the files to it, `chgrp {} FILE; chmod 640 FILE`",
            user.name, user.name
        );
    })
}

/// Gives a new state directory to the user. One that is there is left alone.
fn own(directory: &Path, user: &User) -> io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(0o700).create(directory)?;
    Ok(chown(directory, Some(user.uid), Some(user.gid))?)
}
