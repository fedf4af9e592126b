//! Folding: a full, foreign or missing stamp file is succeeded by a new one.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use larder_system::{retry, unique, write_all, write_all_at};

use super::file::{Fitness, StampFile, birth};
use super::format::{
    ANCESTORS_MAX, FileHeader, LEAP, Marks, PAGE_BYTES, PAGES, RECORDS_AT, Record, SLOTS_PER_PAGE, places,
};
use super::{Error, HeaderFault, OpenFault, Stamps, locked, name_of, sequence_of};
use crate::failure::{Context, Failure};
use crate::folder;
use crate::quarantine::Quarantine;
use crate::temporary::Temporaries;

/// The header and table of a file to be.
struct Draft {
    header: FileHeader,
    table: Vec<Option<Vec<Marks>>>,
}

impl Stamps {
    /// Folds a full file, unless this process is at it already. The invalidation that found it full stands either way.
    pub(super) fn fold_if_idle(&self, file: &Arc<StampFile>, temporaries: &Temporaries, quarantine: &Quarantine) {
        if let Ok(_folding) = self.folding.try_lock()
            && let Err(error) = self.succeed(Some(file), temporaries, quarantine)
        {
            tracing::warn!(%error, "cannot fold the record of invalidations; the next invalidation tries again");
        }
    }

    /// Makes sure that `current` has a successor, and that it is the one looked at from now on.
    pub(super) fn fold(
        &self,
        current: Option<&Arc<StampFile>>,
        temporaries: &Temporaries,
        quarantine: &Quarantine,
    ) -> Result<(), Error> {
        let _folding = locked(&self.folding);
        self.succeed(current, temporaries, quarantine)
    }

    fn succeed(
        &self,
        current: Option<&Arc<StampFile>>,
        temporaries: &Temporaries,
        quarantine: &Quarantine,
    ) -> Result<(), Error> {
        let mut damaged = None;
        let (draft, sequence) = match current {
            Some(file) => {
                if !self.seal(file)? {
                    self.forget();
                    return Ok(());
                }
                let Some(draft) = self.draft(file)? else { return Ok(()) };
                (draft, file.header.sequence.saturating_add(1))
            }
            None => match self.newest()? {
                Some((sequence, name)) if self.is_damaged(&name) => {
                    damaged = Some(name);
                    (Draft::first()?, sequence.saturating_add(1))
                }
                // somebody else has begun it meanwhile
                Some(_) => return Ok(()),
                None => (Draft::first()?, 1),
            },
        };
        self.publish(draft, sequence, temporaries)?;
        self.forget();
        if let Some(name) = damaged {
            quarantine.take(&self.folder, Path::new(&name), "damaged record of invalidations");
        }
        self.remove_before(sequence);
        Ok(())
    }

    /// Whether the file has no header that can be read. A newer one's is not damaged, and stays where it is.
    fn is_damaged(&self, name: &str) -> bool {
        self.open(name).is_err_and(|fault| matches!(fault, OpenFault::Header(HeaderFault::Damaged)))
    }

    /// Appends the seal, unless there is one; false when the file has lost its name, and so has a successor.
    fn seal(&self, file: &Arc<StampFile>) -> Result<bool, Error> {
        self.with_view(|_| Ok(()))?;
        if file.sealed_at.get().is_none() {
            let bytes = file.header.encode_record(&Record::Seal, file.synced.load(Ordering::Relaxed));
            let Some(appender) = self.appender(file)? else { return Ok(false) };
            // between another thread's write and its look at where that ended, it would take this record for its own
            let _turn = locked(&self.turn);
            write_all(&*self.disk, appender, &[&bytes]).context("seal", self.path_of(file))?;
        }
        Ok(true)
    }

