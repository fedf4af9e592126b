//! The two doors through which larder meets the operating system: [`Disk`] and [`Clock`].
//!
//! Every system call that larder makes on a cache folder goes through [`Disk`], one call of the trait for one system
//! call, and every look at the time goes through [`Clock`]. So a test can count each step, fail it with any errno,
//! freeze or kill the process before it, lose what was not synced, and move time at will; and nobody has to trust that
//! the code under test is the code that ships, because it is the same code behind the same trait.
//!
//! **What it is not.** It is no virtual file system: it has the calls that larder makes and no others. It retries
//! nothing and hides nothing (the retry of an interrupted call is [`retry`], at the caller's choice). It opens nothing
//! through a symbolic link below the folder that [`Disk::open_root`] opened.
//!
//! Programs that want durable files should use `larder-storage`; programs that want locks, `larder-lock`.
//!
//! ```
//! use larder_system::{Disk, Open, SystemDisk, Replace};
//! use std::path::Path;
//!
//! # fn main() -> std::io::Result<()> {
//! # let place = std::env::temp_dir().join(format!("larder-system-{:016x}", larder_system::unique()?));
//! # let path = place.as_path();
//! let disk = SystemDisk::new();
//! disk.make_root(path)?;
//! let root = disk.open_root(path)?;
//! let file = disk.open(&root, Path::new("note.new"), Open::CREATE_OR_OPEN)?;
//! larder_system::write_all(&disk, &file, &[b"whole or absent"])?;
//! disk.sync(&file)?;
//! disk.rename(&root, Path::new("note.new"), &root, Path::new("note"), Replace::Yes)?;
//! disk.sync(&root)?;
//! # std::fs::remove_dir_all(path)
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod disk;
mod identity;
#[cfg(any(not(unix), test))]
mod portable;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod transfer;
#[cfg(unix)]
mod unix;

pub use clock::{Clock, SystemClock};
pub use disk::{Access, Create, Disk, FileSystem, Handle, Kind, Listed, LockMode, Metadata, Open, Replace};
pub use identity::{Boot, Identity, host_name, unique};
#[cfg(all(test, unix))]
pub use portable::PortableDisk;
#[cfg(not(unix))]
pub use portable::PortableDisk as SystemDisk;
pub use transfer::{read_exact_at, read_to_limit, retry, write_all, write_all_at};
#[cfg(unix)]
pub use unix::SystemDisk;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
