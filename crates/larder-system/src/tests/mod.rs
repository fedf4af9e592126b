//! Every disk of this crate does what the trait says, each in the same tests.

mod content;
mod locks;
mod names;
mod opening;
mod unix_only;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Disk, Handle};

/// Runs each of these tests with each disk.
macro_rules! on_each_disk {
    ($($test:ident),+ $(,)?) => {
        mod system {
            $(#[test] fn $test() { super::$test(&crate::SystemDisk::new()); })+
        }
        mod without_openat2 {
            $(#[test] fn $test() { super::$test(&crate::SystemDisk::walking()); })+
        }
        mod portable {
            $(#[test] fn $test() { super::$test(&crate::PortableDisk::new()); })+
        }
    };
}
use on_each_disk;

/// A fresh folder, removed when its test has passed.
pub(super) struct Scratch {
    pub(super) path: PathBuf,
}

impl Scratch {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let unique = crate::unique().unwrap();
        let name = format!("larder-system-{unique:016x}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let program = std::env::current_exe().unwrap();
        // target/<profile>/deps/<this program>
        let path = program.ancestors().nth(3).unwrap().join("tmp").join(name);
        #[expect(clippy::disallowed_methods, reason = "the disk under test must find it there")]
        std::fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub(super) fn root(&self, disk: &dyn Disk) -> Handle {
        disk.open_root(&self.path).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            #[expect(clippy::disallowed_methods, reason = "nobody else cleans up")]
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

pub(super) fn path(text: &str) -> &Path {
    Path::new(text)
}

/// The error's number, as its Unix name.
pub(super) fn errno<T>(result: io::Result<T>) -> Option<rustix::io::Errno> {
    let error = result.err()?;
    Some(rustix::io::Errno::from_io_error(&error).expect("an error of the system"))
}
