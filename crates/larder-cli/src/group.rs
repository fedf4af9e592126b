//! Which processes a signal reaches: the command alone, or all that it started.

/// The process group that a command runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// One of its own: signals reach all that it started, and nothing of it is left behind.
    Own,
    /// That of this process. A terminal's Ctrl-C reaches everyone by itself, and the command may use the terminal; what
    /// is sent to this process alone is passed on to the command alone.
    Shared,
}

impl Group {
    /// Shared, if this process is what its terminal is busy with: a command in a group of its own could not ask for a
    /// password there. Else its own.
    pub(crate) fn suited() -> Self {
        if Self::is_terminals() { Self::Shared } else { Self::Own }
    }

    /// Whether a terminal is busy with this process's group, so that what is typed there reaches all of it.
    #[cfg(unix)]
    pub(crate) fn is_terminals() -> bool {
        let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
        rustix::termios::tcgetpgrp(&terminal).is_ok_and(|foreground| foreground == rustix::process::getpgrp())
    }

    /// Likewise: consoles know no groups.
    #[cfg(not(unix))]
    pub(crate) fn is_terminals() -> bool {
        true
    }
}
