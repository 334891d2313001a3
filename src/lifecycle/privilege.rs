//! What the process may do on the machine, and which of its threads may do it.
//!
//! Capabilities belong to threads. Whoever starts Seawall, root or a service manager, gives it three: to listen below port
//! 1024, and for the virtual addresses. The first stays with the control thread, for listeners that a reload brings. The
//! other two are with a thread that does nothing but start those that need them. Everybody else has none.

mod keeper;

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Uid, User, initgroups, setresgid, setresuid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
};

pub use keeper::Keeper;

/// What the control thread needs for listeners to come.
const LISTEN: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;
/// What virtual addresses need.
const ADDRESSES: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);
/// Raises the number of files (and with it of connections) that may be open to the most that is allowed, and
/// tells that number. Two are needed for each request on its way: one to the client, one to a node.
pub fn raise_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Whether this thread has all the rights of root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Becomes `user` for good and keeps of root's rights only what Seawall needs. For the first thread, before any other.
///
/// # Errors
/// What the system says.
pub fn become_user(user: &User) -> io::Result<()> {
    let name = std::ffi::CString::new(user.name.as_str())?;
    let kept = capabilities(None)?.permitted & LISTEN.union(ADDRESSES);
    set_keep_capabilities(true)?;
    initgroups(&name, user.gid)?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    set_keep_capabilities(false)?;
    hold(kept & LISTEN, kept)
}

/// Leaves no memory behind in a core dump or to a debugger of the same user, and lets no program that is started from here
/// gain rights. A change of user undoes the first, so this comes after it.
///
/// # Errors
/// What the system says.
pub fn seal() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(set_no_new_privs(true)?)
}

/// The rights of the control thread from now on: to listen.
///
/// # Errors
/// What the system says.
pub fn keep_listening() -> io::Result<()> {
    keep(LISTEN)
}

/// The rights of a thread for virtual addresses from now on.
///
/// # Errors
/// What the system says.
pub fn keep_addresses() -> io::Result<()> {
    keep(ADDRESSES)
}

/// This thread needs no rights from now on.
///
/// # Errors
/// What the system says.
pub fn lay_down() -> io::Result<()> {
    keep(CapabilitySet::empty())
}

/// Keeps those of `wanted` that this thread has. Root without a `user` stays what it is.
fn keep(wanted: CapabilitySet) -> io::Result<()> {
    if is_root() {
        return Ok(());
    }
    let kept = capabilities(None)?.permitted & wanted;
    clear_ambient_capability_set()?;
    hold(kept, kept)
}

fn hold(effective: CapabilitySet, permitted: CapabilitySet) -> io::Result<()> {
    let sets = CapabilitySets {
        effective,
        permitted,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(|error| {
        let what = format!("the rights of a thread cannot be lowered (capset): {error}");
        io::Error::new(error.kind(), what)
    })
}

/// Lets programs that this thread starts have what it has, without using any of it itself.
fn pass_on() -> io::Result<()> {
    if is_root() {
        return Ok(());
    }
    let kept = capabilities(None)?.permitted & LISTEN.union(ADDRESSES);
    let sets = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: kept,
        inheritable: kept,
    };
    set_capabilities(None, sets)?;
    for one in kept.iter() {
        configure_capability_in_ambient_set(one, true)?;
    }
    Ok(())
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
