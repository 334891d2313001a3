//! Who the process becomes.

use nix::unistd::{Uid, User as Known};

use super::scope::Scope;
use super::{At, Config, Problem};

/// The account that a process which root started goes on as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Where it stands in the file.
    pub at: At,
    /// Its name.
    pub name: String,
}

impl User {
    pub(super) fn read(scope: &mut Scope<'_>) -> Option<User> {
        let at = scope.at_key("user");
        scope.text("user").map(|name| User { at, name })
    }
}

impl Config {
    /// The account to become: none unless there is a `user` and this process is root.
    ///
    /// # Errors
    /// The machine has no such account, or it is root itself.
    pub fn successor(&self) -> Result<Option<Known>, Vec<Problem>> {
        let Some(user) = self.user.as_ref().filter(|_| Uid::effective().is_root()) else {
            return Ok(None);
        };
        let what = match Known::from_name(&user.name) {
            Ok(Some(known)) if !known.uid.is_root() => return Ok(Some(known)),
            Ok(Some(_)) => format!("`{}` is root", user.name),
            Ok(None) => format!("this machine has no user `{}`", user.name),
            Err(error) => format!("`{}` cannot be looked up: {error}", user.name),
        };
        let fix = "make one, `useradd --system seawall`, or remove the key";
        Err(vec![self.problem(user.at, "user", what, fix)])
    }
}
