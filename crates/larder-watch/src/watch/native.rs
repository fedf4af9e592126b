//! Changes as the system reports them: inotify, `FSEvents`, kqueue or `ReadDirectoryChangesW`, through `notify`.

use std::io;
use std::path::Path;

use notify::event::{AccessKind, AccessMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::source::{Backend, Events, Source};

/// The system's own events.
///
/// # Platform
/// On Linux each folder takes one of `fs.inotify.max_user_watches`. Network file systems report what this machine does, and
/// nothing that others do; those changes are found at the next look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Source for Native {
    fn start(&self, events: Events) -> io::Result<Box<dyn Backend>> {
        let config = Config::default().with_follow_symlinks(false);
        let watcher = RecommendedWatcher::new(move |event| pass_on(event, &events), config).map_err(to_io)?;
        Ok(Box::new(Started(watcher)))
    }
}

fn pass_on(event: notify::Result<Event>, events: &Events) {
    match event {
        Ok(event) if event.need_rescan() => events.lost(),
        // looking at files is no change, and whoever hears of one looks at files
        Ok(Event { kind: EventKind::Access(kind), .. }) if kind != AccessKind::Close(AccessMode::Write) => {}
        Ok(event) => events.changed(event.paths),
        Err(error) if matches!(error.kind, ErrorKind::Io(_) | ErrorKind::MaxFilesWatch) || error.paths.is_empty() => {
            // something below cannot be watched, or not at all: nothing that it says by being silent counts any more
            events.failed(error.to_string());
        }
        Err(error) => {
            tracing::debug!(%error, "an event of files could not be told");
            events.changed(error.paths);
        }
    }
}

struct Started(RecommendedWatcher);

impl Backend for Started {
    fn watch(&mut self, path: &Path) -> io::Result<()> {
        if path.symlink_metadata()?.is_symlink() {
            // the system would watch what it leads to
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a link is not watched"));
        }
        self.0.watch(path, RecursiveMode::Recursive).map_err(to_io)
    }

    fn unwatch(&mut self, path: &Path) {
        // what was removed is not watched any more
        let _ = self.0.unwatch(path);
    }
}

fn to_io(error: notify::Error) -> io::Error {
    match error.kind {
        ErrorKind::Io(source) => source,
        ErrorKind::PathNotFound => io::ErrorKind::NotFound.into(),
        _ => io::Error::other(error),
    }
}
