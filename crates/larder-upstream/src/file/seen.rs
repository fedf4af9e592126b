//! A flight's file as somebody who opened it sees it.

use std::io;
use std::path::Path;

use larder_storage::Annex;
use larder_system::{Handle, Kind, Metadata, Open, read_exact_at, retry};

use super::outcome::Rest;
use super::{Error, Header, Id, Outcome, header, outcome};

/// How much is read at first: all of most files.
const FIRST_READ: usize = 2 * 1024;

/// A file under a flight's name, kept open, so that no other can be taken for it.
#[derive(Debug)]
pub(crate) struct Seen {
    file: Option<Handle>,
    found: Metadata,
    pub(crate) what: What,
}

/// What such a file is.
#[derive(Debug)]
pub(crate) enum What {
    /// A flight's.
    Flight {
        header: Header,
        /// Where its outcome begins.
        length: u64,
        /// Whether anything was there already when it was opened: then it was over, or ending, before.
        is_ending: bool,
    },
    /// That of a newer version's flight.
    Newer(Option<Id>),
    /// Nothing that any flight has left so: damaged, or a stranger's.
    Foreign,
    /// A folder, which nothing can take the place of.
    Folder,
}

impl Seen {
    /// Opens and reads the file `name`; `None` when there is none.
    pub(crate) fn open(annex: &Annex, name: &str) -> Result<Option<Self>, Error> {
        let file = match annex.open(name, Open::READ) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            // a symbolic link or a socket cannot be opened, but it can be replaced
            Err(error) => {
                return match annex.disk().metadata_at(annex.folder(), Path::new(name)) {
                    Ok(found) if matches!(found.kind, Kind::Link | Kind::Special) => {
                        Ok(Some(Self { file: None, found, what: What::Foreign }))
                    }
                    _ => Err(error.into()),
                };
            }
        };
        match Self::look(annex, &file) {
            Ok((found, what)) => Ok(Some(Self { file: Some(file), found, what })),
            Err(source) => {
                annex.disk().close(file);
                Err(Error::new("read", annex, name, source))
            }
        }
    }

    fn look(annex: &Annex, file: &Handle) -> io::Result<(Metadata, What)> {
        let found = annex.disk().metadata(file)?;
        let what = match found.kind {
            Kind::File => read(annex, file, found.length)?,
            Kind::Folder => What::Folder,
            Kind::Link | Kind::Special | Kind::Unknown => What::Foreign,
        };
        Ok((found, what))
    }

    /// Whether the name still stands for this file.
    pub(crate) fn is_still(&self, annex: &Annex, name: &str) -> Result<bool, Error> {
        match retry(|| annex.disk().metadata_at(annex.folder(), Path::new(name))) {
            Ok(now) => Ok(now.is_same_file(&self.found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::new("look at", annex, name, error)),
        }
    }

    /// The flight's outcome, when it is there and whole.
    ///
    /// A body of more than `body_bytes_max` bytes is not read: [`Outcome::Alone`].
    pub(crate) fn outcome(&self, annex: &Annex, body_bytes_max: u64) -> io::Result<Option<Outcome>> {
        let (Some(file), What::Flight { header, length, .. }) = (&self.file, &self.what) else { return Ok(None) };
        let line = read_line(annex, file, *length, outcome::LINE_BYTES_MAX)?;
        match Outcome::read(header, &line) {
            outcome::Read::Nothing => Ok(None),
            outcome::Read::Whole(outcome) => Ok(Some(outcome)),
            outcome::Read::WithBody { at, length: body, rest } => {
                if body > body_bytes_max && !rest.is_failure() {
                    return Ok(Some(Outcome::Alone { remembered: None }));
                }
                read_body(annex, file, length.saturating_add(at), body, rest)
            }
        }
    }

    pub(crate) fn close(self, annex: &Annex) {
        if let Some(file) = self.file {
            annex.disk().close(file);
        }
    }
}

fn read(annex: &Annex, file: &Handle, size: u64) -> io::Result<What> {
    let bytes = read_line(annex, file, 0, header::BYTES_MAX)?;
    Ok(match Header::read(&bytes) {
        header::Read::Header(header, length) => {
            let is_ending = bytes.len() > length || size > length as u64;
            What::Flight { header, length: length as u64, is_ending }
        }
        header::Read::Newer(id) => What::Newer(id),
        header::Read::Damaged => What::Foreign,
    })
}

/// At least the line that begins at `offset`, if it is whole and has at most `limit` bytes.
fn read_line(annex: &Annex, file: &Handle, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut room = FIRST_READ;
    loop {
        let have = bytes.len();
        bytes.resize(have + room, 0);
        let rest = bytes.get_mut(have..).unwrap_or_default();
        let read = read_exact_at(annex.disk(), file, rest, offset.saturating_add(have as u64))?;
        bytes.truncate(have + read);
        if read < room || bytes.len() >= limit || bytes.contains(&b'\n') {
            return Ok(bytes);
        }
        room = bytes.len().min(limit);
    }
}

fn read_body(annex: &Annex, file: &Handle, at: u64, length: u64, rest: Rest) -> io::Result<Option<Outcome>> {
    // before any memory is taken for it: the length comes from the file
    let there = annex.disk().metadata(file)?.length.saturating_sub(at);
    let Some(length) = usize::try_from(length).ok().filter(|length| *length as u64 <= there) else { return Ok(None) };
    let mut body = vec![0; length];
    let read = read_exact_at(annex.disk(), file, &mut body, at)?;
    Ok(if read == length { rest.with_body(body) } else { None })
}
