//! Who holds a lock: the record in its file, and the system's table.

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_system::{Disk, Handle, Metadata, Open, read_exact_at};
use serde::{Deserialize, Serialize};

use crate::process::{self, Stamp};
use crate::table;

/// Records have one size, so that a shorter one never leaves the tail of a longer one behind.
pub(crate) const RECORD_BYTES: usize = 512;

/// Whoever holds a lock, as far as can be told. It was true a moment ago.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Holder {
    /// Its process id, on its own machine.
    pub pid: Option<u32>,
    /// Its machine.
    pub host: Option<String>,
    /// Since when, by its own wall clock.
    pub since: Option<SystemTime>,
    /// What it said that it is doing.
    pub label: Option<String>,
}

impl Holder {
    /// A holder nothing is known of.
    pub fn unknown() -> Self {
        Self::default()
    }

    pub(crate) fn from_stamp(stamp: &Stamp) -> Self {
        Self { pid: Some(stamp.pid), host: Some(stamp.host.clone()), since: stamp.since(), label: stamp.label.clone() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "pid {pid}")?,
            None => f.write_str("a process that cannot be named")?,
        }
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        if let Some(label) = &self.label {
            write!(f, " ({label})")?;
        }
        match self.since.and_then(|since| since.duration_since(UNIX_EPOCH).ok()) {
            Some(since) => write!(f, " since {}", Utc(since)),
            None => Ok(()),
        }
    }
}

/// A time since 1970 as RFC 3339.
struct Utc(Duration);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        // Civil date from a day count, in years that begin in March, so that the leap day is the last of its year.
        let days = seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    holder: Stamp,
}

/// One line of JSON, padded to [`RECORD_BYTES`]; `None` when this process has too much to say for it.
pub(crate) fn encode(stamp: Stamp) -> Option<Vec<u8>> {
    padded(&Record { holder: stamp }, RECORD_BYTES)
}

/// The record of one process, in which only the time changes: rendering it anew would cost as much as the lock.
#[derive(Debug)]
pub(crate) struct Template {
    pid: u32,
    bytes: Vec<u8>,
    digits: std::ops::Range<usize>,
}

const SINCE: &[u8] = b"\"since_ms\":";

impl Template {
    pub(crate) fn new(stamp: Stamp) -> Option<Self> {
        let (pid, length) = (stamp.pid, stamp.since_ms.to_string().len());
        let bytes = encode(stamp)?;
        let start = bytes.windows(SINCE.len()).position(|window| window == SINCE)? + SINCE.len();
        Some(Self { pid, bytes, digits: start..start + length })
    }

    /// The record with another time; `None` when the process is another one (after a bare `fork`) or the time has
    /// another number of digits.
    pub(crate) fn at(&self, since_ms: u64) -> Option<[u8; RECORD_BYTES]> {
        let mut record: [u8; RECORD_BYTES] = self.bytes.as_slice().try_into().ok()?;
        let mut rest = since_ms;
        for digit in record.get_mut(self.digits.clone())?.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).ok()?;
            rest /= 10;
        }
        let fits = rest == 0 && record.get(self.digits.start) != Some(&b'0') && self.pid == std::process::id();
        fits.then_some(record)
    }
}

/// `value` as one line of JSON, filled up with spaces to exactly `size` bytes.
pub(crate) fn padded<T: Serialize>(value: &T, size: usize) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(value).ok()?;
    if line.len() >= size {
        return None;
    }
    line.resize(size - 1, b' ');
    line.push(b'\n');
    Some(line)
}

/// The stamp in a lock file's bytes; anything else than a record is nobody.
pub(crate) fn decode(bytes: &[u8]) -> Option<Stamp> {
    serde_json::from_slice::<Record>(line(bytes)?).ok().map(|record| record.holder)
}

/// The line of a record; one without its end is a record cut short.
pub(crate) fn line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..bytes.iter().position(|byte| *byte == b'\n')?)
}

/// What the open lock file says of its last holder. It may have gone since.
pub(crate) fn recorded(disk: &dyn Disk, file: &Handle) -> Option<Stamp> {
    let mut bytes = [0_u8; RECORD_BYTES];
    let have = read_exact_at(disk, file, &mut bytes, 0).ok()?;
    decode(bytes.get(..have)?)
}

/// How much the name of a holder may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Tens of microseconds: what is written in the file, if it is so.
    Glance,
    /// On Linux, if need be, the kernel's whole table: it takes milliseconds, during which no lock changes hands on the
    /// machine. For the end of a wait, not for each refusal.
    Search,
}

