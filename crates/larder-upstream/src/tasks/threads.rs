//! Threads for waits that may be long: a bounded number, each for one wait.

use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// A bounded number of threads that wait in the place of tasks.
///
/// A thread is made for each wait, which is cheap beside a wait for another process, and ends with it. None is ever
/// joined: none delays the end of a runtime or a process.
#[derive(Clone, Debug)]
pub struct Threads {
    permits: Arc<Semaphore>,
}

impl Threads {
    /// At most so many at a time, of at least one.
    pub fn at_most(threads: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(threads.clamp(1, Semaphore::MAX_PERMITS))) }
    }

    /// The right to one of them, as soon as there may be another one.
    ///
    /// # Errors
    /// None that can be caused: there is always a next one.
    ///
    /// # Cancel safety
    /// It may be dropped at any time; the next call is at the end of the line.
    pub async fn permit(&self) -> io::Result<Permit> {
        let held = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        Ok(Permit { _held: held })
    }
}

/// The right to one thread.
#[derive(Debug)]
#[must_use = "it keeps others from their thread"]
pub struct Permit {
    _held: OwnedSemaphorePermit,
}

impl Permit {
    /// Does `work` in a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread, or `work` has panicked.
    ///
    /// # Cancel safety
    /// When this is dropped before it has begun, the work is not done; later, it is done to its end, and what it gives is
    /// dropped.
    pub async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (sender, receiver) = oneshot::channel();
        std::thread::Builder::new().name("larder-wait".to_owned()).spawn(move || {
            let done = work();
            drop(self);
            // nobody may be there to take it: then it is dropped here
            let _ = sender.send(done);
        })?;
        receiver.await.map_err(|_| io::Error::other("the thread that waited has panicked"))
    }
}
