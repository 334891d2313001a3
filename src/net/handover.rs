//! From one process to the next: whole messages, and with them open sockets.
//!
//! A running process waits at a [`Place`], a Unix socket that only its own user can reach; the one that takes over connects
//! to it. A socket that was handed over is the same socket in both: whoever waits in its queue is lost by neither. What is
//! said is for others to define.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{self, ControlMessage, MsgFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socket2::{Domain, SockAddr, Socket, Type};

/// The largest message, in bytes; what a Unix socket takes by default is a little more.
const LARGEST: usize = 128 << 10;
/// Who may wait for an answer at a [`Place`].
const BACKLOG: i32 = 4;

/// Where a running process waits for the one that takes over.
#[derive(Debug)]
pub struct Place(Socket);

impl Place {
    /// Waits at `path`, in a directory that is made if need be. A socket that a dead process left is replaced.
    ///
    /// # Errors
    /// What the system says; that another process waits there.
    pub fn open(path: &Path) -> io::Result<Place> {
        if let Some(directory) = path.parent() {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(directory)?;
        }
        if Peer::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another Seawall has this state_dir",
            ));
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = whole()?;
        socket.bind(&SockAddr::unix(path)?)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        Ok(Place(socket))
    }

    /// A place that another process opened.
    pub fn adopt(socket: OwnedFd) -> Place {
        Place(socket.into())
    }

    /// Waits for the next who connects. Only the user of this process and root are let in.
    ///
    /// # Errors
    /// What the system says; that it was somebody else.
    pub fn accept(&self) -> io::Result<Peer> {
        let (socket, _) = self.0.accept()?;
        let user = sockopt::socket_peercred(&socket)?.uid.as_raw();
        if user != nix::unistd::geteuid().as_raw() && user != 0 {
            let what = format!("user {user} may not take over from this process");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        Ok(Peer(socket))
    }
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The other process. All calls block, for as long as [`Peer::wait_at_most`] says.
#[derive(Debug)]
pub struct Peer(Socket);

impl Peer {
    /// Connects to the process that waits at `path`.
    ///
    /// # Errors
    /// Nobody waits there, or not for this user.
    pub fn connect(path: &Path) -> io::Result<Peer> {
        let socket = whole()?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(Peer(socket))
    }

    /// Its process.
    ///
    /// # Errors
    /// What the system says.
    pub fn pid(&self) -> io::Result<u32> {
        let pid = sockopt::socket_peercred(&self.0)?.pid.as_raw_nonzero();
        Ok(pid.get().unsigned_abs())
    }

    /// How long [`Peer::send`] and [`Peer::receive`] wait from now on.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait_at_most(&self, limit: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(limit))?;
        self.0.set_write_timeout(Some(limit))
    }

    /// Sends a message, and a socket with it. This process keeps its own.
    ///
    /// # Errors
    /// The other one is gone, or does not read.
    pub fn send(&self, message: &impl Serialize, with: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        let sockets = with.as_slice();
        if !sockets.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("no room for a socket"));
        }
        let bytes = [IoSlice::new(&bytes)];
        sendmsg(&self.0, &bytes, &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message, and the socket that came with it.
    ///
    /// # Errors
    /// The other one is gone (`UnexpectedEof`), silent (`WouldBlock`), or says what is none of the messages that are
    /// expected (`InvalidData`).
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<(T, Option<OwnedFd>)> {
        let mut bytes = vec![0; LARGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let read = recvmsg(&self.0, &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC)?;
        let socket = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        if read.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if read.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let message = bytes.get(..read.bytes).unwrap_or_default();
        Ok((serde_json::from_slice(message)?, socket))
    }

    /// Waits until the other process has ended or closed the conversation.
    pub fn is_gone(&self) {
        let _ = self.0.set_read_timeout(None);
        while self.receive::<serde_json::Value>().is_ok() {}
    }
}

/// Takes files that came by number from whoever started this process; the numbers are free afterwards. They take the way of
/// sockets from another process, at whose end everything has an owner.
///
/// # Errors
/// What the system says, such as that there is no such file.
pub fn own(numbers: &[RawFd]) -> io::Result<Vec<OwnedFd>> {
    let (here, there) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    let there = Peer(there);
    let mut files = Vec::new();
    for number in numbers {
        let rights = [ControlMessage::ScmRights(std::slice::from_ref(number))];
        let text = [IoSlice::new(b"null")];
        socket::sendmsg::<()>(here.as_raw_fd(), &text, &rights, MsgFlags::empty(), None)?;
        nix::unistd::close(*number)?;
        let ((), file) = there.receive()?;
        files.extend(file);
    }
    Ok(files)
}

/// Keeps messages whole.
fn whole() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::SEQPACKET, None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::net::listen;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (tempfile::TempDir, Place, Peer, Peer) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/take-over");
        let place = Place::open(&path).unwrap();
        let young = Peer::connect(&path).unwrap();
        let old = place.accept().unwrap();
        (directory, place, old, young)
    }

    #[test]
    fn who_waited_for_a_socket_that_was_handed_over_is_accepted_by_the_next() {
        let (_directory, _place, old, young) = pair();
        let listener = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = TcpStream::connect(address).unwrap();
        old.send(&"a listener", Some(listener.as_fd())).unwrap();
        drop(listener);
        let (name, socket) = young.receive::<String>().unwrap();
        assert_eq!(name, "a listener");
        let listener = TcpListener::from(socket.unwrap());
        let (_, client) = listener.accept().unwrap();
        assert_eq!(client, waiting.local_addr().unwrap());
    }

    #[test]
    fn a_file_that_came_by_number_gets_an_owner_and_the_number_is_free() {
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(theirs);
        let owned = own(&[number]).unwrap().remove(0);
        let mut theirs = std::os::unix::net::UnixStream::from(owned);
        ours.write_all(b"x").unwrap();
        theirs.read_exact(&mut [0]).unwrap();
    }

    #[test]
    fn messages_stay_whole_and_in_order() {
        let (_directory, _place, old, young) = pair();
        let long = "x".repeat(100_000);
        for message in ["one", &long, "three"] {
            young.send(&message, None).unwrap();
            let (heard, socket) = old.receive::<String>().unwrap();
            assert_eq!(heard, message);
            assert!(socket.is_none());
        }
    }

    #[test]
    fn the_end_of_the_other_process_is_told_from_its_silence_and_from_nonsense() {
        let (_directory, _place, old, young) = pair();
        let error = |peer: &Peer| peer.receive::<String>().unwrap_err().kind();
        young.wait_at_most(Duration::from_millis(1)).unwrap();
        assert_eq!(error(&young), io::ErrorKind::WouldBlock);
        old.send(&7, None).unwrap();
        assert_eq!(error(&young), io::ErrorKind::InvalidData);
        drop(old);
        assert_eq!(error(&young), io::ErrorKind::UnexpectedEof);
        young.is_gone();
    }

    #[test]
    fn the_other_process_is_known_by_its_number() {
        let (_directory, _place, old, young) = pair();
        assert_eq!(old.pid().unwrap(), std::process::id());
        assert_eq!(young.pid().unwrap(), std::process::id());
    }

    #[test]
    fn a_place_is_for_its_owner_only_and_for_one_process() {
        let (directory, place, ..) = pair();
        let path = directory.path().join("state/take-over");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let kind = |result: io::Result<Place>| result.unwrap_err().kind();
        assert_eq!(kind(Place::open(&path)), io::ErrorKind::AddrInUse);
        drop(place);
        Place::open(&path).unwrap();
    }
}
