//! The calls of a disk by name, and which errors each of them really gives.

use crate::errno::{
    EACCES, EBADF, EBUSY, EDEADLK, EDQUOT, EFBIG, EINTR, EIO, EMFILE, EMLINK, ENFILE, ENOENT, ENOLCK, ENOMEM, ENOSPC,
    ENOSYS, EOPNOTSUPP, EPERM, EROFS, ESTALE, EXDEV,
};

/// A method of [`Disk`](larder_system::Disk).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the method of the same name")]
pub enum Operation {
    OpenRoot,
    MakeRoot,
    RootMetadata,
    Open,
    Read,
    ReadAt,
    Write,
    WriteAt,
    Position,
    SeekEnd,
    SetLength,
    Allocate,
    SetMode,
    SetModeAt,
    Sync,
    SyncData,
    Metadata,
    MetadataAt,
    MarkUsed,
    Rename,
    Link,
    RemoveFile,
    RemoveFolder,
    MakeFolder,
    List,
    TryLock,
    Lock,
    Unlock,
    FileSystem,
    Close,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 30] = [
        Self::OpenRoot,
        Self::MakeRoot,
        Self::RootMetadata,
        Self::Open,
        Self::Read,
        Self::ReadAt,
        Self::Write,
        Self::WriteAt,
        Self::Position,
        Self::SeekEnd,
        Self::SetLength,
        Self::Allocate,
        Self::SetMode,
        Self::SetModeAt,
        Self::Sync,
        Self::SyncData,
        Self::Metadata,
        Self::MetadataAt,
        Self::MarkUsed,
        Self::Rename,
        Self::Link,
        Self::RemoveFile,
        Self::RemoveFolder,
        Self::MakeFolder,
        Self::List,
        Self::TryLock,
        Self::Lock,
        Self::Unlock,
        Self::FileSystem,
        Self::Close,
    ];

    /// The errors that Linux gives for this call with correct arguments: what a caller must survive.
    ///
    /// Empty for [`Operation::Close`], whose error the trait cannot report.
    pub const fn errnos(self) -> &'static [i32] {
        match self {
            Self::OpenRoot => &[ENOENT, EACCES, EMFILE, ENFILE, ENOMEM, EIO, EINTR],
            Self::Open => &[EACCES, EMFILE, ENFILE, ENOSPC, EDQUOT, EROFS, ENOMEM, EIO, EINTR, ESTALE],
            Self::MakeRoot | Self::MakeFolder => &[EACCES, ENOSPC, EDQUOT, EROFS, EMLINK, ENOMEM, EIO],
            Self::RootMetadata | Self::MetadataAt => &[EACCES, ENOMEM, EIO, ESTALE],
            Self::Read | Self::ReadAt => &[EIO, EINTR, ENOMEM, ESTALE],
            Self::Write | Self::WriteAt => &[ENOSPC, EDQUOT, EFBIG, EIO, EINTR, ESTALE],
            Self::Position | Self::SeekEnd | Self::Close => &[],
            Self::SetLength => &[ENOSPC, EDQUOT, EFBIG, EIO, EINTR],
            Self::Allocate => &[ENOSPC, EDQUOT, EFBIG, EOPNOTSUPP, ENOSYS, EIO, EINTR],
            Self::SetMode | Self::SetModeAt | Self::MarkUsed => &[EPERM, EROFS, EIO],
            Self::Sync | Self::SyncData => &[EIO, ENOSPC, EDQUOT, EINTR],
            Self::Metadata => &[EIO, ENOMEM, ESTALE],
            Self::Rename => &[ENOSPC, EDQUOT, EACCES, EROFS, EXDEV, EBUSY, ENOMEM, EIO],
            Self::Link => &[ENOSPC, EDQUOT, EACCES, EROFS, EXDEV, EPERM, EMLINK, ENOMEM, EIO],
            Self::RemoveFile | Self::RemoveFolder => &[EACCES, EROFS, EBUSY, ENOMEM, EIO],
            Self::List => &[ENOENT, ENOMEM, EIO],
            Self::TryLock => &[ENOSYS, ENOLCK, EBADF, EOPNOTSUPP, EINTR],
            Self::Lock => &[ENOSYS, ENOLCK, EBADF, EOPNOTSUPP, EINTR, EDEADLK],
            Self::Unlock => &[ENOLCK, EINTR],
            Self::FileSystem => &[ENOSYS, EACCES, EIO, EINTR],
        }
    }

    /// Whether a signal can cut it short with `EINTR`.
    pub fn is_interruptible(self) -> bool {
        self.errnos().contains(&EINTR)
    }

    /// Whether it may change what other processes, or this one after a crash, find on the disk. Opening counts,
    /// because it may create; syncing counts, because it decides what a crash keeps.
    pub const fn is_mutating(self) -> bool {
        matches!(
            self,
            Self::MakeRoot
                | Self::Open
                | Self::Write
                | Self::WriteAt
                | Self::SetLength
                | Self::Allocate
                | Self::SetMode
                | Self::SetModeAt
                | Self::MarkUsed
                | Self::Sync
                | Self::SyncData
                | Self::Rename
                | Self::Link
                | Self::RemoveFile
                | Self::RemoveFolder
                | Self::MakeFolder
        )
    }
}
