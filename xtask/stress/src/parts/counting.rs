//! Counters that all processes share, or one that is broken.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder::counters::{Counter, Counters, Fold, Totals};
use larder_lock::Wait;
use larder_storage::{Durability, Key, Put, Store};

use crate::failure::{Doing as _, Failure};
use crate::sabotage::Sabotage;

/// How long a step waits for others: also for one that is frozen with the journal's lock in hand.
const WAIT: Duration = Duration::from_secs(20);

/// One count.
#[derive(Debug)]
pub(crate) struct Counting {
    store: Arc<Store>,
    file: Utf8PathBuf,
    sabotage: Option<Sabotage>,
}

impl Counting {
    pub(crate) fn open(arena: &Utf8Path, sabotage: Option<Sabotage>) -> Result<Self, Failure> {
        let root = arena.join("root");
        let store = Store::open(&root).doing(format!("open {root}"))?;
        Ok(Self { store: Arc::new(store), file: arena.join("count"), sabotage })
    }

    /// Makes the root, so that there is something to count in.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        let key = "a/document".parse::<Key>().doing("name a document")?;
        let put = Put::new().durability(Durability::Relaxed);
        self.store.put(&key, b"document", &put).doing("put a document").map(drop)
    }

    /// Counts one; when it returns, it is counted.
    pub(crate) fn count(&self) -> Result<(), Failure> {
        if self.sabotage == Some(Sabotage::MetricsWithoutLock) {
            let count = self.rewritten() + 1;
            return self.rewrite(count);
        }
        let counters = Counters::new(Arc::clone(&self.store));
        counters.add(Counter::HitsDisk, 1);
        counters.flush(Fold::WhenLong, &Wait::up_to(WAIT)).doing("count").map(drop)
    }

    pub(crate) fn total(&self) -> Result<u64, Failure> {
        if self.sabotage == Some(Sabotage::MetricsWithoutLock) {
            return Ok(self.rewritten());
        }
        Ok(Totals::read(&self.store).doing("read the counts")?.hits_disk)
    }

    fn rewritten(&self) -> u64 {
        let mut text = String::new();
        let read = std::fs::File::open(&self.file).and_then(|mut file| file.read_to_string(&mut text));
        read.ok().and_then(|_| text.parse().ok()).unwrap_or(0)
    }

    #[expect(clippy::disallowed_methods, reason = "this is what is wrong with it")]
    fn rewrite(&self, count: u64) -> Result<(), Failure> {
        let mut file = std::fs::File::create(&self.file).doing("make the count")?;
        file.write_all(count.to_string().as_bytes()).doing("write the count")
    }
}
