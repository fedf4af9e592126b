//! Loops over single calls: interrupted ones retried, short ones continued from where they really got to.

use std::io;
use std::io::IoSlice;

use crate::{Disk, Handle};

/// How often an interrupted call is tried before the interruption is reported: a bound on the loop, far beyond any
/// real storm of signals.
const ATTEMPTS_MAX: u32 = 1_000;

/// Repeats `call` while a signal interrupts it (`EINTR`), at most 1,000 times.
///
/// Not for `fsync`: after an error its handle must not be trusted again.
pub fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut attempts = 0;
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted && attempts < ATTEMPTS_MAX => attempts += 1,
            other => return other,
        }
    }
}

/// Writes all parts, in order, at the file's own position (at its end when opened to append).
///
/// # Errors
/// The disk's own; `WriteZero` when a write takes nothing. Some of the bytes may have been written.
pub fn write_all(disk: &dyn Disk, file: &Handle, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let written = retry(|| disk.write(file, rest))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// Writes all bytes at `offset`.
///
/// # Errors
/// As [`write_all`].
pub fn write_all_at(disk: &dyn Disk, file: &Handle, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = retry(|| disk.write_at(file, bytes, offset))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or_default();
        offset = offset.saturating_add(written as u64);
    }
    Ok(())
}

/// Fills `buffer` from `offset`; returns how much of it the file had.
///
/// # Errors
/// The disk's own.
pub fn read_exact_at(disk: &dyn Disk, file: &Handle, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let Some(rest) = buffer.get_mut(filled..) else { break };
        let read = retry(|| disk.read_at(file, rest, offset.saturating_add(filled as u64)))?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    Ok(filled)
}

/// Reads from the file's own position to its end, at most `limit` bytes; returns false when the file has more.
///
/// # Errors
/// The disk's own.
pub fn read_to_limit(disk: &dyn Disk, file: &Handle, buffer: &mut Vec<u8>, limit: usize) -> io::Result<bool> {
    let start = buffer.len();
    loop {
        let have = buffer.len() - start;
        if have > limit {
            buffer.truncate(start + limit);
            return Ok(false);
        }
        if buffer.spare_capacity_mut().is_empty() {
            buffer.reserve((limit + 1 - have).min(64 * 1024));
        }
        if retry(|| disk.read(file, buffer))? == 0 {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interrupted() -> io::Error {
        io::ErrorKind::Interrupted.into()
    }

    #[test]
    fn an_interrupted_call_is_tried_again_until_it_is_not() {
        let mut left = 3;
        let answer = retry(|| {
            if left == 0 {
                return Ok("done");
            }
            left -= 1;
            Err(interrupted())
        });
        assert_eq!(answer.unwrap(), "done");
    }

    #[test]
    fn a_call_that_is_always_interrupted_is_reported_in_the_end() {
        let mut calls = 0;
        let answer: io::Result<()> = retry(|| {
            calls += 1;
            Err(interrupted())
        });
        assert_eq!((answer.unwrap_err().kind(), calls), (io::ErrorKind::Interrupted, ATTEMPTS_MAX + 1));
    }

    #[test]
    fn any_other_error_is_not_tried_again() {
        let mut calls = 0;
        let answer: io::Result<()> = retry(|| {
            calls += 1;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!((answer.unwrap_err().kind(), calls), (io::ErrorKind::StorageFull, 1));
    }
}
