//! Announcements: what is about to be published, for those who keep copies in memory.

use std::sync::{Arc, PoisonError};

use super::file::StampFile;
use super::format::{FileName, RECORD_BYTES, Record, digest};
use super::position::{Position, SharedPosition, Sight};
use super::{ATTEMPTS_MAX, Error, Stamps, Written, names_of};
use crate::entry::Tag;
use crate::generation::{Standing, Token};
use crate::key::Key;
use crate::quarantine::Quarantine;
use crate::temporary::Temporaries;

impl Stamps {
    /// Announces that what is stored under a key is about to be replaced or removed, to be seen by whoever looks from now
    /// on; `file` is the temporary file whose name is gone when that is done. Not durable: it is for copies in the memory
    /// of processes, and no process survives a power cut. Past `records_max` records the file is folded.
    ///
    /// A file that another boot began will do: what is appended here is no generation. Where the file is sealed and its
    /// successor cannot be made, nothing is announced and the put goes on: by a sealed file nobody keeps copies, and whoever
    /// looks at its successor first looks at the temporary files, too.
    ///
    /// Returns whether everything before the announcement is known, so that [`Stamps::standing_as_known`] need not look
    /// again.
    pub(crate) fn announce(
        &self,
        digest: u128,
        file: FileName,
        records_max: u64,
        temporaries: &Temporaries,
        quarantine: &Quarantine,
    ) -> Result<bool, Error> {
        let record = Record::Publishing { digest, file };
        for attempt in 0..ATTEMPTS_MAX {
            // where the record lands tells whether it is still the current file: that need not be asked first
            let known = if attempt == 0 { self.last_unsealed() } else { None };
            let current = match known {
                Some(known) => known,
                None => match self.unsealed(temporaries, quarantine)? {
                    Some(current) => current,
                    None => return Ok(false),
                },
            };
            let Some(appender) = self.appender(&current)? else {
                self.forget();
                continue;
            };
            let Written { end, next, .. } = self.write(&current, appender, &[record])?;
            // behind a seal nobody looks
            if next || self.seal_of(&current, end)?.is_none_or(|seal| end <= seal) {
                if end / RECORD_BYTES as u64 >= records_max {
                    self.fold_if_idle(&current, temporaries, quarantine);
                    return Ok(false);
                }
                return Ok(next);
            }
            self.forget();
        }
        Err(Error::Unsettled { path: self.path.clone() })
    }

    /// What is known, as of some moment during this call, of what was announced to be published under a key after
    /// `since`. `None` when nothing can be told: there is no record, or one that is being succeeded or cannot be read.
    pub(crate) fn sight(&self, digest: u128, since: Option<&Position>) -> Result<Option<Sight>, Error> {
        let seen = self.with_view(|view| {
            if view.is_sealed() || !view.is_read() {
                return Ok(None);
            }
            let position = Position::of(view);
            let from = since.filter(|since| since.is_in(&position)).map_or(0, |since| since.length);
            let announced = view.publishing_after(from).iter().filter(|publication| publication.digest == digest);
            let files = announced.map(|publication| publication.file).collect();
            Ok(Some(Sight { position, files }))
        })?;
        Ok(seen.flatten())
    }

    /// Whether nothing has happened since `position` to what is stored under `key` with `tags` and was fetched in
    /// `token`: neither an invalidation nor an announcement. Moves `position` to now if so.
    pub(crate) fn is_unchanged(&self, position: &SharedPosition, key: &Key, token: Token, tags: &[Tag]) -> bool {
        let unchanged = self.with_view(|view| {
            let (now, since) = (Position::of(view), position.load());
            if !since.is_in(&now) || view.is_sealed() || !view.is_read() {
                return Ok(false);
            }
            if since.length == now.length {
                return Ok(true);
            }
            let digest = digest::key(key);
            if view.publishing_after(since.length).iter().any(|publication| publication.digest == digest) {
                return Ok(false);
            }
            let current = view.standing(token, names_of(key, tags))? == Standing::Current;
            if current {
                position.advance(now.length);
            }
            Ok(current)
        });
        matches!(unchanged, Ok(Some(true)))
    }

    /// The same as far as is known without looking: for right after an announcement that looked.
    pub(crate) fn standing_as_known(&self, token: Token, key: &Key, tags: &[Tag]) -> Result<Standing, Error> {
        {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(view) = view.as_ref().filter(|view| !view.is_sealed()) {
                let standing = view.standing(token, names_of(key, tags));
                return standing.map_err(|error| self.unread(&view.file, error));
            }
        }
        self.standing(token, key, tags)
    }

    /// The file that was current when last looked at, if it was not sealed.
    fn last_unsealed(&self) -> Option<Arc<StampFile>> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.as_ref().filter(|view| !view.is_sealed()).map(|view| Arc::clone(&view.file))
    }

    /// The current file; `None` when it is sealed and its successor cannot be made.
    fn unsealed(&self, temporaries: &Temporaries, quarantine: &Quarantine) -> Result<Option<Arc<StampFile>>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            match self.with_view(|view| Ok(Arc::clone(&view.file)))? {
                Some(file) if file.sealed_at.get().is_none() => return Ok(Some(file)),
                None => self.fold(None, temporaries, quarantine)?,
                Some(file) => {
                    if let Err(error) = self.fold(Some(&file), temporaries, quarantine) {
                        tracing::warn!(%error, "the record of invalidations cannot be succeeded: no copies are kept in memory");
                        return Ok(None);
                    }
                }
            }
        }
        Err(Error::Unsettled { path: self.path.clone() })
    }
}
