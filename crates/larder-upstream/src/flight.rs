//! A flight, in its leader's hands.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_lock::{Guard, Mode, Wait, acquire};
use larder_storage::{Annex, Key, Metadata, Store, Token};
use larder_system::{Handle, Replace, retry, write_all_at};

use crate::failure::Failure;
use crate::file::{Header, Outcome, Remembered};
use crate::flights::other;
use crate::turn::Waited;

/// How long a lock that nobody else wants may be in other hands: a sweep, or a list of holders, looks at it for an
/// instant.
const GLANCE: Duration = Duration::from_secs(1);

/// The lead: this process fetches, and all others that want the same key wait for it.
///
/// It ends with one of [`land`](Self::land), [`carry`](Self::carry), [`fail`](Self::fail) and [`alone`](Self::alone).
/// Dropping it without, also in a panic, abandons it: exactly one of those who wait then leads.
///
/// It may be sent to another thread. It ends with its process, however that ends.
#[must_use = "dropping a flight abandons it: somebody else fetches then"]
#[derive(Debug)]
pub struct Flight {
    // a flight is moved about, and is an answer among small ones
    parts: Box<Parts>,
}

#[derive(Debug)]
struct Parts {
    store: Arc<Store>,
    annex: Annex,
    name: String,
    header: Header,
    /// Where the outcome begins.
    length: u64,
    waited: Waited,
    /// Taken out only on the way to the end, as the lock is.
    file: Option<Handle>,
    lock: Option<Guard>,
    command: Mutex<Option<Guard>>,
}

/// A flight's file, once it has its name.
pub(crate) struct Published {
    pub(crate) name: String,
    pub(crate) header: Header,
    /// Where the outcome begins.
    pub(crate) length: u64,
    pub(crate) file: Handle,
}

/// What becomes of the file under the flight's name.
#[derive(PartialEq, Eq)]
enum Name {
    Goes,
    Stays,
    /// Another file takes its place: the same flight, with this outcome for those who come later.
    Passes(Vec<u8>),
}

impl Flight {
    pub(crate) fn new(store: Arc<Store>, annex: Annex, lock: Guard, published: Published) -> Self {
        let Published { name, header, length, file } = published;
        let (waited, file, lock, command) = (Waited::default(), Some(file), Some(lock), Mutex::new(None));
        Self { parts: Box::new(Parts { store, annex, name, header, length, waited, file, lock, command }) }
    }

    pub(crate) fn set_waited(&mut self, waited: Waited) {
        self.parts.waited = waited;
    }

    /// What is to be fetched.
    pub fn key(&self) -> &Key {
        &self.parts.header.key
    }

    /// The generation in which the fetch begins, for [`Put::fetched_in`](larder_storage::Put::fetched_in).
    pub fn token(&self) -> Token {
        self.parts.header.token
    }

    /// What this caller waited for before it was its turn.
    pub fn waited(&self) -> &Waited {
        &self.parts.waited
    }

    /// How many fetches of this key have failed in a row before this one, as far as anybody remembers.
    pub fn failures(&self) -> u32 {
        self.parts.header.failures
    }

    /// An empty file that carries a lock, for the standard input of a command that fetches. When this process is killed
    /// and the command lives on, the next leader waits for the command's end, or for its closing this file.
    ///
    /// It is held for as long as the command has it only when this process dies: an end of the flight, and also its
    /// drop, says that the command is over. `None` where locks are leases, which no file carries: then nobody waits for
    /// a dead leader's command.
    ///
    /// # Errors
    /// The lock cannot be taken, or its descriptor not be duplicated.
    pub fn lend(&self) -> io::Result<Option<File>> {
        let mut command = self.parts.command.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guard) = &*command {
            return guard.lend();
        }
        let guard = take(&self.parts.annex, &self.parts.header.id.command_lock()).map_err(other)?;
        let lent = guard.lend();
        *command = Some(guard);
        lent
    }

    /// Ends it: the answer, or the mark that says that it is not stored, is in the store. Everybody who waits looks there.
    pub fn land(mut self) {
        let outcome = Outcome::landed(&self.parts.header);
        self.parts.end(Some(outcome), &[], Name::Goes);
    }

    /// Ends it with an answer that is not in the store: everybody who was waiting gets a copy. One that is larger than
    /// the store's documents may be is not handed on: they fetch for themselves.
    pub fn carry(self, body: &[u8], metadata: &Metadata) {
        self.carry_for(body, metadata, None);
    }

    /// The same; with `remember`, whoever comes within that time fetches for itself, without waiting for anybody: answers
    /// that may not be stored are not worth a queue. Nothing of the answer itself is kept for them.
    pub fn carry_for(mut self, body: &[u8], metadata: &Metadata, remember: Option<Duration>) {
        if body.len() as u64 > self.parts.store.body_bytes_max() {
            return self.alone();
        }
        let outcome = Outcome::carried(&self.parts.header, body, metadata);
        let marker = self.remembered(remember).and_then(|memory| {
            let lines = [self.parts.header.encode().ok()?, Outcome::alone(&self.parts.header, Some(memory)).ok()?];
            Some(Name::Passes(lines.concat()))
        });
        self.parts.end(Some(outcome), body, marker.unwrap_or(Name::Goes));
    }

    /// Ends it with a failure, which everybody gets who was waiting; with `remember`, for so long also whoever comes
    /// later, unless the key is invalidated meanwhile or the machine boots.
    pub fn fail(mut self, failure: &Failure, remember: Option<Duration>) {
        let remembered = self.remembered(remember);
        let name = if remembered.is_some() { Name::Stays } else { Name::Goes };
        let outcome = Outcome::failed(&self.parts.header, failure, remembered);
        self.parts.end(Some(outcome), &[], name);
    }

    /// Ends it with an answer that may not be shared: everybody who was waiting fetches for themselves.
    pub fn alone(mut self) {
        let outcome = Outcome::alone(&self.parts.header, None);
        self.parts.end(Some(outcome), &[], Name::Goes);
    }

    fn remembered(&self, length: Option<Duration>) -> Option<Remembered> {
        let length = length.filter(|length| !length.is_zero())?;
        Some(Remembered::from_now(&**self.parts.store.clock(), length))
    }
}