/// Names the holder of the advisory lock file `name`.
pub(crate) fn of_file(disk: &dyn Disk, folder: &Handle, name: &Path, effort: Effort) -> Holder {
    let Ok(file) = disk.open(folder, name, Open::READ) else { return Holder::unknown() };
    let found = disk.metadata(&file).ok();
    let stamp = recorded(disk, &file);
    disk.close(file);
    if let (Some(found), Some(stamp)) = (&found, &stamp)
        && table::is_held_by(stamp.pid, found)
    {
        return Holder::from_stamp(stamp);
    }
    // a record of somebody who does not hold it, for instance of one of several shared holders who has gone, would mislead
    match (effort, found) {
        (Effort::Glance, _) if stamp.is_none() => Holder::unknown(),
        (_, None) => join(None, stamp),
        (_, Some(found)) => {
            let rows = table::held().map(|rows| rows_of(&found, &rows)).unwrap_or_default();
            join(rows.first().map(|row| row.pid), stamp)
        }
    }
}

/// The rows that are about one file.
pub(crate) fn rows_of(file: &Metadata, rows: &[table::Row]) -> Vec<table::Row> {
    rows.iter().filter(|row| (row.device, row.inode) == (file.device, file.inode)).copied().collect()
}

/// The table knows who holds, the record what else is to be said. A record of another process than the table's is that
/// of an earlier holder. Without a row the holder is on another machine or in another container, or the platform has no
/// table: the record is then the best there is.
pub(crate) fn join(pid: Option<u32>, stamp: Option<Stamp>) -> Holder {
    match (pid, stamp) {
        (Some(pid), Some(stamp)) if stamp.pid == pid => Holder::from_stamp(&stamp),
        (Some(pid), _) => Holder { pid: Some(pid), host: Some(process::host().to_owned()), since: None, label: None },
        (None, Some(stamp)) => Holder::from_stamp(&stamp),
        (None, None) => Holder::unknown(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            pid: 7,
            host: "pantry".to_owned(),
            since_ms: 1_709_210_096_000,
            boot: Some(larder_system::Boot::from_number(9)),
            space: Some(1),
            start: Some(2),
            label: Some("refresh \"react\"".to_owned()),
        }
    }

    #[test]
    fn a_record_comes_back_as_written_and_has_one_size() {
        let bytes = encode(stamp()).unwrap();
        assert_eq!(bytes.len(), RECORD_BYTES);
        assert_eq!(decode(&bytes), Some(stamp()));
    }

    #[test]
    fn a_template_gives_the_record_of_another_moment() {
        let own = Stamp { pid: std::process::id(), ..stamp() };
        let template = Template::new(own.clone()).unwrap();
        let later = Stamp { since_ms: 1_999_999_999_999, ..own };
        assert_eq!(template.at(later.since_ms).map(Vec::from), encode(later));
    }

    #[test]
    fn a_template_refuses_a_time_that_does_not_fit_and_another_process() {
        let template = Template::new(Stamp { pid: std::process::id(), ..stamp() }).unwrap();
        assert_eq!(template.at(99_999_999_999_999), None);
        assert_eq!(template.at(7), None);
        assert_eq!(Template::new(stamp()).unwrap().at(1_709_210_096_000).is_some(), std::process::id() == 7);
    }

    #[test]
    fn a_record_that_would_not_fit_is_not_cut_but_left_out() {
        let long = Stamp { label: Some("x".repeat(RECORD_BYTES)), ..stamp() };
        assert_eq!(encode(long), None);
    }

    #[test]
    fn a_holder_reads_as_a_sentence_with_its_time_in_utc() {
        let text = Holder::from_stamp(&stamp()).to_string();
        assert_eq!(text, "pid 7 on pantry (refresh \"react\") since 2024-02-29T12:34:56Z");
    }

    #[test]
    fn a_holder_that_cannot_be_named_says_so() {
        assert_eq!(Holder::unknown().to_string(), "a process that cannot be named");
    }

    #[test]
    fn the_record_of_an_earlier_holder_lends_its_words_to_nobody_else() {
        let named = join(Some(8), Some(stamp()));
        assert_eq!((named.pid, named.since, named.label), (Some(8), None, None));
    }

    proptest! {
        #[test]
        fn garbage_in_a_lock_file_is_nobody(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(decode(&bytes), None);
        }

        #[test]
        fn a_record_cut_short_is_nobody(length in 0..RECORD_BYTES) {
            let bytes = encode(stamp()).unwrap();
            prop_assert_eq!(decode(&bytes[..length]), None);
        }
    }
}
