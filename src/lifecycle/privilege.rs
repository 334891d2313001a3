//! What the process may use of the machine.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// Raises the number of files (and with it of connections) that may be open to the most that is allowed, and
/// tells that number. Two are needed for each request on its way: one to the client, one to a node.
pub fn raise_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn afterwards_the_soft_limit_is_the_hard_one() {
        let files = raise_files().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((files, files), (soft, hard));
    }
}