impl Parts {
    /// The order is what counts: the outcome is whole before the lock goes, so that whoever waits finds it; the name goes
    /// before the lock, so that whoever comes later does not.
    fn end(&mut self, outcome: Option<serde_json::Result<Vec<u8>>>, body: &[u8], mut name: Name) {
        let Some(lock) = self.lock.take() else { return };
        // a lease may have been taken over while this process was frozen: then others have gone on without it
        let is_ours = lock.token().is_none() || lock.check().is_ok();
        if !is_ours {
            tracing::warn!(key = %self.header.key, "the lease on a flight was lost before its end");
        }
        if let Some(outcome) = outcome
            && is_ours
            && let Err(error) = self.record(outcome, body)
        {
            // they find no outcome then, and elect one of them, who looks at the store first
            tracing::warn!(key = %self.header.key, %error, "a flight's outcome could not be recorded");
            name = Name::Goes;
        }
        if is_ours {
            match name {
                Name::Stays => {}
                Name::Goes => self.remove(),
                Name::Passes(bytes) => self.pass(&bytes),
            }
        }
        if let Some(command) = self.command.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            retire(command);
        }
        retire(lock);
        if let Some(file) = self.file.take() {
            self.annex.disk().close(file);
        }
    }

    fn record(&self, outcome: serde_json::Result<Vec<u8>>, body: &[u8]) -> io::Result<()> {
        let line = outcome.map_err(other)?;
        let Some(file) = &self.file else { return Ok(()) };
        let disk = self.annex.disk();
        write_all_at(disk, file, &line, self.length)?;
        write_all_at(disk, file, body, self.length.saturating_add(line.len() as u64))
    }

    /// Whether the name still stands for this flight's file.
    fn has_name(&self) -> bool {
        let (disk, folder) = (self.annex.disk(), self.annex.folder());
        let Some(ours) = self.file.as_ref().and_then(|file| disk.metadata(file).ok()) else { return false };
        let named = retry(|| disk.metadata_at(folder, Path::new(&self.name)));
        named.is_ok_and(|named| named.is_same_file(&ours))
    }

    /// Puts other bytes under the name; where that fails, the name goes.
    fn pass(&self, bytes: &[u8]) {
        if !self.has_name() {
            return;
        }
        match self.annex.publish(&self.name, &[bytes], Replace::Yes) {
            Ok(Some(file)) => self.annex.disk().close(file),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(key = %self.header.key, %error, "that an answer may not be stored is not remembered");
                self.remove();
            }
        }
    }

    /// Takes the name away, if it still stands for this flight's file.
    fn remove(&self) {
        if self.has_name()
            && let Err(error) = self.annex.remove(&self.name)
        {
            tracing::warn!(key = %self.header.key, %error, "the file of a flight stays until a sweep");
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // a flight that is given up in an outage leaves its file, as one that was killed: it tells of the failures before
        let name = if self.parts.header.failures > 0 { Name::Stays } else { Name::Goes };
        self.parts.end(None, &[], name);
    }
}

/// Takes a lock that nobody else wants.
pub(crate) fn take(annex: &Annex, lock: &str) -> Result<Guard, acquire::Error> {
    annex.locks().acquire(lock, Mode::Exclusive, &Wait::up_to(GLANCE).without_holder())
}

/// Lets go of a lock whose name will not be used again.
pub(crate) fn retire(lock: Guard) {
    if let Err(error) = lock.retire() {
        // the error has the guard, and lets go of it now
        tracing::debug!(%error, "the file of a lock stays until a sweep");
    }
}
