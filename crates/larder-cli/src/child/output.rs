//! Taking a child's output: whole in memory up to a bound, passed through beyond it.

use std::io::{self, Read, Write};
use std::process::ChildStdout;
use std::sync::mpsc::{Receiver, SyncSender};

use super::Event;

/// Where output goes that is too large to be kept.
pub(crate) type Sink = Box<dyn Write + Send>;

/// How much is passed through at a time.
const PASSED_BYTES: usize = 64 * 1024;

/// What became of a child's output.
#[derive(Debug)]
pub(crate) enum Taken {
    /// All of it.
    Whole(Vec<u8>),
    /// It was too large, and went to the sink.
    Passed,
    /// It was too large, and the sink refused it.
    Refused(io::Error),
    /// It could not be read.
    Unread(io::Error),
    /// The child was ended before its output was.
    Cut,
}

/// Reads until the end, however many processes write. What is longer than `bytes_max` is announced, and goes on to the
/// sink that comes in answer; if none comes, nobody wants it.
pub(super) fn take(mut pipe: ChildStdout, bytes_max: u64, events: &SyncSender<Event>, sinks: &Receiver<Sink>) {
    let mut bytes = Vec::new();
    let read = pipe.by_ref().take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    let taken = match read {
        Err(error) => Taken::Unread(error),
        Ok(_) if bytes.len() as u64 <= bytes_max => Taken::Whole(bytes),
        Ok(_) => {
            let asked = events.send(Event::Large).is_ok();
            match sinks.recv() {
                Ok(sink) if asked => pass(pipe, bytes, sink),
                _ => return,
            }
        }
    };
    let _ = events.send(Event::Output(taken));
}

/// When the sink refuses, the pipe is closed: the child learns that nobody listens, as it would without us.
fn pass(mut pipe: ChildStdout, begun: Vec<u8>, mut sink: Sink) -> Taken {
    let mut written = sink.write_all(&begun);
    drop(begun);
    let mut buffer = vec![0; PASSED_BYTES];
    while written.is_ok() {
        match pipe.read(&mut buffer) {
            Ok(0) => {
                written = sink.flush();
                break;
            }
            Ok(count) => written = sink.write_all(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Taken::Unread(error),
        }
    }
    written.map_or_else(Taken::Refused, |()| Taken::Passed)
}
