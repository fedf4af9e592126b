//! Early hints that files have changed.
//!
//! A [`Watch`] tells that something below a path may have changed, mostly within a tenth of a second. It decides nothing: a
//! hint may come too late, twice, for nothing, or, where the system loses it, only at the next look. Whoever gives out a
//! document compares its fingerprint all the same, so that nothing depends on whether a watch runs.
//!
//! # Where hints come from
//!
//! A [`Source`] brings them: `Native` (with the feature `watch`) from the system, or one of the caller's own. Whatever a source
//! cannot do, the watch does itself, by looking at the stamps of all files at an interval: each path that the source refuses
//! (there is nothing yet, the system's limit of watches is reached), all paths where there is no source, where it has failed, or where
//! it has failed to start. Refused paths are offered to it again, a failed source is started again, both after
//! [`Options::retry`]; a path at which something new has appeared, at once. All paths are looked at now and then
//! ([`Options::rescan`]), because any system may lose an event. No error ends a watch; each is an event of `tracing`.

#[cfg(feature = "watch")]
mod native;
mod options;
mod source;

mod keeper;
mod place;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use self::keeper::Keeper;
#[cfg(feature = "watch")]
pub use self::native::Native;
pub use self::options::Options;
use self::source::Message;
pub use self::source::{Backend, Events, Polling, Source};
use crate::fingerprint::Fingerprints;

/// How many messages of a source wait; what comes beyond makes all paths suspicious.
const MESSAGES_MAX: usize = 4_096;

/// Tells of changes below its paths until it is dropped.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::mpsc::channel;
/// use std::time::Duration;
/// use larder_system::SystemClock;
/// use larder_watch::fingerprint::Fingerprints;
/// use larder_watch::watch::{Options, Polling, Watch};
///
/// # let scratch = larder_testkit::Scratch::new("watch");
/// # let folder = scratch.utf8_path();
/// let (sender, hints) = channel();
/// let fingerprints = Fingerprints::new(Arc::new(SystemClock::new()));
/// let options = Options::default().poll(Duration::from_millis(20));
/// let watch = Watch::start(Polling, fingerprints, options, move |paths| {
///     let _ = sender.send(paths.to_vec());
/// })?;
/// watch.add([folder]);
/// assert_eq!(hints.recv()?, [folder]); // it is watched from now on
/// std::fs::write(folder.join("file"), "text")?;
/// assert_eq!(hints.recv()?, [folder]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Watch {
    shared: Arc<Shared>,
    wake: SyncSender<Message>,
}

/// What a watch and its thread share.
#[derive(Debug, Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    /// Whether events were lost because too many came.
    has_lost: AtomicBool,
    /// Which start of the source has failed while there was no room to say so, and why.
    failure: Mutex<Option<(u64, String)>>,
    has_ended: AtomicBool,
}

/// The paths that are to be watched.
#[derive(Debug, Default)]
struct Wanted {
    paths: BTreeSet<Utf8PathBuf>,
    /// Whether the thread has still to see to them.
    is_new: bool,
}

impl Shared {
    fn wanted(&self) -> std::sync::MutexGuard<'_, Wanted> {
        // a set of paths is whole whenever a panic leaves it
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_failure(&self, generation: u64, why: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some((generation, why));
    }

    fn failure(&self) -> Option<(u64, String)> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

impl Watch {
    /// Starts a thread that watches, at first nothing. It calls `on_change` with those of its paths below which something
    /// has perhaps changed, one call at a time; a call that takes long delays the next, and a panic in it ends the watch.
    /// `fingerprints` says what is left out, and how much may be looked at.
    ///
    /// A source that cannot be started is an event of `tracing`, and no error: the watch then looks for itself.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        source: impl Source + 'static,
        fingerprints: Fingerprints,
        options: Options,
        on_change: impl FnMut(&[Utf8PathBuf]) + Send + 'static,
    ) -> io::Result<Self> {
        let (wake, messages): (_, Receiver<Message>) = sync_channel(MESSAGES_MAX);
        let shared = Arc::new(Shared::default());
        let events = Events { sender: wake.clone(), shared: Arc::downgrade(&shared), generation: 0 };
        let keeper = Keeper::new(Box::new(source), events, fingerprints, options, Box::new(on_change));
        let kept = Arc::clone(&shared);
        std::thread::Builder::new().name("larder-watch".to_owned()).spawn(move || keeper.run(&kept, &messages))?;
        Ok(Self { shared, wake })
    }

    /// Watches these paths too. Each is told once when that has begun, so that whoever then compares finds what had changed
    /// before. Paths beyond
    /// [`Options::paths_max`] are left out, with an event of `tracing`.
    pub fn add<P: AsRef<Utf8Path>>(&self, paths: impl IntoIterator<Item = P>) {
        let mut wanted = self.shared.wanted();
        for path in paths {
            wanted.is_new |= wanted.paths.insert(path.as_ref().to_owned());
        }
        drop(wanted);
        self.wake();
    }

    /// Watches these no longer.
    pub fn remove<P: AsRef<Utf8Path>>(&self, paths: impl IntoIterator<Item = P>) {
        let mut wanted = self.shared.wanted();
        for path in paths {
            wanted.is_new |= wanted.paths.remove(path.as_ref());
        }
        drop(wanted);
        self.wake();
    }

    /// Whether all paths that were added are watched by now.
    pub fn is_settled(&self) -> bool {
        !self.shared.wanted().is_new
    }

    fn wake(&self) {
        // where there is no room, the thread is awake
        let _ = self.wake.try_send(Message::Wake);
    }
}

/// No call begins after this; one that is under way ends by itself.
impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Release);
        self.wake();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("paths", &self.shared.wanted().paths.len()).finish_non_exhaustive()
    }
}
