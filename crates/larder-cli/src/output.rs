//! Where words go: data to standard output, all else to standard error, and a closed pipe ends in no panic.

use std::io::{self, Write};

use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failed};
use crate::text::plain;

/// The version of the JSON objects.
const VERSION: u32 = 1;

/// Standard output was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
struct Unwritten {
    #[source]
    source: io::Error,
}

/// How a failure to write to standard output ends: in silence when nobody reads it any more.
pub(crate) fn unwritten(source: io::Error) -> Failed {
    if source.kind() == io::ErrorKind::BrokenPipe {
        return Failed::silent(Exit::CLOSED);
    }
    Failed::new(Exit::INPUT_OUTPUT, Unwritten { source })
}

/// What the command line says about output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Whether answers are JSON.
    pub(crate) json: bool,
    /// Whether a `Cache-Status` line is wanted.
    pub(crate) status: bool,
    quiet: bool,
}

/// A JSON answer with its version.
#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    answer: &'a T,
}

/// An error as JSON.
#[derive(Serialize)]
struct ErrorObject<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    exit: u8,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    details: &'a [String],
}

impl Output {
    /// As the command line says.
    pub(crate) fn new(global: &Global) -> Self {
        Self { json: global.json, status: global.status, quiet: global.quiet }
    }

    /// Writes bytes to standard output, through to the system.
    #[expect(clippy::unused_self, reason = "what is written is this value's business, whatever it has to know for it")]
    pub(crate) fn data(self, bytes: &[u8]) -> Result<(), Failed> {
        write_out(bytes).map_err(unwritten)
    }

    /// Writes one JSON object, with the version of its kind, as a line.
    pub(crate) fn object<T: Serialize>(self, answer: &T) -> Result<(), Failed> {
        self.data(&line(answer))
    }

    /// Tells something on standard error, unless nobody wants to hear.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            say(&format!("larder: {}", plain(text)));
        }
    }

    /// Whether notes and warnings are wanted.
    pub(crate) const fn is_talkative(self) -> bool {
        !self.quiet
    }

    /// Writes a command's own words to standard error, as they are.
    #[expect(clippy::unused_self, reason = "likewise")]
    pub(crate) fn raw(self, bytes: &[u8]) {
        let _ = io::stderr().lock().write_all(bytes);
    }

    /// Warns on standard error, unless nobody wants to hear.
    pub(crate) fn warn(self, text: &str) {
        if !self.quiet {
            say(&format!("larder: \u{1b}[33mwarning\u{1b}[0m: {}", plain(text)));
        }
    }

    /// Writes a `Cache-Status` line to standard error, if that was asked for.
    pub(crate) fn status(self, outcome: &impl std::fmt::Display) {
        if self.status {
            say(&format!("Cache-Status: {}", plain(&outcome.to_string())));
        }
    }

    /// Tells why the command fails.
    pub(crate) fn failed(self, failed: &Failed) {
        let Some(message) = failed.message() else { return };
        if self.json {
            let exit = failed.exit().code();
            let object = line(&ErrorObject { error: ErrorBody { message: &message, exit, details: failed.details() } });
            let _ = io::stderr().lock().write_all(&object);
        } else {
            say(&format!("larder: \u{1b}[31merror\u{1b}[0m: {}", plain(&message)));
            for detail in failed.details() {
                say(&plain(detail));
            }
        }
    }
}

fn line(answer: &impl Serialize) -> Vec<u8> {
    // maps with keys that are no text, which do not occur here, are what could fail
    let mut line = serde_json::to_vec(&Versioned { version: VERSION, answer }).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Writes to standard output as it is: `Stdout` would split what does not end a line into two calls.
#[cfg(unix)]
fn write_out(mut bytes: &[u8]) -> io::Result<()> {
    use std::os::fd::AsFd as _;
    let mut out = io::stdout().lock();
    // what others have written so far comes first
    out.flush()?;
    while !bytes.is_empty() {
        match rustix::io::write(out.as_fd(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush())
}

/// One line on standard error, in one call so that no other process's words come between, in colour where a terminal
/// wants it. Whoever has closed it does not want to hear.
fn say(line: &str) {
    let mut err = io::stderr().lock();
    let _ = if anstream::AutoStream::choice(&err) == anstream::ColorChoice::Never {
        err.write_all(format!("{}\n", anstream::adapter::strip_str(line)).as_bytes())
    } else {
        err.write_all(format!("{line}\n").as_bytes())
    };
}
