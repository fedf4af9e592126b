//! Commands where pipes cannot be asked whether they have something: a thread for each pipe, the end looked for.

use std::io::Read;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use larder_system::{Clock as _, SystemClock};
use zeroize::Zeroizing;

use super::output::Output;
use super::{End, bury};

/// How much is read at a time.
const READ_BYTES: usize = 4 * 1024;
/// How many pieces may be on their way.
const PIECES_MAX: usize = 16;
/// How often its end is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long the last of its output may be on its way after its end, when a child of it keeps a pipe open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A piece of output, or that there is no more.
enum Piece {
    Printed(Zeroizing<Vec<u8>>),
    Said(Zeroizing<Vec<u8>>),
    Over,
}

/// There are no groups to lead.
pub(super) fn lead_group(_command: &mut std::process::Command) {}

/// Takes its output until it ends, or its time does. Threads that read from a pipe which a child of it keeps open stay
/// until that child ends; nobody waits for them.
pub(super) fn watch(mut child: Child, timeout: Duration, output: &mut Output) -> End {
    let (sender, pieces) = sync_channel(PIECES_MAX);
    let mut open = 0;
    if let Some(pipe) = child.stdout.take() {
        open += u32::from(follow(pipe, sender.clone(), Piece::Printed));
    }
    if let Some(pipe) = child.stderr.take() {
        open += u32::from(follow(pipe, sender, Piece::Said));
    }
    let end = take(&mut child, timeout, &pieces, open, output);
    if !matches!(end, End::Ended(_)) {
        let _ = child.kill();
        bury(child);
    }
    end
}

fn follow<P: Read + Send + 'static>(
    mut pipe: P,
    pieces: SyncSender<Piece>,
    piece: fn(Zeroizing<Vec<u8>>) -> Piece,
) -> bool {
    let read = move || {
        let mut buffer = Zeroizing::new([0; READ_BYTES]);
        loop {
            match pipe.read(&mut *buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                    if pieces.send(piece(Zeroizing::new(bytes))).is_err() {
                        return;
                    }
                }
            }
        }
        let _ = pieces.send(Piece::Over);
    };
    std::thread::Builder::new().name("credential command".to_owned()).spawn(read).is_ok()
}

fn take(child: &mut Child, timeout: Duration, pieces: &Receiver<Piece>, mut open: u32, output: &mut Output) -> End {
    let clock = SystemClock::new();
    let deadline = clock.monotonic() + timeout;
    // after its end, until when its last words may come
    let mut last = None;
    loop {
        let now = clock.monotonic();
        if last.is_none() {
            match child.try_wait() {
                Ok(Some(status)) => last = Some((status, now + LAST_WORDS)),
                Ok(None) => {}
                Err(error) => return End::NotRead(error),
            }
        }
        let until = last.map_or(deadline, |(_, until)| until);
        match last {
            Some((status, until)) if open == 0 || now >= until => return End::Ended(status),
            None if now >= deadline => return End::TimedOut,
            _ => {}
        }
        match pieces.recv_timeout(until.saturating_sub(now).min(LOOK_EVERY)) {
            Ok(Piece::Printed(bytes)) if !output.print(&bytes) => return End::TooMuch,
            Ok(Piece::Printed(_)) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Piece::Said(bytes)) => output.say(&bytes),
            Ok(Piece::Over) => open = open.saturating_sub(1),
            // both pipes are over; only its end is to come
            Err(RecvTimeoutError::Disconnected) => {
                open = 0;
                clock.sleep(LOOK_EVERY.min(until.saturating_sub(now)));
            }
        }
    }
}
