//! A child's standard error: passed on as it comes, its tail kept, and neither the child nor anybody else held up by a
//! reader of ours who is slow, stuck or gone.

use std::collections::VecDeque;
use std::io::{self, Read, Write as _};
use std::process::ChildStderr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::redact::Redactor;

/// How much of the end is kept, for those who share a failure.
const TAIL_BYTES: usize = 64 * 1024;
/// The largest piece that is passed on at once.
const PIECE_BYTES: usize = 8 * 1024;
/// How many pieces wait to be printed, 8 MiB at most; more are dropped, and counted.
const PIECES_MAX: usize = 1_024;
/// How long the end of standard error is waited for after the child's: only something that outlives the child and keeps
/// it open makes us wait.
const END_WAIT: Duration = Duration::from_secs(1);

/// The passing-on of one child's standard error.
#[derive(Debug)]
pub(crate) struct Tee {
    shared: Arc<Mutex<Shared>>,
    /// Hung up when the child's standard error has ended.
    ended: Receiver<()>,
    /// Hung up when all is printed.
    printed: Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    tail: VecDeque<u8>,
    /// Taken out when no more is to be printed.
    queue: Option<SyncSender<Vec<u8>>>,
    dropped: u64,
}

impl Tee {
    /// Begins to pass on what comes through `pipe`, without the secrets that whoever writes there was given.
    pub(super) fn start(pipe: ChildStderr, redactor: Redactor) -> io::Result<Self> {
        let (queue, pieces) = sync_channel::<Vec<u8>>(PIECES_MAX);
        let (alive, ended) = sync_channel(1);
        let shared = Arc::new(Mutex::new(Shared { tail: VecDeque::new(), queue: Some(queue), dropped: 0 }));
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let (printing, printed) = sync_channel(1);
        named("print").spawn(move || {
            // whoever closed our standard error does not want to hear
            pieces.iter().take_while(|piece| io::stderr().write_all(piece).is_ok()).for_each(drop);
            drop::<SyncSender<()>>(printing);
        })?;
        let reader = Arc::clone(&shared);
        named("errors").spawn(move || {
            follow(pipe, redactor, &reader);
            drop::<SyncSender<()>>(alive);
        })?;
        Ok(Self { shared, ended, printed })
    }

    /// Tells something of our own, in turn with what the child tells. Never waits.
    pub(crate) fn say(&self, line: &str) {
        lock(&self.shared).print(format!("{line}\n").as_bytes());
    }

    /// The end of what the child told; waits a moment for what it told last. To be asked when it has ended.
    pub(crate) fn tail(&self) -> Vec<u8> {
        let _ = self.ended.recv_timeout(END_WAIT);
        lock(&self.shared).tail.iter().copied().collect()
    }

    /// Waits until all is printed, for at most `bound`; returns how many bytes were not, because they came faster than they
    /// were read.
    ///
    /// Without a bound it waits for a slow reader as any program does that writes to one: nobody else waits by then.
    pub(crate) fn finish(self, bound: Option<Duration>) -> u64 {
        let _ = self.ended.recv_timeout(END_WAIT);
        lock(&self.shared).queue = None;
        let _ = match bound {
            Some(bound) => self.printed.recv_timeout(bound).is_ok(),
            None => self.printed.recv().is_ok(),
        };
        lock(&self.shared).dropped
    }
}

impl Shared {
    fn print(&mut self, bytes: &[u8]) {
        let Some(queue) = &self.queue else { return };
        for piece in bytes.chunks(PIECE_BYTES) {
            if let Err(TrySendError::Full(piece)) = queue.try_send(piece.to_vec()) {
                self.dropped += piece.len() as u64;
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.keep(bytes);
        self.print(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend(bytes);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }
}

fn follow(mut pipe: ChildStderr, mut redactor: Redactor, shared: &Mutex<Shared>) {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match pipe.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return lock(shared).take(&redactor.finish()),
            Ok(count) => {
                let piece = redactor.pass(buffer.get(..count).unwrap_or_default());
                lock(shared).take(&piece);
            }
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
