//! Early news of documents whose files have changed.
//!
//! Nothing depends on it: each copy's files are looked at whenever it is asked for, whether a watch runs or not, has been lost or
//! comes late. A watch drops copies from memory that nobody will be given any more, and tells whoever wants to refresh them
//! before somebody waits for that.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use camino::Utf8PathBuf;
use larder_storage::{Key, Scope};
use larder_watch::fingerprint::{Dependency, Paths};
use larder_watch::watch::Watch;

pub use larder_watch::fingerprint::Change;
pub use larder_watch::watch::{Backend, Events, Native, Options, Polling, Source};

use crate::cache::Cache;
use crate::counters::Counter;
use crate::document::Document;
use crate::inner::{Identity, Inner};

/// How many documents are remembered, whose files are watched; others are compared when they are asked for, and not before.
const DOCUMENTS_MAX: usize = 65_536;

/// A watch at work, until it is dropped.
#[derive(Debug)]
#[must_use = "the watch ends when this is dropped"]
pub struct Watching {
    _watch: Arc<Watch>,
}

/// What is done about a document whose files have changed, beside dropping it from memory and telling of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// Nothing: it counts as changed for as long as its files are other ones, and no longer when they are changed back.
    #[default]
    Nothing,
    /// It is invalidated softly, in all processes and for good.
    Invalidate,
}

/// The documents with files that this process has met.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// Where their files are watched, if they are.
    watch: Weak<Watch>,
    documents: BTreeMap<Key, One>,
}

#[derive(Debug)]
struct One {
    identity: Identity,
    depends: Arc<[Dependency]>,
    /// Whether it was told of already.
    is_told: bool,
}

impl Known {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        // a map is whole whenever a panic leaves it
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a document, and has its files watched.
    pub(crate) fn note(&self, key: &Key, identity: Identity, document: &Document) {
        let Some(depends) = &document.depends else { return };
        let mut noted = self.noted();
        let Some(watch) = noted.watch.upgrade() else { return };
        if noted.documents.get(key).is_some_and(|one| one.identity == identity) {
            return;
        }
        if noted.documents.len() >= DOCUMENTS_MAX && !noted.documents.contains_key(key) {
            tracing::debug!(%key, "the files of too many documents are watched already");
            return;
        }
        let one = One { identity, depends: Arc::clone(depends), is_told: false };
        noted.documents.insert(key.clone(), one);
        drop(noted);
        watch.add(depends.iter().map(Dependency::path));
    }

    fn begin(&self, watch: &Arc<Watch>) {
        *self.noted() = Noted { watch: Arc::downgrade(watch), documents: BTreeMap::new() };
    }

    /// Those that depend on one of these paths and were not told of; and the paths that none depends on any more.
    fn concerned(&self, paths: &[Utf8PathBuf]) -> (Vec<Key>, Vec<Utf8PathBuf>) {
        let (mut keys, mut used) = (Vec::new(), BTreeSet::new());
        for (key, one) in &self.noted().documents {
            let mut is_concerned = false;
            for path in one.depends.iter().map(Dependency::path) {
                if paths.iter().any(|changed| changed == path) {
                    used.insert(path.to_owned());
                    is_concerned = true;
                }
            }
            if is_concerned && !one.is_told {
                keys.push(key.clone());
            }
        }
        (keys, paths.iter().filter(|path| !used.contains(*path)).cloned().collect())
    }

    fn tell(&self, key: &Key, identity: Identity) {
        if let Some(one) = self.noted().documents.get_mut(key).filter(|one| one.identity == identity) {
            one.is_told = true;
        }
    }

    fn forget(&self, key: &Key) {
        self.noted().documents.remove(key);
    }
}

impl Cache {
    /// Watches the files of all documents that this process meets from now on. When they change, the document is dropped from
    /// memory, `then` is done, and `on_change` is called with its key, once, in a thread of the watch: the place to
    /// queue its refresh. The next call of this replaces what this watch knows; there is one at a time.
    ///
    /// It never changes what anybody is answered, but for [`Then::Invalidate`] where files are changed back: a copy that
    /// was invalidated stays so.
    ///
    /// # Errors
    /// The system gives no thread. A source that cannot be started is no error; see [`larder_watch::watch`].
    pub fn watch(
        &self,
        source: impl Source + 'static,
        options: Options,
        then: Then,
        mut on_change: impl FnMut(&Key, &Change) + Send + 'static,
    ) -> io::Result<Watching> {
        let weak = Arc::downgrade(self.inner());
        let fingerprints = self.inner().fingerprints(larder_watch::fingerprint::Limits::default());
        let told = move |paths: &[Utf8PathBuf]| {
            if let Some(inner) = weak.upgrade() {
                inner.hear(paths, then, &mut on_change);
            }
        };
        let watch = Arc::new(Watch::start(source, fingerprints, options, told)?);
        self.inner().known.begin(&watch);
        Ok(Watching { _watch: watch })
    }
}

impl Inner {
    /// Something may have changed at these paths.
    fn hear(&self, paths: &[Utf8PathBuf], then: Then, on_change: &mut dyn FnMut(&Key, &Change)) {
        let (keys, unused) = self.known.concerned(paths);
        if !unused.is_empty()
            && let Some(watch) = self.known.noted().watch.upgrade()
        {
            watch.remove(unused);
        }
        for key in keys {
            let found = match self.look(&key) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.known.forget(&key);
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%key, %error, "a document whose files have changed cannot be read");
                    continue;
                }
            };
            let Some(change) = self.change_of(&found.document, &Paths::default(), Duration::MAX) else { continue };
            tracing::debug!(%key, %change, "a document is out of date");
            self.known.tell(&key, found.identity);
            if let Some(memory) = &self.memory {
                memory.drop_key(&key);
            }
            if then == Then::Invalidate {
                match self.store.invalidate(&[Scope::Key(key.clone()).soft()]) {
                    Ok(_) => self.counters.add(Counter::Invalidations, 1),
                    Err(error) => tracing::warn!(%key, %error, "a document that is out of date is not invalidated"),
                }
            }
            on_change(&key, &change);
        }
    }
}
