//! The thread that has rights and uses none: it starts those that do.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::{keep_listening, pass_on};

type Order = Box<dyn FnOnce() + Send>;

/// Starts threads and programs with rights that the thread of the caller has not. The rights end with it.
#[derive(Debug)]
pub struct Keeper(Sender<Order>);

impl Keeper {
    /// Starts the thread, and leaves to this one what the control thread needs. Threads that are started from here on have
    /// no more.
    ///
    /// # Errors
    /// What the system says.
    pub fn start() -> io::Result<Keeper> {
        let (orders, ordered) = channel::<Order>();
        let (tell, told) = channel();
        thread::Builder::new()
            .name("seawall-keeper".to_owned())
            .spawn(move || {
                let _ = tell.send(pass_on());
                ordered.iter().for_each(|order| order());
            })?;
        told.recv().map_err(io::Error::other)??;
        keep_listening()?;
        Ok(Keeper(orders))
    }

    /// Does `act`, which must not take long, on the thread with the rights.
    ///
    /// # Errors
    /// Those of `act`; the thread is lost.
    pub fn start_with<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (tell, told) = channel();
        let order = Box::new(move || drop(tell.send(act())));
        self.0.send(order).map_err(lost)?;
        told.recv().map_err(io::Error::other)?
    }
}

fn lost<E>(_: E) -> io::Error {
    io::Error::other("the thread that starts others is lost")
}
