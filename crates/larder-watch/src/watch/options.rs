//! How a watch works.

use std::time::Duration;

/// How a watch works. Shorter times find changes sooner and look more often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How often the watch itself looks at paths that no source watches; 2 s. A look takes about a microsecond a file.
    pub poll: Duration,
    /// How often it looks at all paths; 60 s.
    pub rescan: Duration,
    /// How long after an error a source is asked again; 60 s.
    pub retry: Duration,
    /// How long it must have been quiet before a hint is given: one hint for the many events of one change; 50 ms.
    pub debounce: Duration,
    /// How long a hint is held back at most, when it is never quiet; 500 ms.
    pub debounce_max: Duration,
    /// The most paths; 4,096.
    pub paths_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(2),
            rescan: Duration::from_secs(60),
            retry: Duration::from_secs(60),
            debounce: Duration::from_millis(50),
            debounce_max: Duration::from_millis(500),
            paths_max: 4_096,
        }
    }
}

impl Options {
    /// Looks at unwatched paths so often.
    #[must_use]
    pub const fn poll(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// Looks at all paths so often.
    #[must_use]
    pub const fn rescan(mut self, interval: Duration) -> Self {
        self.rescan = interval;
        self
    }

    /// Asks a source again so long after an error.
    #[must_use]
    pub const fn retry(mut self, after: Duration) -> Self {
        self.retry = after;
        self
    }

    /// Gives a hint when it has been quiet for so long.
    #[must_use]
    pub const fn debounce(mut self, quiet: Duration) -> Self {
        self.debounce = quiet;
        self
    }

    /// Watches at most so many paths.
    #[must_use]
    pub const fn paths_max(mut self, paths: usize) -> Self {
        self.paths_max = paths;
        self
    }
}
