//! `/proc/locks`: who holds which file, also of holders that wrote nothing down.

use std::io::Read as _;

use larder_system::Metadata;

use super::Row;
use crate::Mode;

/// A line is about 60 bytes; a machine with more locks than fit loses the names of the rest, nothing else.
const BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// No piece that the kernel gives at once is shorter than this, unless it is the last.
const PIECE_BYTES: usize = 3 * 1_024;

/// How often a table of several pieces is read.
const READS: u32 = 3;

/// A process with more open files than this is not looked through.
const DESCRIPTORS_MAX: usize = 1_024;

/// All `flock` locks that are held by processes of this pid namespace; `None` when the table cannot be read. It leaves
/// out those of other namespaces and of other machines, so absence proves nothing.
pub(crate) fn held() -> Option<Vec<Row>> {
    let (mut rows, is_one_piece) = read()?;
    // what is read in several pieces lacks lines when other locks come and go in between
    if !is_one_piece {
        for (again, _) in (1..READS).filter_map(|_| read()) {
            rows.extend(again);
        }
        rows.sort_unstable_by_key(|row| (row.device, row.inode, row.pid, row.mode == Mode::Shared));
        rows.dedup();
    }
    Some(rows)
}

/// The table's rows, and whether the kernel gave them all at once: it does so up to a page.
fn read() -> Option<(Vec<Row>, bool)> {
    let mut text = String::new();
    std::fs::File::open("/proc/locks").ok()?.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    Some((text.lines().filter_map(row).collect(), text.len() < PIECE_BYTES))
}

/// Whether one process holds a lock on one file. Unlike the table this costs nobody else anything, but it needs the
/// right to look into that process, so `false` proves nothing.
pub(crate) fn is_held_by(pid: u32, file: &Metadata) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return false };
    descriptors.take(DESCRIPTORS_MAX).flatten().any(|descriptor| {
        let text = std::fs::read_to_string(descriptor.path()).unwrap_or_default();
        let rows = text.lines().filter_map(|line| row(line.strip_prefix("lock:")?));
        rows.into_iter().any(|row| (row.device, row.inode) == (file.device, file.inode))
    })
}

/// `1: FLOCK  ADVISORY  WRITE 1234 fd:01:131 0 EOF`; a waiter has `->` before the kind.
fn row(line: &str) -> Option<Row> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    if fields.next()? != "FLOCK" {
        return None;
    }
    let mode = match fields.nth(1)? {
        "WRITE" => Mode::Exclusive,
        "READ" => Mode::Shared,
        _ => return None,
    };
    let pid = fields.next()?.parse().ok()?;
    let mut place = fields.next()?.split(':');
    let major = u64::from_str_radix(place.next()?, 16).ok()?;
    let minor = u64::from_str_radix(place.next()?, 16).ok()?;
    let inode = place.next()?.parse().ok()?;
    Some(Row { pid, mode, device: device(major, minor), inode })
}

/// The `st_dev` of a device: the C library's `makedev`.
const fn device(major: u64, minor: u64) -> u64 {
    ((major & 0xffff_f000) << 32) | ((major & 0xfff) << 8) | ((minor & 0xffff_ff00) << 12) | (minor & 0xff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_held_lock_is_read_and_a_waiting_one_is_not() {
        let line = "6: FLOCK  ADVISORY  WRITE 4021 fd:01:131 0 EOF";
        assert_eq!(row(line), Some(Row { pid: 4021, mode: Mode::Exclusive, device: 0xfd01, inode: 131 }));
        assert_eq!(row("6: -> FLOCK  ADVISORY  WRITE 4022 fd:01:131 0 EOF"), None);
        assert_eq!(row("7: POSIX  ADVISORY  WRITE 4022 fd:01:131 0 EOF"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in "\\PC{0,80}") {
            let _ = row(&line);
        }
    }
}
