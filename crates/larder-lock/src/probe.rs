//! Whether a file system's locks can be believed.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use larder_system::{Disk, Handle, Open, retry, unique};

use crate::{Mode, errno};

/// Probes that the file system has not answered yet; beyond this a further one is not started.
const UNANSWERED_MAX: usize = 8;
const STACK_BYTES: usize = 128 * 1_024;
/// How often a sweep may take the file of one probe away.
const ATTEMPTS_MAX: u32 = 64;

/// File systems behind which other machines, or other kernels, may hold locks that this one does not see, by their
/// `f_type`. That two descriptors here exclude each other says nothing about those.
const REMOTE: &[(u64, &str)] = &[
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb"),
    (0x517b, "smb"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse or virtiofs"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "afs"),
    (0x7375_7245, "coda"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
    (0x786f_4256, "vboxsf"),
    (0xbacb_acbc, "vmhgfs"),
];

/// What a probe found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding {
    /// Two descriptors exclude each other, on a file system of this machine alone.
    Honest,
    /// Two descriptors hold one exclusive lock at the same time.
    Lies,
    /// The lock call answers that there are no locks.
    Missing {
        /// Its answer.
        answer: io::Error,
    },
    /// The lock call has not answered within its bound.
    Silent {
        /// The bound.
        bound: Duration,
    },
    /// Others may hold locks that this machine does not see.
    Remote {
        /// The kind of file system.
        kind: &'static str,
    },
}

impl Finding {
    /// Whether advisory locks are to be used.
    pub const fn is_honest(&self) -> bool {
        matches!(self, Self::Honest)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honest => f.write_str("its locks exclude each other"),
            Self::Lies => f.write_str("it gave one exclusive lock to two holders"),
            Self::Missing { answer } => write!(f, "it has no file locks ({answer})"),
            Self::Silent { bound } => write!(f, "it did not answer a lock call within {bound:?}"),
            Self::Remote { kind } => write!(f, "it is {kind}, whose locks others may not see"),
        }
    }
}

/// Tries the locks of `folder`'s file system on a file of its own, for at most `bound`.
///
/// A probe that is not answered leaves its thread behind, at most eight in a process.
///
/// # Errors
/// No file could be made there, or the system gave no thread; nothing was found out.
pub fn probe(disk: &Arc<dyn Disk>, folder: &Arc<Handle>, bound: Duration) -> io::Result<Finding> {
    static UNANSWERED: AtomicUsize = AtomicUsize::new(0);
    if let Some(magic) = retry(|| disk.file_system(folder)).ok().and_then(|system| system.magic)
        && let Some((_, kind)) = REMOTE.iter().find(|(remote, _)| *remote == magic)
    {
        return Ok(Finding::Remote { kind });
    }
    if UNANSWERED.fetch_add(1, Ordering::Relaxed) >= UNANSWERED_MAX {
        UNANSWERED.fetch_sub(1, Ordering::Relaxed);
        return Ok(Finding::Silent { bound: Duration::ZERO });
    }
    let (tell, told) = mpsc::sync_channel(1);
    let (own_disk, own_folder) = (Arc::clone(disk), Arc::clone(folder));
    let spawned =
        std::thread::Builder::new().name("larder-lock probe".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            let finding = try_locks(own_disk.as_ref(), &own_folder);
            UNANSWERED.fetch_sub(1, Ordering::Relaxed);
            // Nobody listens any more when the bound has passed.
            let _ = tell.send(finding);
        });
    if let Err(error) = spawned {
        UNANSWERED.fetch_sub(1, Ordering::Relaxed);
        return Err(error);
    }
    told.recv_timeout(bound).unwrap_or(Ok(Finding::Silent { bound }))
}

fn try_locks(disk: &dyn Disk, folder: &Handle) -> io::Result<Finding> {
    let (first, second) = two_descriptors(disk, folder)?;
    let finding = compare(disk, &first, &second);
    disk.close(first);
    disk.close(second);
    match finding {
        Err(answer) if errno::says_no_locks(&answer) => Ok(Finding::Missing { answer }),
        other => other,
    }
}

/// Two descriptors of a file that has no name any more.
fn two_descriptors(disk: &dyn Disk, folder: &Handle) -> io::Result<(Handle, Handle)> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let name = PathBuf::from(format!("{PREFIX}{:016x}", unique()?));
        let first = retry(|| disk.open(folder, &name, Open::CREATE_NEW))?;
        let second = retry(|| disk.open(folder, &name, Open::READ_WRITE));
        // The name has served its purpose; a process that is killed before this leaves it to a sweep.
        let removed = retry(|| disk.remove_file(folder, &name));
        let is_swept = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match (second, removed) {
            (Ok(second), Ok(())) => return Ok((first, second)),
            // A sweep took it for the leftover of a dead process.
            (Ok(second), Err(error)) if is_swept(&error) => return Ok((first, second)),
            (Err(error), _) if is_swept(&error) && attempts < ATTEMPTS_MAX => disk.close(first),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
    }
}

fn compare(disk: &dyn Disk, first: &Handle, second: &Handle) -> io::Result<Finding> {
    let try_lock = |file: &Handle, mode| retry(|| disk.try_lock(file, mode));
    let excludes =
        try_lock(first, Mode::Exclusive)? && !try_lock(second, Mode::Exclusive)? && !try_lock(second, Mode::Shared)?;
    retry(|| disk.unlock(first))?;
    let lets_go = excludes && try_lock(second, Mode::Shared)? && try_lock(first, Mode::Shared)?;
    Ok(if lets_go { Finding::Honest } else { Finding::Lies })
}

/// How a probe's file is called for the moment that it has a name.
pub(crate) const PREFIX: &str = "probe-";