    /// The successor of the sealed `file`; `None` when it has one already.
    fn draft(&self, file: &Arc<StampFile>) -> Result<Option<Draft>, Error> {
        let draft = self.with_view(|view| {
            if view.file.header.sequence != file.header.sequence || !view.is_sealed() {
                return Ok(None);
            }
            let old = &view.file.header;
            let mut header = old.clone();
            header.sequence = old.sequence.saturating_add(1);
            header.base = view.number();
            header.latest = view.latest();
            header.all = view.all();
            if view.file.fit != Fitness::Fit {
                header.base = header.base.saturating_add(LEAP);
            }
            if view.file.fit == Fitness::Copy {
                header.lineage = unique()?;
                header.ancestors.insert(0, (old.lineage, view.number()));
                header.ancestors.truncate(ANCESTORS_MAX);
            }
            let mut table: Vec<Option<Vec<Marks>>> = Vec::with_capacity(PAGES);
            for page in 0..PAGES {
                table.push(view.file.page(page)?.cloned());
            }
            let mut draft = Draft { header, table };
            for (digest, marks) in view.names() {
                draft.mark(digest, marks);
            }
            Ok(Some(draft))
        })?;
        Ok(draft.flatten())
    }

    /// Writes the draft and gives it its name, unless somebody was faster.
    fn publish(&self, mut draft: Draft, sequence: u64, temporaries: &Temporaries) -> Result<(), Error> {
        let temporary = temporaries.create()?;
        let path = temporary.path();
        let file = temporary.handle()?;
        draft.header.sequence = sequence;
        draft.header.boot = self.boot();
        let inode = self.disk.metadata(file).context("look at", &path)?.inode;
        draft.header.inode = inode;
        draft.header.born = birth(&*self.disk, file).context("look at", &path)?;
        for (page, slots) in draft.table.iter().enumerate() {
            if let Some(slots) = slots {
                draft.header.set_page(page);
                let bytes = draft.header.encode_page(page, slots);
                write_all_at(&*self.disk, file, &bytes, (PAGE_BYTES * (1 + page)) as u64).context("write", &path)?;
            }
        }
        write_all_at(&*self.disk, file, &draft.header.encode(), 0).context("write", &path)?;
        retry(|| self.disk.set_length(file, RECORDS_AT)).context("set the length of", &path)?;
        self.disk.sync(file).context("sync", &path)?;
        let (from, _) = temporary.folder();
        let name = name_of(sequence);
        match retry(|| self.disk.link(from, temporary.name(), &self.folder, Path::new(&name))) {
            Ok(()) => *locked(&self.made) = Some((draft.header.lineage, sequence, inode)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::new("publish", self.path.join(name), error).into()),
        }
        folder::sync(&*self.disk, &self.folder).context("sync", &self.path)?;
        Ok(())
    }

    /// Removes files that have a successor. What stays behind is removed the next time.
    fn remove_before(&self, sequence: u64) {
        let Ok(names) = folder::names(&*self.disk, &self.folder, Path::new(".")) else { return };
        for listed in names {
            if listed.name.to_str().and_then(sequence_of).is_some_and(|found| found < sequence) {
                let _ = retry(|| self.disk.remove_file(&self.folder, Path::new(&listed.name)));
            }
        }
    }
}

impl Draft {
    /// The first file of a root, or of one whose record is lost: a lineage of its own.
    fn first() -> Result<Self, Error> {
        let lineage =
            unique().map_err(|error| Failure::new("draw a number for", "the record of invalidations", error))?;
        let header = FileHeader {
            sequence: 1,
            lineage,
            base: LEAP,
            inode: 0,
            born: 0,
            boot: 0,
            latest: 0,
            all: Marks::default(),
            filled: [0; PAGES / 64],
            ancestors: Vec::new(),
        };
        Ok(Self { header, table: (0..PAGES).map(|_| None).collect() })
    }

    fn mark(&mut self, digest: u128, marks: Marks) {
        for (page, slot) in places(digest) {
            if let Some(page) = self.table.get_mut(page) {
                let slots = page.get_or_insert_with(|| vec![Marks::default(); SLOTS_PER_PAGE]);
                if let Some(known) = slots.get_mut(slot) {
                    *known = known.max(marks);
                }
            }
        }
    }
}
