//! Announcing that an entry is about to change, for the sake of copies in memory (see [`super::mark`]).

use std::io;

use crate::header::{self, Header};
use crate::key::Key;
use crate::put::{Durability, Error};
use crate::root::{self, Root, Writing};
use crate::stamps::{self, FileName, RECORDS_MAX, digest};
use crate::temporary::Temporary;

/// Tells those who keep copies in memory that the key's entry is about to change; returns whether that was a look at the
/// record of invalidations.
pub(super) fn put(
    root: &Root,
    writing: &Writing,
    key: &Key,
    durability: Durability,
    temporary: &Temporary<'_>,
) -> Result<bool, Error> {
    let Some(stamps) = root.stamps()? else {
        return Err(root::Error::Replaced { path: root.path.clone() }.into());
    };
    // a fold syncs, which a relaxed put must rarely wait for
    let records_max = match durability {
        Durability::Full => RECORDS_MAX,
        Durability::Relaxed => RECORDS_MAX * 2,
    };
    let digest = digest::key(key);
    let (temporaries, quarantine) = (&writing.temporaries, &writing.quarantine);
    Ok(stamps.announce(digest, temporary.number(), records_max, temporaries, quarantine)?)
}

/// Announces a removal: the temporary file that is there until it is done, with the key in it, to be dropped then. `None`
/// where there is no room for it: what is removed is removed all the same, because room is what is wanted.
pub(super) fn removal<'a>(root: &Root, writing: &'a Writing, key: &Key) -> Result<Option<Temporary<'a>>, Error> {
    let header = Header {
        key: key.clone(),
        token: crate::Token { lineage: 0, number: 0 },
        stored_ms: 0,
        durability: Durability::Relaxed,
        metadata: crate::Metadata::new(),
        length: 0,
        body_checksum: header::body_checksum(&[]),
    };
    let content = header.encode().map_err(|_| Error::HeaderTooLong { key: key.clone() })?;
    let announced = writing.temporaries.create().map_err(Error::from).and_then(|mut temporary| {
        temporary.write(&[&content])?;
        put(root, writing, key, Durability::Relaxed, &temporary)?;
        Ok(temporary)
    });
    match announced {
        Ok(temporary) => Ok(Some(temporary)),
        Err(error) if has_no_room(&error) => {
            let _ = self::key(root, writing, key);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Announces a change by no temporary file: it counts for those who have looked, and is over for those who will.
pub(super) fn key(root: &Root, writing: &Writing, key: &Key) -> Result<(), Error> {
    if let Some(stamps) = root.stamps()? {
        let (temporaries, quarantine) = (&writing.temporaries, &writing.quarantine);
        stamps.announce(digest::key(key), FileName::default(), RECORDS_MAX * 2, temporaries, quarantine)?;
    }
    Ok(())
}

/// Whether a step failed for want of room.
fn has_no_room(error: &Error) -> bool {
    let (Error::Failed(failure) | Error::Stamps(stamps::Error::Failed(failure))) = error else { return false };
    matches!(failure.system().kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
