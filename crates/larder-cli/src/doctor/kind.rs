//! File systems by name, and what a cache may expect of each.

use larder_system::FileSystem;

/// What a cache may expect of a file system, whatever a trial on one machine shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Of this machine, and on a disk.
    Local,
    /// In memory: gone with the power.
    Memory,
    /// Other machines, or a program, are behind it.
    Remote,
    /// No two names for one file.
    WithoutLinks,
    /// A view of the kernel, or an image: nothing can be stored in it.
    View,
    /// Not in this list, or the platform does not tell.
    Unknown,
}

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) nature: Nature,
}

/// By the `f_type` of `statfs(2)`, as <https://man7.org/linux/man-pages/man2/statfs.2.html> lists them.
const KINDS: &[(u64, &str, Nature)] = &[
    (0xef53, "ext4", Nature::Local),
    (0x9123_683e, "btrfs", Nature::Local),
    (0x5846_5342, "xfs", Nature::Local),
    (0x2fc1_2fc1, "zfs", Nature::Local),
    (0xf2f5_2010, "f2fs", Nature::Local),
    (0xca45_1a4e, "bcachefs", Nature::Local),
    (0x794c_7630, "overlay", Nature::Local),
    (0xf15f, "ecryptfs", Nature::Local),
    (0x7366_746e, "ntfs3", Nature::Local),
    (0x0102_1994, "tmpfs", Nature::Memory),
    (0x8584_58f6, "ramfs", Nature::Memory),
    (0x6969, "nfs", Nature::Remote),
    (0xff53_4d42, "cifs", Nature::Remote),
    (0xfe53_4d42, "smb", Nature::Remote),
    (0x517b, "smb", Nature::Remote),
    (0x0102_1997, "9p", Nature::Remote),
    (0x6573_5546, "fuse or virtiofs", Nature::Remote),
    (0x00c3_6400, "ceph", Nature::Remote),
    (0x5346_414f, "afs", Nature::Remote),
    (0x6b41_4653, "afs", Nature::Remote),
    (0x7375_7245, "coda", Nature::Remote),
    (0x0bd0_0bd0, "lustre", Nature::Remote),
    (0x4750_4653, "gpfs", Nature::Remote),
    (0x0116_1970, "gfs2", Nature::Remote),
    (0x7461_636f, "ocfs2", Nature::Remote),
    (0x786f_4256, "vboxsf", Nature::Remote),
    (0xbacb_acbc, "vmhgfs", Nature::Remote),
    (0x4d44, "fat", Nature::WithoutLinks),
    (0x2011_bab0, "exfat", Nature::WithoutLinks),
    (0x9fa0, "proc", Nature::View),
    (0x6265_6572, "sysfs", Nature::View),
    (0x0027_e0eb, "cgroup", Nature::View),
    (0x6367_7270, "cgroup2", Nature::View),
    (0x7371_7368, "squashfs", Nature::View),
    (0x9660, "iso9660", Nature::View),
    (0xe0f5_e1e2, "erofs", Nature::View),
];

/// Which kind it is.
pub(super) fn of(system: &FileSystem) -> Kind {
    let found = system.magic.and_then(|magic| KINDS.iter().find(|(number, ..)| *number == magic));
    found.map_or(Kind { name: "a file system without a known name", nature: Nature::Unknown }, |(_, name, nature)| {
        Kind { name, nature: *nature }
    })
}

impl Kind {
    /// Whether files can be stored in it at all.
    pub(super) fn holds_files(self) -> bool {
        self.nature != Nature::View
    }
}
