//! Where hints come from.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};

use super::Shared;

/// Something that can be started to bring events.
pub trait Source: Send {
    /// Starts it. It tells what happens through `events`, from any thread.
    ///
    /// # Errors
    /// It cannot be started now; the watch looks for itself, and tries again.
    fn start(&self, events: Events) -> io::Result<Box<dyn Backend>>;
}

/// A source at work; dropped, it ends.
pub trait Backend: Send {
    /// Watches a path with all that is below it, without following links.
    ///
    /// # Errors
    /// It cannot; the watch looks at that path itself, and tries again.
    fn watch(&mut self, path: &Path) -> io::Result<()>;

    /// Watches it no longer. What is not watched any more, because it was removed, is no error.
    fn unwatch(&mut self, path: &Path);
}

/// No source: the watch looks at everything itself. It works wherever files can be looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Polling;

impl Source for Polling {
    fn start(&self, _events: Events) -> io::Result<Box<dyn Backend>> {
        Ok(Box::new(Self))
    }
}

impl Backend for Polling {
    fn watch(&mut self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn unwatch(&mut self, _path: &Path) {}
}

/// What a source tells its watch. It never blocks: where too much is told at once, everything is suspicious.
#[derive(Clone, Debug)]
pub struct Events {
    pub(super) sender: SyncSender<Message>,
    pub(super) shared: Weak<Shared>,
    /// Which start of the source it belongs to: what an earlier one still says is nothing.
    pub(super) generation: u64,
}

/// What wakes the watch's thread.
#[derive(Debug)]
pub(super) enum Message {
    Changed(Vec<PathBuf>),
    Lost,
    Failed { generation: u64, why: String },
    Wake,
}

impl Events {
    /// Something has happened at these paths, or right below them.
    pub fn changed(&self, paths: Vec<PathBuf>) {
        self.send(Message::Changed(paths));
    }

    /// Something was lost: anything may have changed.
    pub fn lost(&self) {
        self.send(Message::Lost);
    }

    /// The source brings nothing any more. It is dropped, and started again later.
    pub fn failed(&self, why: impl Into<String>) {
        self.send(Message::Failed { generation: self.generation, why: why.into() });
    }

    fn send(&self, message: Message) {
        let Err(TrySendError::Full(message)) = self.sender.try_send(message) else { return };
        let Some(shared) = self.shared.upgrade() else { return };
        if let Message::Failed { generation, why } = message {
            shared.set_failure(generation, why);
        }
        shared.has_lost.store(true, Ordering::Release);
    }
}
