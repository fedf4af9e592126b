//! What the tests share: a folder of files, and two ways to compare it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_testkit::{Scratch, VirtualClock};
use larder_watch::fingerprint::{Change, Dependency, Fingerprints, Paths};

/// A folder `tree` of a test's own, and a clock.
pub(crate) struct Tree {
    scratch: Scratch,
    pub(crate) clock: Arc<VirtualClock>,
}

impl Tree {
    pub(crate) fn new(name: &str) -> Self {
        let tree = Self { scratch: Scratch::new(name), clock: Arc::new(VirtualClock::new()) };
        tree.clock.set_wall(SystemTime::now());
        std::fs::create_dir(tree.folder()).unwrap();
        tree
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.scratch.join("tree")
    }

    /// A path beside the folder.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn fingerprints(&self) -> Fingerprints {
        Fingerprints::new(self.clock.clone())
    }

    pub(crate) fn paths(&self) -> Paths {
        Paths::new([self.folder()]).unwrap()
    }

    fn take_at(&self, wall: SystemTime) -> Vec<Dependency> {
        self.clock.set_wall(wall);
        self.fingerprints().take(&self.paths()).unwrap()
    }

    /// A fingerprint that is compared by reading, because the files were written just before.
    pub(crate) fn racy(&self) -> Vec<Dependency> {
        let taken = self.take_at(SystemTime::now() - Duration::from_secs(60));
        assert!(taken.iter().all(|one| !one.is_settled()), "{taken:?}");
        taken
    }

    /// One that is compared by stamps: no later change has the time of an earlier one. It is not waited for: the clock is
    /// set forward.
    pub(crate) fn settled(&self) -> Vec<Dependency> {
        self.until_files_have_another_time();
        let taken = self.take_at(SystemTime::now() + Duration::from_secs(60));
        assert!(taken.iter().all(Dependency::is_settled), "{taken:?}");
        taken
    }

    /// The same, waited for.
    pub(crate) fn settled_by_now(&self) -> Vec<Dependency> {
        let is_settled = |taken: &Vec<Dependency>| taken.iter().all(Dependency::is_settled);
        (0..1_000_000).map(|_| self.take_at(SystemTime::now())).find(is_settled).expect("all files come to rest")
    }

    /// Waits for the file system's clock to move on.
    pub(crate) fn until_files_have_another_time(&self) {
        let time = |number: u32| {
            let probe = self.beside(&format!("probe-{number}"));
            std::fs::write(&probe, "").unwrap();
            let metadata = std::fs::metadata(&probe).unwrap();
            std::fs::remove_file(probe).unwrap();
            (metadata.ctime(), metadata.ctime_nsec())
        };
        let first = time(0);
        assert!((1..1_000_000).any(|number| time(number) != first), "the clock stands still");
    }

    pub(crate) fn change(&self, taken: &[Dependency]) -> Option<Change> {
        self.fingerprints().check(taken, &Paths::default())
    }

    /// That doing this is a change, by contents and by stamps.
    #[track_caller]
    pub(crate) fn changes(&self, act: impl FnOnce()) {
        let (racy, settled) = (self.racy(), self.settled());
        act();
        for taken in [racy, settled] {
            assert!(self.change(&taken).is_some(), "it is not noticed: {taken:?}");
        }
    }

    /// That doing this is a change, and that this path is named.
    #[track_caller]
    pub(crate) fn changes_at(&self, path: &Path, act: impl FnOnce()) {
        let settled = self.settled_by_now();
        act();
        let told = self.change(&settled).unwrap().to_string();
        assert_eq!(told, format!("{} has changed", path.display()));
    }

    /// That doing this is none.
    #[track_caller]
    pub(crate) fn changes_nothing(&self, act: impl FnOnce()) {
        let (racy, settled) = (self.racy(), self.settled());
        act();
        for taken in [racy, settled] {
            assert!(self.change(&taken).is_none(), "{:?}", self.change(&taken));
        }
    }
}
